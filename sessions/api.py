"""The API of an agent at work: starting it, watching it, answering it. What lands its change is in sessions/landing_api.py."""

from collections.abc import Callable
from itertools import accumulate
from typing import Any, Literal

from django.db.models import QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router
from ninja.responses import Status as Reply

from sessions import comparison, landing, looks, removal, schemas, undoing
from sessions.models import Activity, Attempt, Request, Session
from sessions.models.session import LIVE, Phase, State
from studio import crash
from studio.api import Cursor, Id, Limit, Missing, Page, page, responses
from studio.errors import Invalid
from studio.repeat import DOCUMENTED, repeatable
from studio.roles import Role
from tasks.api import find
from tasks.models import Task
from tasks.review_schemas import ChangesIn

tasks = Router(tags=["Tasks"])
sessions = Router(tags=["Sessions"])
attempts = Router(tags=["Attempts"])
requests = Router(tags=["Requests"])

PAGE_CHARACTERS = 4_000_000
STARTED = responses({202: schemas.Started}, 409)


# --- starting an agent ----------------------------------------------------------------------------------------------


@tasks.post("/{int:task_id}/execute", response=STARTED, openapi_extra=DOCUMENTED)
@repeatable
def execute(request: HttpRequest, task_id: int) -> Any:
    """Start what its state calls for. While something runs: 409 with the `session_id` of that."""
    return start(request, task_id, lambda task: task.execute(by=request.user))


@tasks.post("/{int:task_id}/retry", response=STARTED, openapi_extra=DOCUMENTED)
@repeatable
def retry(request: HttpRequest, task_id: int) -> Any:
    """Run the phase again that ended without its result, in the same workspace and conversation."""
    return start(request, task_id, lambda task: task.retry(by=request.user))


@tasks.post("/{int:task_id}/approve-plan", response=STARTED, openapi_extra=DOCUMENTED)
@repeatable
def approve_plan(request: HttpRequest, task_id: int) -> Any:
    """Accept the newest plan and let the implementation begin."""
    return start(request, task_id, lambda task: task.approve_plan(by=request.user))


@tasks.post("/{int:task_id}/request-plan-changes", response=STARTED, openapi_extra=DOCUMENTED)
@repeatable
def request_plan_changes(request: HttpRequest, task_id: int, remark: ChangesIn | None = None) -> Any:
    """Send the plan back with what should change: the comment, and your drafts on its lines."""
    comment = remark.comment if remark else ""
    return start(request, task_id, lambda task: task.request_plan_changes(comment, by=request.user))


@tasks.post("/{int:task_id}/request-changes", response=STARTED, openapi_extra=DOCUMENTED)
@repeatable
def request_changes(request: HttpRequest, task_id: int, remark: ChangesIn | None = None) -> Any:
    """Send the change back to the agent, in the same conversation, with what should change: the comment, your drafts, and what others
    commented and it has not answered."""
    comment = remark.comment if remark else ""
    return start(request, task_id, lambda task: task.request_changes(comment, by=request.user))


def start(request: HttpRequest, task_id: int, verb: Callable[[Task], Session]) -> Reply[dict[str, Any]]:
    """Call the verb that starts a session, and answer 202; 403 for who may only look."""
    task = find(request, task_id, Role.MEMBER)
    session = verb(task)
    crash.point("execute-committed")
    message = f"{task.key}: {session.get_phase_display().lower()} was started as session {session.pk}."
    reply = {"task_id": task.pk, "session_id": session.pk, "status": "execution_started", "message": message}
    return Reply(202, reply)


# --- watching a task ------------------------------------------------------------------------------------


@tasks.get("/{int:task_id}/execution", response=responses({200: schemas.Execution}))
def execution(request: HttpRequest, task_id: int) -> Any:
    """What runs now, or nulls, and the newest session."""
    task = find(request, task_id)
    last = _sessions(request).filter(attempt__task=task).order_by("-pk").first()
    live = last if last is not None and last.is_live else None
    newest = live.activity.order_by("-rev").first() if live else None
    parts = ["session_id", "phase", "state", "since", "owner", "stopping", "doing", "progress"]
    now: dict[str, Any] = dict.fromkeys(parts)
    if live is not None:
        since = live.started_at or live.created_at
        now = {
            "session_id": live.pk,
            "phase": live.phase,
            "state": live.state,
            "since": since.isoformat(),
            "owner": live.attempt.owner or None,
            "stopping": live.attempt.is_stopping,
            "doing": live.doing,
            "progress": schemas.show_progress(live),
        }
    return now | {
        "task_id": task.pk,
        "status": str(task.status),
        "last_activity": newest and schemas.show_activity(newest),
        "last_session": last and schemas.show_session(last),
    }


@tasks.get("/{int:task_id}/sessions", response=responses({200: Page[schemas.SessionOut]}))
def list_task_sessions(request: HttpRequest, task_id: int, cursor: Cursor = 0, limit: Limit = 50) -> Any:
    """All sessions of the task, oldest first."""
    task = find(request, task_id)
    rows = _sessions(request).filter(attempt__task=task, pk__gt=cursor).order_by("pk")
    return page(rows, schemas.show_session, limit)


@tasks.get("/{int:task_id}/diff", response=responses({200: schemas.DiffOut}))
def get_diff(request: HttpRequest, task_id: int, since: Literal["", "look"] = "") -> Any:
    """All that the current attempt changed: commits, index, working tree and new files. `since=look`: since your last look."""
    attempt = _attempt(find(request, task_id))
    base = looks.last(attempt, request.user) if since else attempt.base_oid
    diff = looks.since(attempt, base) if since else landing.attempt_diff(attempt)
    return schemas.show_diff(diff) | {
        "task_id": attempt.task_id,
        "attempt_number": attempt.number,
        "base_oid": base,
        "head_oid": attempt.head_oid,
    }


@tasks.post("/{int:task_id}/undo-merge", response=responses({200: schemas.Merged}, 409))
def undo_merge(request: HttpRequest, task_id: int) -> Any:
    """Take a merge back, in a repository of jj's; `oid` is where the branch stands again. 409 says why it cannot be."""
    task = find(request, task_id, Role.MEMBER)
    oid = undoing.undo_merge(task, by=request.user)
    now = find(request, task_id)
    return {"task_id": task.pk, "status": str(now.status), "oid": oid, "branch": now.target}


def _attempt(task: Task) -> Attempt:
    attempt = Attempt.objects.current_of(task)
    if attempt is None:
        raise Missing(f"{task.key} was never started, so there is no diff.", code="no_attempt")
    return attempt


# --- attempts -------------------------------------------------------------------------------------------------------


@tasks.get("/{int:task_id}/attempts", response=responses({200: Page[schemas.AttemptOut]}))
def list_attempts(request: HttpRequest, task_id: int, cursor: Cursor = 0, limit: Limit = 50) -> Any:
    """All attempts of the task, oldest first, and where their workspaces are."""
    rows = Attempt.objects.filter(task=find(request, task_id), pk__gt=cursor).select_related("task__project")
    return page(rows.order_by("pk"), schemas.show_attempt, limit)


@tasks.get("/{int:task_id}/attempts/compare", response=responses({200: list[schemas.AccountOut]}))
def compare_attempts(request: HttpRequest, task_id: int) -> Any:
    """What each attempt came to: checks, findings, the size of its change, time, tokens, cost, models. The newest twelve, oldest first."""
    return [comparison.show(each) for each in comparison.accounts(find(request, task_id))]


@tasks.post("/{int:task_id}/new-attempt", response=STARTED, openapi_extra=DOCUMENTED)
@repeatable
def new_attempt(request: HttpRequest, task_id: int) -> Any:
    """Try it again from scratch, in a new attempt beside the old one. While something runs: 409 with the `session_id` of that."""
    return start(request, task_id, lambda task: Attempt.anew(task, by=request.user))


@attempts.post("/{int:attempt_id}/choose", response=responses({200: schemas.AttemptOut}, 409))
def choose(request: HttpRequest, attempt_id: int) -> Any:
    """Go back to an attempt that was set aside, in the state in which it was left. Starts nothing; 409 while something runs."""
    attempt = _attempt_of(request, attempt_id, Role.MEMBER)
    attempt.choose(by=request.user)
    return schemas.show_attempt(attempt)


@attempts.get("/{int:attempt_id}/loss", response=responses({200: schemas.LossOut}, 409))
def get_loss(request: HttpRequest, attempt_id: int) -> Any:
    """What removing the workspace would take off the disk. 409 says why it cannot be removed."""
    found = removal.loss(_attempt_of(request, attempt_id))
    if found is None:
        raise Missing("No workspace was made yet.", code="no_workspace")
    return vars(found)


@attempts.post("/{int:attempt_id}/remove-workspace", response=responses({200: schemas.AttemptOut}, 409))
def remove_workspace(request: HttpRequest, attempt_id: int) -> Any:
    """Move the workspace and the conversation to the trash; what only it has is kept as `recovery_ref`. 409 says why not."""
    attempt = _attempt_of(request, attempt_id, Role.MEMBER)
    removal.remove(attempt, by=request.user)
    return schemas.show_attempt(attempt)


@attempts.post("/{int:attempt_id}/restore-workspace", response=responses({200: schemas.AttemptOut}, 409))
def restore_workspace(request: HttpRequest, attempt_id: int) -> Any:
    """Undo a removal, until `restorable_until`."""
    attempt = _attempt_of(request, attempt_id, Role.MEMBER)
    removal.restore(attempt, by=request.user)
    return schemas.show_attempt(attempt)


def _attempt_of(request: HttpRequest, attempt_id: int, role: Role = Role.VIEWER) -> Attempt:
    rows = Attempt.objects.visible_to(request.user).select_related("task__project")
    attempt = get_object_or_404(rows, pk=attempt_id)
    attempt.task.project.require(request.user, role)
    return attempt


# --- sessions -------------------------------------------------------------------------------------------------------


@sessions.get("", response=responses({200: Page[schemas.SessionOut]}))
def list_sessions(
    request: HttpRequest,
    project: Id | None = None,
    task: Id | None = None,
    phase: Phase | None = None,
    state: State | None = None,
    live: bool | None = None,
    cursor: Cursor = 0,
    limit: Limit = 50,
) -> Any:
    """The sessions that you may see, newest first. `live=true` are those that have not ended, `live=false` the others."""
    asked = {
        "attempt__task__project_id": project,
        "attempt__task_id": task,
        "phase": phase,
        "state": state,
        "pk__lt": cursor or None,
    }
    rows = _sessions(request).filter(**{name: value for name, value in asked.items() if value is not None})
    if live is not None:
        rows = rows.filter(state__in=LIVE) if live else rows.exclude(state__in=LIVE)
    return page(rows.order_by("-pk"), schemas.show_session, limit)


@sessions.get("/{int:session_id}", response=responses({200: schemas.SessionOut}))
def get_session(request: HttpRequest, session_id: int) -> Any:
    """One session."""
    return schemas.show_session(get_object_or_404(_sessions(request), pk=session_id))


@sessions.get("/{int:session_id}/activity", response=responses({200: Page[schemas.ActivityOut]}))
def list_activity(request: HttpRequest, session_id: int, after: Cursor = 0, limit: Limit = 200) -> Any:
    """What was written behind the revision `after`, in the order of writing; an entry that changed comes again with
    its new `rev`. `seq` is its place in the session. With `Accept: text/event-stream` the same comes as it happens."""
    session = get_object_or_404(_sessions(request), pk=session_id)
    rows = Activity.objects.filter(session=session, rev__gt=after).order_by("rev", "seq")
    return page(rows, schemas.show_activity, _fitting(rows, limit), field="rev")


def _fitting(rows: QuerySet[Activity], limit: int) -> int:
    """How many of the rows fit a reply: a single one can be megabytes."""
    sizes = rows.annotate(size=Length("text") + Length("output")).values_list("size", flat=True)[:limit]
    fitting: int = sum(total <= PAGE_CHARACTERS for total in accumulate(sizes))
    return max(1, fitting)


def _sessions(request: HttpRequest) -> Any:
    return Session.objects.visible_to(request.user).select_related("attempt__task__project")


# --- requests -------------------------------------------------------------------------------------------------------


@requests.get("", response=responses({200: Page[schemas.RequestOut]}))
def list_requests(
    request: HttpRequest,
    task: Id | None = None,
    state: Request.State = Request.State.OPEN,
    cursor: Cursor = 0,
    limit: Limit = 100,
) -> Any:
    """What agents ask of people, oldest first; the open ones unless `state` says otherwise."""
    rows = _requests(request).filter(state=state, pk__gt=cursor).order_by("pk")
    if task is not None:
        rows = rows.filter(session__attempt__task_id=task)
    return page(rows, schemas.show_request, limit)


@requests.post("/{int:request_id}/answer", response=responses({200: schemas.RequestOut}, 409))
def answer(request: HttpRequest, request_id: int, given: schemas.AnswerIn) -> Any:
    """Answer it; the first answer wins, and 409 says who was first. To allow is to let the agent do it on this machine."""
    asked = get_object_or_404(_requests(request), pk=request_id)
    asked.session.task.project.require(request.user, Role.MEMBER)
    asked.give_answer(_answer_to(asked, given), by=request.user)
    return schemas.show_request(_requests(request).get(pk=request_id))


def _requests(request: HttpRequest) -> Any:
    return Request.objects.visible_to(request.user).select_related("session__attempt__task__project")


def _answer_to(asked: Request, given: schemas.AnswerIn) -> dict[str, Any]:
    if asked.kind == Request.Kind.PERMISSION:
        if given.reply is None or given.answers is not None or given.reject:
            raise _wrong("reply", "A permission is answered with reply: once, always or reject.")
        return {"reply": given.reply, "message": given.message}
    if given.reply is not None or given.message:
        raise _wrong("answers", "A question is answered with answers, or with reject: true.")
    if given.reject and given.answers is None:
        return {"reject": True}
    questions = asked.body.get("questions", [])
    if given.reject or given.answers is None or len(given.answers) != len(questions):
        raise _wrong("answers", f"Give a list of labels for each of the {len(questions)} questions.")
    if any(not chosen or not all(label.strip() for label in chosen) for chosen in given.answers):
        raise _wrong("answers", "Each question needs at least one label, and none may be empty.")
    return {"answers": given.answers}


def _wrong(field: str, message: str) -> Invalid:
    return Invalid("The answer does not fit.", fields={field: message})
