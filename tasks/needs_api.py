"""The API of what waits for you."""

from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema
from ninja.responses import Status as Reply

from studio.api import Timestamp, responses
from studio.roles import Role
from tasks import needs
from tasks.api import find
from tasks.models import Attention

needs_you = Router(tags=["Tasks"])
tasks = Router(tags=["Tasks"])


class NeedOut(Schema):
    """One task that waits for a person. Its requests are answered at `/api/requests/{id}/answer`."""

    task_id: int
    key: str
    project: int
    title: str
    kind: str = Field(description="plan, permission, question, review, failure, limit or rest.")
    words: str
    about: str
    since: Timestamp
    requests: list[int]
    attended_by: int | None
    attended_since: Timestamp | None


class NeedsOut(Schema):
    """The oldest first."""

    items: list[NeedOut]


@needs_you.get("", response=responses({200: NeedsOut}))
def list_needs(request: HttpRequest) -> Any:
    """What waits for you in the projects where you are at least a member."""
    return {"items": [show_need(need) for need in needs.of(request.user)]}


@tasks.post("/{int:task_id}/attend", response=responses({204: None}))
def attend(request: HttpRequest, task_id: int) -> Any:
    """Say that you look at it, for half an hour; whoever did before no longer does."""
    Attention.attend(find(request, task_id, Role.MEMBER), by=request.user)
    return Reply(204, None)


@tasks.post("/{int:task_id}/leave", response=responses({204: None}))
def leave(request: HttpRequest, task_id: int) -> Any:
    """Say that you do not look at it any more."""
    Attention.leave(find(request, task_id, Role.MEMBER), by=request.user)
    return Reply(204, None)


def show_need(need: needs.Need) -> dict[str, Any]:
    """As `NeedOut`."""
    task, words, attention = need.task, need.standing.words, need.attention
    return {
        "task_id": task.pk,
        "key": task.key,
        "project": task.project_id,
        "title": task.title,
        "kind": need.kind,
        "words": words.text,
        "about": words.about,
        "since": need.since.isoformat(),
        "requests": [asked.pk for asked in need.requests],
        "attended_by": attention.by_id if attention else None,
        "attended_since": attention.since.isoformat() if attention else None,
    }
