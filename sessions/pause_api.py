"""The API of pauses: a project, or everything."""

from typing import Annotated, Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema
from ninja.responses import Status as Reply
from pydantic import StringConstraints

from sessions import pauses
from sessions.models import Pause
from sessions.models.pause import Running
from studio.api import Input, Text, Timestamp, responses
from tasks.models import Project

projects = Router(tags=["Projects"])
queue = Router(tags=["Queue"])


class PauseIn(Input):
    """Why, and what becomes of the sessions that run: `finish` or `interrupt`."""

    reason: Annotated[Text, StringConstraints(max_length=200)] = ""
    running: Running = Running.FINISH


class PauseOut(Schema):
    """`project` is null where everything is paused, `by` where an operator's command did it."""

    project: int | None
    by: int | None
    since: Timestamp
    reason: str
    running: Running
    at_work: int = Field(description="How many sessions still run; at 0 it is drained.")
    drained: bool


@projects.post("/{int:project_id}/pause", response=responses({200: PauseOut}, 409))
def pause_project(request: HttpRequest, project_id: int, pause: PauseIn | None = None) -> Any:
    """Start nothing more in the project until it is resumed; its maintainers may. 409 (`paused`) where it is paused already."""
    return _pause(request, _project(request, project_id), pause)


@projects.post("/{int:project_id}/resume", response=responses({204: None}, 409))
def resume_project(request: HttpRequest, project_id: int) -> Any:
    """Go on. 409 (`not_paused`) where it is not paused."""
    return _resume(request, _project(request, project_id))


@queue.post("/pause", response=responses({200: PauseOut}, 409))
def pause_all(request: HttpRequest, pause: PauseIn | None = None) -> Any:
    """Start nothing more in any project; admins of this Studio may."""
    return _pause(request, None, pause)


@queue.post("/resume", response=responses({204: None}, 409))
def resume_all(request: HttpRequest) -> Any:
    """Go on, but in projects that are paused themselves."""
    return _resume(request, None)


def _pause(request: HttpRequest, project: Project | None, pause: PauseIn | None) -> dict[str, Any]:
    Pause.require(request.user, project)
    return show_pause(Pause.begin(project, by=request.user, **(pause or PauseIn()).dict()))


def _resume(request: HttpRequest, project: Project | None) -> Reply[None]:
    Pause.require(request.user, project)
    Pause.resume(project, by=request.user)
    return Reply(204, None)


def show_pause(pause: Pause) -> dict[str, Any]:
    """As `PauseOut`."""
    running = pauses.at_work(pause)
    return {
        "project": pause.project_id,
        "by": pause.by_id,
        "since": pause.since.isoformat(),
        "reason": pause.reason,
        "running": pause.running,
        "at_work": running,
        "drained": not running,
    }


def _project(request: HttpRequest, project_id: int) -> Project:
    found: Project = get_object_or_404(Project.objects.visible_to(request.user), pk=project_id)
    return found
