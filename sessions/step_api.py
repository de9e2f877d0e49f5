"""The API of a plan's phases: how far the work is, and steering it."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema
from pydantic import StringConstraints

from sessions.models import Step
from sessions.models.step import REASON_LIMIT
from studio.api import Cursor, FilledText, Input, Limit, Page, Timestamp, page, responses
from studio.roles import Role
from tasks.api import find

tasks = Router(tags=["Steps"])
steps = Router(tags=["Steps"])


class SkipIn(Input):
    """Why it is left out."""

    reason: Annotated[FilledText, StringConstraints(max_length=REASON_LIMIT)]


class StepOut(Schema):
    """A phase of the accepted plan. `commit` is empty where it changed nothing, `seconds` null before it has run; `replaced`: a newer plan was accepted."""

    id: int
    task: int
    attempt: int
    plan_version: int
    number: int = Field(description="Counts from 1 in the order of the plan.")
    title: str
    body: str
    state: Literal["open", "queued", "running", "failed", "completed", "skipped", "replaced"]
    pause_after: bool
    reason: str = Field(description="Why a person skipped it.")
    by: int | None = Field(description="Who skipped it.")
    summary: str = Field(description="What its agent hands over to the next phase.")
    commit: str
    sessions: list[int]
    seconds: float | None
    cost: float
    ended_at: Timestamp | None


@tasks.get("/{int:task_id}/steps", response=responses({200: Page[StepOut]}))
def list_steps(request: HttpRequest, task_id: int, cursor: Cursor = 0, limit: Limit = 100) -> Any:
    """The phases of the plans that its attempts are built by, oldest first; none where a plan has fewer than two."""
    find(request, task_id)
    rows = Step.objects.filter(attempt__task=task_id, pk__gt=cursor).order_by("pk")
    return page(rows.select_related("attempt").prefetch_related("sessions"), show, limit)


@steps.post("/{int:step_id}/pause", response=responses({200: StepOut}, 409))
def pause_step(request: HttpRequest, step_id: int) -> Any:
    """Let the work stop after this phase, until somebody lets it go on."""
    step = _step(request, step_id)
    step.pause(by=request.user)
    return show(step)


@steps.post("/{int:step_id}/go-on", response=responses({200: StepOut}, 409))
def go_on_step(request: HttpRequest, step_id: int) -> Any:
    """Lift the pause after this phase; where the work rests there, it goes on."""
    step = _step(request, step_id)
    step.go_on(by=request.user)
    return show(step)


@steps.post("/{int:step_id}/retry", response=responses({200: StepOut}, 409))
def retry_step(request: HttpRequest, step_id: int) -> Any:
    """Run this phase again, on what there is now; nothing else may be at work."""
    step = _step(request, step_id)
    step.retry(by=request.user)
    return show(step)


@steps.post("/{int:step_id}/skip", response=responses({200: StepOut}, 409))
def skip_step(request: HttpRequest, step_id: int, skip: SkipIn) -> Any:
    """Leave this phase out. It starts nothing: where nothing runs, `execute` goes on."""
    step = _step(request, step_id)
    step.skip(skip.reason, by=request.user)
    return show(step)


def show(step: Step) -> dict[str, Any]:
    """As `StepOut`; load its attempt and sessions with it."""
    plain = ["id", "plan_version", "number", "title", "body", "pause_after", "reason", "summary", "commit"]
    return {name: getattr(step, name) for name in plain} | {
        "task": step.attempt.task_id,
        "attempt": step.attempt_id,
        "state": step.standing,
        "by": step.by_id,
        "sessions": [session.pk for session in step.runs],
        "seconds": step.seconds,
        "cost": float(step.cost),
        "ended_at": step.ended_at and step.ended_at.isoformat(),
    }


def _step(request: HttpRequest, pk: int) -> Step:
    rows = Step.objects.visible_to(request.user).select_related("attempt__task__project")
    step: Step = get_object_or_404(rows, pk=pk)
    step.task.project.require(request.user, Role.MEMBER)
    return step
