"""Attachment: a file that a person gave to a task, for its agents to read. The row is the truth: a file without one is swept."""

import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.uploadedfile import UploadedFile
from django.db import models, transaction
from django.urls import reverse
from django.utils.text import get_valid_filename

from studio import disk
from studio.errors import Conflict, Invalid

if TYPE_CHECKING:
    from tasks.models.task import Task

MEGABYTE = 1024 * 1024
LARGEST = 10 * MEGABYTE
LARGEST_SHOWN = 5 * MEGABYTE  # of an image that goes to the model itself: more than that providers refuse
LARGEST_TOTAL = 25 * MEGABYTE  # of what is sent at a time
MOST = 10  # at a time
MOST_OF_TASK = 100
LONGEST_NAME = 120  # bytes
LONGEST_ENDING = 20  # characters
LIMITS = f"Up to {MOST} files of {LARGEST // MEGABYTE} MB each, {LARGEST_TOTAL // MEGABYTE} MB in all."
TEXT, BINARY = "text/plain", "application/octet-stream"
SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
INCOMING = "incoming"  # the folder of what has no task yet


@dataclass(frozen=True)
class Draft:
    """A file that has been looked at and lies on the disk, and has no row yet."""

    token: str
    name: str
    media_type: str
    size: int


def root() -> Path:
    """Where all attachments lie: `<task>/<token>/<name>`."""
    return Path(settings.STUDIO_HOME) / "attachments"


def folder(task_id: int) -> Path:
    """Where those of a task lie; its agents can read it, under the same path."""
    return root() / str(task_id)


def check(files: Sequence[UploadedFile]) -> None:
    """Raises Invalid with `attached` where there are too many, or one is empty or too large."""
    wrong = ""
    large = next((each for each in files if (each.size or 0) > LARGEST), None)
    empty = next((each for each in files if not each.size), None)
    if len(files) > MOST:
        wrong = f"These are {len(files)} files. {LIMITS}"
    elif large is not None:
        wrong = f"{large.name} is too large. {LIMITS}"
    elif empty is not None:
        wrong = f"{empty.name} is empty."
    elif sum(each.size or 0 for each in files) > LARGEST_TOTAL:
        wrong = f"Together they are too large. {LIMITS}"
    if wrong:
        raise Invalid(wrong, fields={"attached": wrong})


def stage(files: Sequence[UploadedFile]) -> list[Draft]:
    """Write them to the disk, outside of any transaction: that takes its time. Raises Invalid and NoSpace."""
    check(files)
    if files:
        disk.require()
    return [_stage(each) for each in files]


def _stage(file: UploadedFile) -> Draft:
    token, name = secrets.token_hex(16), safe_name(file.name or "")
    place = root() / INCOMING / token / name
    place.parent.mkdir(parents=True, mode=0o700)
    with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as stream:
        shutil.copyfileobj(file, stream)
        stream.flush()
        os.fsync(stream.fileno())
    return Draft(token, name, media_type(place), place.stat().st_size)


def safe_name(name: str) -> str:
    """A name that is harmless in a path, a header and a prompt: letters, digits, `-`, `_` and `.`, and not hidden."""
    try:
        name = get_valid_filename(name.rpartition("/")[2]).lstrip(".-")
    except SuspiciousFileOperation:
        name = ""
    stem, ending = os.path.splitext(name)
    ending = ending[:LONGEST_ENDING]
    room = LONGEST_NAME - len(ending.encode())
    return (stem.encode()[:room].decode(errors="ignore") or "file") + ending


def media_type(place: Path) -> str:
    """What the bytes say that it is, whatever its name: an image that browsers show, a text in UTF-8, or anything else."""
    content = place.read_bytes()
    for signature, known in SIGNATURES.items():
        if content.startswith(signature):
            return known
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    try:
        return BINARY if "\x00" in content.decode() else TEXT
    except UnicodeDecodeError:
        return BINARY


class AttachmentQuerySet(models.QuerySet["Attachment"]):
    def visible_to(self, user: Any) -> "AttachmentQuerySet":
        """Those in the projects that the person may see."""
        if user.is_superuser:
            return self
        mine = self.filter(task__project__memberships__user_id=user.pk)
        return mine if user.is_authenticated else self.none()

    def of_description(self) -> "AttachmentQuerySet":
        """Those that belong to what was asked: no message has them."""
        return self.filter(follow_ups=None).order_by("pk")

    def keep(self, task: "Task", drafts: Iterable[Draft], *, by: Any) -> "list[Attachment]":
        """Make them the task's, in a transaction: when it is rolled back, the files are swept. Raises Invalid where it has too many."""
        drafts = list(drafts)
        if drafts and task.attachments.count() + len(drafts) > MOST_OF_TASK:
            wrong = f"A task takes {MOST_OF_TASK} files at most. Remove some first."
            raise Invalid(wrong, fields={"attached": wrong})
        return [self._keep(task, each, by) for each in drafts]

    def _keep(self, task: "Task", draft: Draft, by: Any) -> "Attachment":
        folder(task.pk).mkdir(parents=True, exist_ok=True, mode=0o700)
        (root() / INCOMING / draft.token).rename(folder(task.pk) / draft.token)
        facts = {"name": draft.name, "media_type": draft.media_type, "size": draft.size}
        made = self.create(task=task, token=draft.token, by=by, **facts)
        task.note("attachment.added", by=by, id=made.pk, name=made.name, size=made.size)
        return made


class Attachment(models.Model):
    """It belongs to the task's description until a message takes it (`follow_ups`)."""

    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="attachments")
    token = models.CharField(max_length=32, unique=True, editable=False, help_text="Names its folder.")
    name = models.CharField(max_length=200)
    media_type = models.CharField(max_length=100, help_text="By its bytes.")
    size = models.PositiveBigIntegerField(help_text="In bytes.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AttachmentQuerySet.as_manager()
    if TYPE_CHECKING:
        follow_ups: Any

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("tasks:attachment", args=[self.pk])

    @property
    def path(self) -> Path:
        """Where it lies, for agents too."""
        return folder(self.task_id) / self.token / self.name

    @property
    def is_image(self) -> bool:
        """Whether browsers may show it."""
        return self.media_type.startswith("image/")

    @property
    def goes_to_model(self) -> bool:
        """Whether a prompt that names it carries it: of other files the agent reads what it needs."""
        return self.is_image and self.size <= LARGEST_SHOWN

    def remove(self, *, by: Any) -> None:
        """Take it away, until the agent has had the message that it is with. Raises Conflict."""
        with transaction.atomic():
            self.task.lock()
            if self.follow_ups.filter(state__in=["sending", "sent"]).exists():
                raise Conflict("The agent has it already.", code="sent_already")
            self.task.note("attachment.removed", by=by, id=self.pk, name=self.name)
            place = self.path.parent
            self.delete()
            transaction.on_commit(lambda: shutil.rmtree(place, ignore_errors=True))
