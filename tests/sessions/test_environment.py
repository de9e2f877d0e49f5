"""What a project gives to its processes reaches those it is for."""

import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection

from sessions import environment, ledger, places, run
from sessions.models import Activity, Attempt, CheckResult, Session
from sessions.models.attempt import Lease
from sessions.models.session import Phase, State
from tasks.models import Audience, Project, Task, Variable
from tests import factories
from tests.running import until

pytestmark = pytest.mark.django_db(transaction=True)


def put(
    project: Project, name: str, value: str, audience: str = Audience.CHECKS, secret: bool = True
) -> None:
    Variable.put(project, name, value, is_secret=secret, audience=audience, by=None)


def checked(repository: Path, command: str, **variables: str) -> Task:
    """A task whose checks are next, in a project without an AI review, with these secrets for its checks."""
    checks = [{"name": "one", "command": command, "timeout": 20, "required": True}]
    project = factories.make_project(repository, checks=checks, ai_review=False, max_fix_rounds=0)
    for name, value in variables.items():
        put(project, name, value)
    task = factories.make_task(project, status="in_progress")
    attempt = factories.make_attempt(task)
    attempt.begin(Phase.CHECKS)
    return task


def carried(task: Task) -> Session:
    """Work on it to its end, here; the last session."""
    claim = ledger.claim()
    assert claim is not None
    run.carry(claim)
    return Session.objects.filter(attempt__task=task).latest("pk")


def test_checks_have_every_variable_and_agents_those_that_are_for_them(repository: Path) -> None:
    project = factories.make_project(repository)
    put(project, "DEPLOY_KEY", "for-checks-only")
    put(project, "API_TOKEN", "for-agents-too", Audience.AGENTS)
    assert environment.for_commands(project) == {
        "API_TOKEN": "for-agents-too",
        "DEPLOY_KEY": "for-checks-only",
    }
    assert environment.for_agents(project) == {"API_TOKEN": "for-agents-too"}


def test_a_check_runs_with_the_projects_variables(repository: Path) -> None:
    task = checked(
        repository, """test "$DEPLOY_KEY" = 'many words, and a $sign'""", DEPLOY_KEY="many words, and a $sign"
    )
    assert carried(task).state == State.COMPLETED
    assert CheckResult.objects.get().state == CheckResult.State.PASSED


def test_a_secret_that_cannot_be_unsealed_ends_the_session_with_its_name(
    repository: Path, settings: Any
) -> None:
    task = checked(repository, "true", DEPLOY_KEY="for-checks-only")
    settings.STUDIO_VAULT_KEY = Fernet.generate_key().decode()
    session = carried(task)
    assert (session.state, session.reason) == (State.FAILED, "vault")
    assert "DEPLOY_KEY" in session.detail
    assert not CheckResult.objects.exists()
    assert Attempt.objects.get().lease == Lease.IDLE


def test_what_a_check_prints_is_shown_while_it_runs_and_without_secrets(
    repository: Path, client: Any, admin: Any
) -> None:
    """The page is a plain one, as without JavaScript; its entries are what sockets send."""
    task = checked(
        repository,
        "echo first $DEPLOY_KEY; printf canary-of; until test -f go; do sleep 0.1; done; echo last; exit 3",
        DEPLOY_KEY="canary-of-the-check",
    )
    client.force_login(admin)
    worker = threading.Thread(target=in_thread, args=(task,))
    worker.start()
    try:
        shown = until(lambda: Activity.objects.filter(output__contains="first").first(), 60, "some output")
        assert (shown.tool, shown.state, shown.output) == (
            "check",
            "running",
            "first [redacted: DEPLOY_KEY]\n",
        )
        for tab in ("", "checks/"):
            assert "first [redacted: DEPLOY_KEY]" in client.get(f"/tasks/{task.pk}/{tab}").content.decode()
    finally:
        attempt = Attempt.objects.select_related("task__project").get(task=task)
        (places.folder(attempt) / "workspace/go").touch()
        worker.join(60)
    shown.refresh_from_db()
    assert (shown.state, shown.metadata) == ("completed", {"exit": 3})
    assert shown.output == CheckResult.objects.get().output
    assert shown.output.endswith("canary-oflast\n")


def test_of_a_check_that_prints_very_much_the_end_is_shown_and_more_is_kept(repository: Path) -> None:
    task = checked(repository, "seq 100000; echo $DEPLOY_KEY", DEPLOY_KEY="canary-of-the-check")
    carried(task)
    (shown,) = Activity.objects.all()
    assert len(shown.output) <= 8000
    assert shown.output.endswith("\n100000\n[redacted: DEPLOY_KEY]\n")
    assert CheckResult.objects.get().output.startswith("1\n2\n3\n")


def in_thread(task: Task) -> None:
    try:
        carried(task)
    finally:
        connection.close()
