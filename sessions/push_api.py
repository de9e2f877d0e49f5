"""The API of pushing a task's branch, of its pull request, and of the project's remote."""

from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from ninja.responses import Status as Reply
from pydantic import AfterValidator, StringConstraints

from sessions import pull_requests, pushing
from sessions.models import PullRequest, Push
from sessions.models.pull_request import PullRequestState, Work
from sessions.models.push import PushState
from studio.api import Input, Missing, Text, Timestamp, responses
from studio.roles import Role
from tasks.api import find
from tasks.models import Forge, Project, Remote
from tasks.models.remote import NAME, validate_api_url

tasks = Router(tags=["Tasks"])
projects = Router(tags=["Projects"])


def _api_url(url: str) -> str:
    try:
        if url:
            validate_api_url(url)
    except ValidationError as wrong:
        raise ValueError(wrong.message) from wrong
    return url


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


class PullRequestOut(Schema):
    """`state` is open, merged or closed, and empty until it is opened; `work` says whether the forge is asked (`queued`, also
    while it waits for `try_at`; `running`), `idle` or `failed`. A failure has a stable `reason`, a `message` that says what to
    do, and the forge's own words as `detail`."""

    id: int
    task_id: int
    number: int | None
    url: str
    state: PullRequestState
    branch: str
    base: str
    oid: str
    work: Work
    reason: str
    message: str
    detail: str
    try_at: Timestamp | None
    looked_at: Timestamp | None


class RemoteIn(Input):
    """What is left out stands as it does by default: `origin`, and the forge and the API that its address names. Without a `token`
    it keeps the one that it has, and an empty one removes it."""

    name: Annotated[Text, StringConstraints(pattern=NAME.replace(r"\A", "^").replace(r"\Z", "$"))] = "origin"
    forge: Forge = Forge.AUTO
    api_url: Annotated[Text, StringConstraints(max_length=500), AfterValidator(_api_url)] = ""
    token: Annotated[Text, StringConstraints(max_length=1000)] | None = None


class RemoteOut(Schema):
    """The remote that branches of the project are pushed to; `forge` is empty where its address says which it is, and so is
    `api_url`. The token is told to nobody."""

    name: str
    forge: Forge
    api_url: str
    has_token: bool


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


@tasks.get("/{int:task_id}/pull-request", response=responses({200: PullRequestOut}))
def get_pull_request(request: HttpRequest, task_id: int) -> Any:
    """The pull request of the task's current attempt, as the forge told it last."""
    found = pull_requests.of(find(request, task_id))
    if found is None:
        raise Missing("This task has no pull request.", code="no_pull_request")
    return show_pull_request(found)


@tasks.post("/{int:task_id}/pull-request", response=responses({202: PullRequestOut}, 409))
def refresh_pull_request(request: HttpRequest, task_id: int) -> Any:
    """Have the forge asked how it stands, or once more for what failed. Safe to repeat."""
    return Reply(202, show_pull_request(pull_requests.refresh(find(request, task_id, Role.MEMBER))))


@projects.get("/{int:project_id}/remote", response=responses({200: RemoteOut}))
def get_remote(request: HttpRequest, project_id: int) -> Any:
    """Which remote the project's branches are pushed to."""
    return _shown(Remote.of(get_object_or_404(Project.objects.visible_to(request.user), pk=project_id)))


@projects.put("/{int:project_id}/remote", response=responses({200: RemoteOut}))
def put_remote(request: HttpRequest, project_id: int, remote: RemoteIn) -> Any:
    """Choose it; for maintainers."""
    project = get_object_or_404(Project.objects.visible_to(request.user), pk=project_id)
    project.require(request.user, Role.MAINTAINER)
    return _shown(pull_requests.set_remote(project, by=request.user, **remote.dict()))


def show_push(push: Push) -> dict[str, Any]:
    """As `PushOut`."""
    plain = ["task_id", "oid", "remote", "url", "branch", "base", "compare_url", "state", "reason", "detail"]
    return {name: getattr(push, name) for name in plain} | {
        "id": push.pk,
        "message": f"{push.get_reason_display()}. {push.advice}" if push.reason else "",
        "created_at": push.created_at.isoformat(),
        "ended_at": push.ended_at and push.ended_at.isoformat(),
    }


def show_pull_request(pull: PullRequest) -> dict[str, Any]:
    """As `PullRequestOut`."""
    plain = ["task_id", "number", "url", "state", "branch", "base", "oid", "work", "reason", "detail"]
    return {name: getattr(pull, name) for name in plain} | {
        "id": pull.pk,
        "message": f"{pull.get_reason_display()}. {pull.advice}" if pull.reason else "",
        "try_at": pull.try_at and pull.try_at.isoformat(),
        "looked_at": pull.looked_at and pull.looked_at.isoformat(),
    }


def _shown(remote: Remote) -> dict[str, Any]:
    return {
        "name": remote.name,
        "forge": str(remote.forge),
        "api_url": remote.api_url,
        "has_token": remote.has_token,
    }
