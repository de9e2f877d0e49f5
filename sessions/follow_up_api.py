"""The API of what people write to an agent."""

from typing import Annotated, Any, Literal

from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema
from ninja.responses import Status as Reply
from pydantic import StringConstraints

from sessions.models import FollowUp
from sessions.models.follow_up import TEXT_LIMIT
from studio.api import Cursor, FilledText, Id, Input, Limit, Page, Timestamp, page, responses
from studio.errors import Invalid
from studio.repeat import DOCUMENTED, repeatable
from studio.roles import Role
from tasks.api import find
from tasks.attachment_api import AttachmentOut, show_attachment
from tasks.models.attachment import MOST

tasks = Router(tags=["Follow-ups"])
follow_ups = Router(tags=["Follow-ups"])

Words = Annotated[FilledText, StringConstraints(max_length=TEXT_LIMIT)]


class FollowUpIn(Input):
    """`interrupt`: stop what the agent does now, and send it at once; else it waits until the agent has ended its turn.
    `attachments`: ids of the task's attachments that it takes."""

    text: Words
    interrupt: bool = False
    attachments: Annotated[list[Id], Field(max_length=MOST)] = []


class FollowUpChange(Input):
    """`place` counts from 1 within what waits."""

    text: Words | None = None
    place: Annotated[int, Field(ge=1, le=1000)] | None = None


class FollowUpOut(Schema):
    """`place` is where it stands in the queue, null unless it waits there. `session_id`: which session hears, or heard it."""

    id: int
    task: int
    attempt: int
    by: int | None
    text: str
    state: Literal["queued", "sending", "sent", "withdrawn"]
    place: int | None
    session_id: int | None
    created_at: Timestamp
    edited_at: Timestamp | None
    sent_at: Timestamp | None
    attachments: list[AttachmentOut]


@tasks.get("/{int:task_id}/follow-ups", response=responses({200: Page[FollowUpOut]}))
def list_follow_ups(request: HttpRequest, task_id: int, cursor: Cursor = 0, limit: Limit = 100) -> Any:
    """What people wrote to its agents, oldest first."""
    find(request, task_id)
    rows = FollowUp.objects.filter(attempt__task=task_id, pk__gt=cursor).select_related("attempt")
    return page(rows.order_by("pk"), show, limit)


@tasks.post(
    "/{int:task_id}/follow-ups", response=responses({201: FollowUpOut}, 409), openapi_extra=DOCUMENTED
)
@repeatable
def write_follow_up(request: HttpRequest, task_id: int, new: FollowUpIn) -> Any:
    """Write to the agent: sent at once where nothing runs, else queued. 409 says why it can hear nothing now."""
    task = find(request, task_id, Role.MEMBER)
    message = FollowUp.objects.write(
        task, new.text, by=request.user, interrupt=new.interrupt, attachments=new.attachments
    )
    return Reply(201, show(message))


@follow_ups.patch("/{int:follow_up_id}", response=responses({200: FollowUpOut}, 409))
def change_follow_up(request: HttpRequest, follow_up_id: int, change: FollowUpChange) -> Any:
    """Change the words of your message, or anybody's place, while it waits."""
    message = _message(request, follow_up_id)
    if change.text is None and change.place is None:
        raise Invalid("Nothing to change.", fields={"text": "Give a text or a place."})
    with transaction.atomic():
        if change.text is not None:
            message.edit(change.text, by=request.user)
        if change.place is not None:
            message.move_to(change.place, by=request.user)
    return show(message)


@follow_ups.delete("/{int:follow_up_id}", response=responses({204: None}, 409))
def withdraw_follow_up(request: HttpRequest, follow_up_id: int) -> Any:
    """Delete it while it waits."""
    _message(request, follow_up_id).withdraw(by=request.user)
    return Reply(204, None)


def show(message: FollowUp) -> dict[str, Any]:
    """A message as scripts get it."""
    waiting = message.state == FollowUp.State.QUEUED
    order = list(message.attempt.follow_ups.queued().values_list("pk", flat=True)) if waiting else []
    return {
        "id": message.pk,
        "task": message.attempt.task_id,
        "attempt": message.attempt_id,
        "by": message.by_id,
        "text": message.text,
        "state": message.state,
        "place": order.index(message.pk) + 1 if message.pk in order else None,
        "session_id": message.session_id,
        "created_at": message.created_at.isoformat(),
        "edited_at": message.edited_at and message.edited_at.isoformat(),
        "sent_at": message.sent_at and message.sent_at.isoformat(),
        "attachments": [show_attachment(each) for each in message.attachments.all()],
    }


def _message(request: HttpRequest, pk: int) -> FollowUp:
    rows = FollowUp.objects.visible_to(request.user).select_related("attempt__task__project")
    message: FollowUp = get_object_or_404(rows, pk=pk)
    message.task.project.require(request.user, Role.MEMBER)
    return message
