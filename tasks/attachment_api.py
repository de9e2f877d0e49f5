"""The API of attached files."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from ninja import File, Router, Schema
from ninja.files import UploadedFile
from ninja.responses import Status as Reply

from studio.api import Cursor, Limit, Page, Timestamp, page, responses
from studio.roles import Role
from tasks.api import find
from tasks.attachment_pages import find as find_attachment
from tasks.attachment_pages import serve
from tasks.models import Attachment
from tasks.models.attachment import stage

tasks = Router(tags=["Attachments"])
attachments = Router(tags=["Attachments"])


class AttachmentOut(Schema):
    """A file. `size` is in bytes, `media_type` what the bytes say; its content is at `url`."""

    id: int
    task: int
    name: str
    media_type: str
    size: int
    by: int | None
    created_at: Timestamp
    url: str


@tasks.get("/{int:task_id}/attachments", response=responses({200: Page[AttachmentOut]}))
def list_attachments(request: HttpRequest, task_id: int, cursor: Cursor = 0, limit: Limit = 100) -> Any:
    """All files of the task, those of messages too, oldest first."""
    rows = find(request, task_id).attachments.filter(pk__gt=cursor)
    return page(rows.order_by("pk"), show_attachment, limit)


@tasks.post("/{int:task_id}/attachments", response=responses({201: AttachmentOut}, 413))
def attach(request: HttpRequest, task_id: int, file: File[UploadedFile]) -> Any:
    """Give the task a file, as `multipart/form-data`. It belongs to the description until a message takes it."""
    task = find(request, task_id, Role.MEMBER)
    drafts = stage([file])
    with transaction.atomic():
        task.lock()
        (made,) = task.attachments.keep(task, drafts, by=request.user)
    return Reply(201, show_attachment(made))


@attachments.get("/{int:attachment_id}", response=responses({200: AttachmentOut}))
def get_attachment(request: HttpRequest, attachment_id: int) -> Any:
    """One file, without its content."""
    return show_attachment(find_attachment(request, attachment_id))


@attachments.get("/{int:attachment_id}/content", response=responses({200: None}))
def get_attachment_content(request: HttpRequest, attachment_id: int) -> HttpResponseBase:
    """The bytes."""
    return serve(find_attachment(request, attachment_id))


@attachments.delete("/{int:attachment_id}", response=responses({204: None}, 409))
def remove_attachment(request: HttpRequest, attachment_id: int) -> Any:
    """Take it away. 409 (`sent_already`) once the agent has had the message that it is with."""
    found = find_attachment(request, attachment_id)
    found.task.project.require(request.user, Role.MEMBER)
    found.remove(by=request.user)
    return Reply(204, None)


def show_attachment(found: Attachment) -> dict[str, Any]:
    """A file as scripts get it."""
    return {
        "id": found.pk,
        "task": found.task_id,
        "name": found.name,
        "media_type": found.media_type,
        "size": found.size,
        "by": found.by_id,
        "created_at": found.created_at.isoformat(),
        "url": f"/api/attachments/{found.pk}/content",
    }
