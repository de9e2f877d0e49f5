"""The API of a change's landing: what it would run into, merging it, and having its conflicts resolved."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from ninja.responses import Status as Reply
from pydantic import StringConstraints

from sessions import landing, schemas
from sessions.models import Attempt
from studio.api import Input, Missing, Text, responses
from studio.repeat import DOCUMENTED, repeatable
from studio.roles import Role
from tasks.api import find
from tasks.models import Task
from tasks.models.project import MergeStrategy
from tasks.schemas import Branch

tasks = Router(tags=["Tasks"])


class MergeIn(Input):
    """How to land it; what is left out is as the project has it. Studio adds its trailers to the message."""

    strategy: MergeStrategy | Literal[""] = ""
    target: Branch = ""
    message: Annotated[Text, StringConstraints(max_length=landing.MESSAGE_LIMIT)] = ""


class ConflictedFileOut(Schema):
    """`hunks` are the places with git's marks; without any, `why` says what is wrong with the file."""

    path: str
    hunks: list[str]
    why: str


class ForecastOut(Schema):
    """Whether the change merges into `branch`, which stands on `target_oid`. `files` are those in conflict; `message` and
    `trailers` are what the commit would say."""

    task_id: int
    branch: str
    head_oid: str
    target_oid: str
    clean: bool
    contained: bool
    why: str
    files: list[ConflictedFileOut]
    strategy: str
    message: str
    trailers: str


@tasks.get("/{int:task_id}/conflicts", response=responses({200: ForecastOut}, 409))
def conflicts(request: HttpRequest, task_id: int) -> Any:
    """What a merge would run into now, and what it would say. Nothing is touched."""
    attempt = _attempt(find(request, task_id))
    task = attempt.task
    foreseen = landing.foresee(attempt)
    if foreseen is None:
        raise Missing(f"{task.key} has no change to merge.", code="nothing_to_merge")
    return {
        "task_id": task.pk,
        "branch": task.target,
        "head_oid": foreseen.head_oid,
        "target_oid": foreseen.target_oid,
        "clean": foreseen.is_clean,
        "contained": foreseen.contained,
        "why": foreseen.why,
        "files": [vars(file) for file in foreseen.files],
        "strategy": task.project.merge_strategy,
    } | landing.wording(attempt, by=request.user)


@tasks.post("/{int:task_id}/merge", response=responses({200: schemas.Merged}, 409))
def merge(request: HttpRequest, task_id: int, how: MergeIn | None = None) -> Any:
    """Land the change on its target branch and finish the task. 409 says what stands in the way."""
    task = find(request, task_id, Role.MEMBER)
    oid = landing.merge(task, by=request.user, **(how.dict() if how else {}))
    now = find(request, task_id)
    return {"task_id": task.pk, "status": str(now.status), "oid": oid, "branch": now.target}


@tasks.post(
    "/{int:task_id}/resolve-conflicts",
    response=responses({202: schemas.Started}, 409),
    openapi_extra=DOCUMENTED,
)
@repeatable
def resolve_conflicts(request: HttpRequest, task_id: int) -> Any:
    """Have the agent resolve the conflicts with the target branch, in its workspace; checks and review follow."""
    task = find(request, task_id, Role.MEMBER)
    session = landing.resolve_conflicts(task, by=request.user)
    message = f"{task.key}: the agent resolves the conflicts in session {session.pk}."
    reply = {"task_id": task.pk, "session_id": session.pk, "status": "execution_started", "message": message}
    return Reply(202, reply)


def _attempt(task: Task) -> Attempt:
    attempt = Attempt.objects.current_of(task)
    if attempt is None:
        raise Missing(f"{task.key} was never started, so there is nothing to merge.", code="no_attempt")
    return attempt
