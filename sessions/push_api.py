"""The API of pushing a task's branch, and of the project's remote."""

from typing import Annotated, Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from ninja.responses import Status as Reply
from pydantic import StringConstraints

from sessions import pushing
from sessions.models import Push
from sessions.models.push import PushState
from studio.api import Input, Missing, Text, Timestamp, responses
from studio.roles import Role
from tasks.api import find
from tasks.models import Forge, Project, Remote
from tasks.models.remote import NAME

tasks = Router(tags=["Tasks"])
projects = Router(tags=["Projects"])


class PushOut(Schema):
    """A failure has a stable `reason`, a `message` that says what to do, and git's own words as `detail`. `compare_url` is the
    forge's page that offers a pull request; empty where no forge is known."""

    id: int
    task_id: int
    oid: str
    remote: str
    url: str
    branch: str
    base: str
    compare_url: str
    state: PushState
    reason: str
    message: str
    detail: str
    created_at: Timestamp
    ended_at: Timestamp | None


class RemoteIn(Input):
    """What is left out stands as it does by default: `origin`, and the forge that its address names."""

    name: Annotated[Text, StringConstraints(pattern=NAME.replace(r"\A", "^").replace(r"\Z", "$"))] = "origin"
    forge: Forge = Forge.AUTO


class RemoteOut(Schema):
    """The remote that branches of the project are pushed to; `forge` is empty where its address says which it is."""

    name: str
    forge: Forge


@tasks.post("/{int:task_id}/push", response=responses({202: PushOut}, 409))
def push(request: HttpRequest, task_id: int) -> Any:
    """Push the change to the project's remote, as a branch of the attempt's own. Safe to repeat; ask for it until it has ended."""
    return Reply(202, show_push(pushing.ask(find(request, task_id, Role.MEMBER), by=request.user)))


@tasks.get("/{int:task_id}/push", response=responses({200: PushOut}))
def get_push(request: HttpRequest, task_id: int) -> Any:
    """How the last push of the task went."""
    found = Push.objects.filter(task=find(request, task_id)).first()
    if found is None:
        raise Missing("Nothing of this task has been pushed.", code="no_push")
    return show_push(found)


@projects.get("/{int:project_id}/remote", response=responses({200: RemoteOut}))
def get_remote(request: HttpRequest, project_id: int) -> Any:
    """Which remote the project's branches are pushed to."""
    return _shown(Remote.of(get_object_or_404(Project.objects.visible_to(request.user), pk=project_id)))


@projects.put("/{int:project_id}/remote", response=responses({200: RemoteOut}))
def put_remote(request: HttpRequest, project_id: int, remote: RemoteIn) -> Any:
    """Choose it; for maintainers."""
    project = get_object_or_404(Project.objects.visible_to(request.user), pk=project_id)
    project.require(request.user, Role.MAINTAINER)
    return _shown(Remote.put(project, by=request.user, **remote.dict()))


def show_push(push: Push) -> dict[str, Any]:
    """As `PushOut`."""
    plain = ["task_id", "oid", "remote", "url", "branch", "base", "compare_url", "state", "reason", "detail"]
    return {name: getattr(push, name) for name in plain} | {
        "id": push.pk,
        "message": f"{push.get_reason_display()}. {push.advice}" if push.reason else "",
        "created_at": push.created_at.isoformat(),
        "ended_at": push.ended_at and push.ended_at.isoformat(),
    }


def _shown(remote: Remote) -> dict[str, str]:
    return {"name": remote.name, "forge": str(remote.forge)}
