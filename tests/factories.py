"""Plain functions that make the rows and repositories that tests need."""

import base64
import itertools
import os
import subprocess
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone

from sessions.models import Activity, Attempt, CheckResult, FollowUp, Request, Session
from studio.roles import Role
from tasks.models import Finding, Membership, Plan, Project, Task

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PASSWORD = "correct horse battery"
_counter = itertools.count(1)


def make_user(name: str, **fields: Any) -> Any:
    """A person who signs in with `PASSWORD`; the same one again where the name is known."""
    known = get_user_model().objects.filter(username=name).first()
    return known or get_user_model().objects.create_user(name, password=PASSWORD, **fields)


def git(folder: Path, *arguments: str) -> str:
    """Run git in `folder` with an identity of its own, and return what it printed."""
    identity = {f"GIT_{who}_{what}": text for who in ("AUTHOR", "COMMITTER") for what, text in _IDENTITY}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **identity},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


_IDENTITY = (("NAME", "Test"), ("EMAIL", "test@example.org"))


def make_repository(folder: Path, files: dict[str, str] | None = None) -> Path:
    """A git repository on branch main with one commit."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for name, text in (
        files or {"README.md": "# Sample\n", "sample.py": "def one():\n    return 1\n"}
    ).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "First")
    return folder


def make_project(
    repository: Path | str = "/nowhere", *, roles: dict[Any, str] | None = None, **fields: Any
) -> Project:
    """A project of `repository`; by default alice is a member and bob a viewer, where they exist."""
    key = fields.pop("key", None) or f"P{next(_counter)}X"
    defaults: dict[str, Any] = {"name": key.lower(), "path": str(repository), "target_branch": "main"}
    project = Project.objects.create(key=key, **(defaults | fields))
    for user, role in (_usual_roles() if roles is None else roles).items():
        Membership.objects.create(project=project, user=user, role=role)
    return project


def _usual_roles() -> dict[Any, str]:
    people = get_user_model().objects.in_bulk(["alice", "bob"], field_name="username")
    usual = {"alice": Role.MEMBER, "bob": Role.VIEWER}
    return {person: usual[name] for name, person in people.items()}


def make_task(project: Project | None = None, *, status: str = "todo", **fields: Any) -> Task:
    """A task; with a `status` beyond to do, put there directly, as its tests start from it."""
    task = Task.file(project or make_project(), **({"title": "Say hello"} | fields))
    if status != "todo":
        Task.objects.filter(pk=task.pk).update(status=status, status_changed_at=timezone.now())
        task.refresh_from_db()
    return task


def make_attempt(task: Task | None = None, **fields: Any) -> Attempt:
    """The task's current attempt, in the task's state."""
    task = task or make_task()
    task.attempts.filter(is_current=True).update(is_current=False)
    number = task.attempts.count() + 1
    return Attempt.objects.create(task=task, **({"number": number, "status": task.status} | fields))


def make_session(attempt: Attempt | None = None, *, phase: str = "planning", **fields: Any) -> Session:
    """A session of the attempt, running unless `state` says otherwise."""
    attempt = attempt or make_attempt()
    started = {"state": "running", "started_at": timezone.now()}
    if fields.get("state") in ("completed", "failed", "cancelled", "interrupted"):
        started["ended_at"] = timezone.now()
    Attempt.objects.filter(pk=attempt.pk).update(phase=phase)
    attempt.phase = phase
    return Session.objects.create(attempt=attempt, phase=phase, **(started | fields))


def make_activity(session: Session, *, kind: str = "message", **fields: Any) -> Activity:
    """The session's next entry; raises the session's `rev`."""
    session.rev += 1
    Session.objects.filter(pk=session.pk).update(rev=session.rev)
    seq = fields.pop("seq", None) or session.activity.count() + 1
    names = {
        "part_id": f"prt_{session.pk}_{seq}",
        "message_id": f"msg_{session.pk}",
        "opencode_session_id": "ses_1",
    }
    return Activity.objects.create(session=session, seq=seq, rev=session.rev, kind=kind, **(names | fields))


def make_request(session: Session, *, kind: str = "permission", **fields: Any) -> Request:
    """An open request: leave to run a command, or a question with two options."""
    bodies: dict[str, dict[str, Any]] = {
        "permission": {
            "permission": "bash",
            "patterns": ["pip install httpx"],
            "always": ["pip install *"],
            "metadata": {"command": "pip install httpx"},
        },
        "question": {
            "questions": [
                {
                    "header": "Colour",
                    "question": "Which colour?",
                    "multiple": False,
                    "options": [
                        {"label": "Red", "description": "Like a rose"},
                        {"label": "Blue", "description": "Like the sky"},
                    ],
                }
            ]
        },
    }
    names = {"opencode_id": f"per_{next(_counter)}", "body": bodies[kind]}
    return Request.objects.create(session=session, kind=kind, **(names | fields))


def make_follow_up(attempt: Attempt, text: str = "Use tabs.", **fields: Any) -> FollowUp:
    """The last message in the attempt's queue."""
    message = FollowUp.objects.add_last(attempt, text, by=fields.pop("by", None))
    FollowUp.objects.filter(pk=message.pk).update(state=fields.get("state", "queued"))
    return message


def make_plan(task: Task, body: str = "1. Read\n2. Write", **fields: Any) -> Plan:
    """The task's next version of the plan, by the agent."""
    return Plan.objects.create(task=task, version=task.plans.count() + 1, body=body, **fields)


def make_finding(session: Session, **fields: Any) -> Finding:
    """What a review found, an open warning unless said otherwise."""
    usual = {"severity": "warning", "title": "Rename it", "attempt_number": session.attempt.number}
    return Finding.objects.create(task=session.task, session_id=session.pk, **(usual | fields))


def make_check_result(session: Session, name: str = "pytest", **fields: Any) -> CheckResult:
    """What a check said, green unless said otherwise."""
    usual = {"command": f"{name} -q", "state": "passed", "exit_code": 0, "seconds": 1.2}
    return CheckResult.objects.create(session=session, name=name, **(usual | fields))
