"""Clone: a repository that is being fetched from an address, and the project that comes of it."""

import os
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from sessions.workspaces.cloning import LONGEST_URL, Trouble
from studio import processes, queue
from studio.errors import Conflict
from tasks.models import Project


class CloneState(models.TextChoices):
    QUEUED = "queued", "Waits"
    RUNNING = "running", "Is being cloned"
    DONE = "done", "Cloned"
    FAILED = "failed", "Failed"


LIVE = (CloneState.QUEUED, CloneState.RUNNING)


class CloneQuerySet(models.QuerySet["Clone"]):
    def visible_to(self, user: Any) -> "CloneQuerySet":
        """Those that the person asked for; all, for an admin of this Studio."""
        return self if user.is_superuser else self.filter(by_id=user.pk)


class Clone(models.Model):
    """`fence` rises with each claim; only who has the current one writes. The folder is `clones/<id>` of the data folder, once whole."""

    url = models.CharField(max_length=LONGEST_URL)
    name = models.CharField(max_length=100)
    key = models.CharField(max_length=10)
    target_branch = models.CharField(max_length=200, blank=True)
    checks = models.JSONField(default=list, blank=True)
    state = models.CharField(max_length=10, choices=CloneState.choices, default=CloneState.QUEUED)
    progress = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=20, choices=Trouble.choices, blank=True)
    detail = models.TextField(blank=True)
    project = models.ForeignKey(Project, on_delete=models.SET_NULL, null=True, related_name="clones")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    fence = models.PositiveBigIntegerField(default=0)
    pid = models.PositiveIntegerField(default=0)
    pid_started = models.PositiveBigIntegerField(default=0)
    cancel_requested_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    objects = CloneQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return f"{self.url}: {self.state}"

    @property
    def is_live(self) -> bool:
        """Whether it waits or runs."""
        return self.state in LIVE

    @property
    def is_stopping(self) -> bool:
        """Whether a person has cancelled it, and git is being ended."""
        return self.is_live and self.cancel_requested_at is not None

    @property
    def advice(self) -> str:
        """What to do about its failure."""
        return Trouble(self.reason).advice if self.reason else ""

    # --- verbs of people --------------------------------------------------------------------------------------------

    @classmethod
    def ask(cls, *, by: Any, **fields: Any) -> "Clone":
        """Have a repository cloned; the fields were validated."""
        with transaction.atomic():
            clone = cls.objects.create(by=by, **fields)
            queue.ring_clone()
        return clone

    def cancel(self) -> None:
        """Stop it: at once where it waits, else git is ended within a second. Raises Conflict once it has ended."""
        with transaction.atomic():
            now = timezone.now()
            mine = Clone.objects.filter(pk=self.pk)
            ended = {"state": CloneState.FAILED, "reason": Trouble.CANCELLED, "ended_at": now}
            waiting = mine.filter(state=CloneState.QUEUED).update(**ended)
            if not waiting and not mine.filter(state=CloneState.RUNNING).update(cancel_requested_at=now):
                raise Conflict("It has ended already.", code="ended")

    def retry(self) -> None:
        """Clone it again from the start. Raises Conflict where it has not failed."""
        with transaction.atomic():
            failed = Clone.objects.filter(pk=self.pk, state=CloneState.FAILED)
            fresh = {
                "progress": "",
                "reason": "",
                "detail": "",
                "cancel_requested_at": None,
                "ended_at": None,
            }
            if not failed.update(state=CloneState.QUEUED, **fresh):
                raise Conflict("It has not failed.", code="not_failed")
            queue.ring_clone()

    # --- verbs of the job that has it ---------------------------------------------------------------------------------

    @classmethod
    def claim(cls) -> "Clone | None":
        """Take the one that waits longest; None where none does."""
        while found := cls.objects.filter(state=CloneState.QUEUED).order_by("pk").first():
            won = cls.objects.filter(pk=found.pk, state=CloneState.QUEUED, fence=found.fence).update(
                state=CloneState.RUNNING,
                fence=F("fence") + 1,
                pid=os.getpid(),
                pid_started=processes.started(os.getpid()),
            )
            if won:
                found.refresh_from_db()
                return found
        return None

    @property
    def held(self) -> "models.QuerySet[Clone]":
        """Its row, as long as this claim holds it."""
        return Clone.objects.filter(pk=self.pk, state=CloneState.RUNNING, fence=self.fence)

    def hand_back(self) -> None:
        """Let another job begin it anew."""
        with transaction.atomic():
            if self.held.update(state=CloneState.QUEUED, pid=0, progress=""):
                queue.ring_clone()

    def fail(self, trouble: Trouble, detail: str) -> None:
        """It came to nothing."""
        self.held.update(
            state=CloneState.FAILED, reason=trouble, detail=detail, progress="", ended_at=timezone.now()
        )

    @classmethod
    def take_back(cls) -> None:
        """Queue again what a dead process has left, and ring for what waits."""
        for clone in cls.objects.filter(state=CloneState.RUNNING):
            if not processes.is_alive(clone.pid, clone.pid_started):
                clone.hand_back()
        if cls.objects.filter(state=CloneState.QUEUED).exists():
            queue.ring_clone()
