"""PullRequest: what a forge has opened for an attempt's branch, and what is to be asked of the forge."""

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from sessions.forges.client import ForgeFailed, ForgeTrouble, Found
from sessions.models.attempt import Attempt
from studio import processes, queue
from tasks.models import Task

if TYPE_CHECKING:
    from sessions.models.push import Push

WAITS = (5, 15, 60, 300, 900)  # seconds before the next try, of what may pass
LOOK_SECONDS = 60  # a page that is opened has the forge asked again after so long


class PullRequestState(models.TextChoices):
    NONE = "", "Not opened"
    OPEN = "open", "Open"
    MERGED = "merged", "Merged"
    CLOSED = "closed", "Closed"


class Work(models.TextChoices):
    """What its job has to do."""

    IDLE = "idle", "Nothing"
    QUEUED = "queued", "Waits"
    RUNNING = "running", "Asks the forge"
    FAILED = "failed", "Failed"


LIVE = (Work.QUEUED, Work.RUNNING)


class PullRequest(models.Model):
    """One for a branch and its base in one repository of a forge. `wanted` until it is known which one there has the commit.

    `fence` rises with each claim; only who has the current one writes.
    """

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="pull_requests")
    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="pull_requests")
    place = models.CharField(max_length=1000, help_text="The repository in the forge's API.")
    remote = models.CharField(max_length=100)
    branch = models.CharField(max_length=200)
    base = models.CharField(max_length=200)
    oid = models.CharField(max_length=64)
    wanted = models.BooleanField(default=True)
    number = models.PositiveIntegerField(null=True)
    url = models.TextField(blank=True)
    state = models.CharField(
        max_length=10, choices=PullRequestState.choices, default=PullRequestState.NONE, blank=True
    )
    work = models.CharField(max_length=10, choices=Work.choices, default=Work.QUEUED)
    reason = models.CharField(max_length=20, choices=ForgeTrouble.choices, blank=True)
    detail = models.TextField(blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    try_at = models.DateTimeField(null=True)
    fence = models.PositiveBigIntegerField(default=0)
    pid = models.PositiveIntegerField(default=0)
    pid_started = models.PositiveBigIntegerField(default=0)
    looked_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["-updated_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["attempt", "place", "base"], name="one_pull_request_for_a_branch_and_its_base"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["work"], condition=Q(work__in=LIVE), name="pull_request_to_ask")
        ]

    def __str__(self) -> str:
        return f"{self.branch} into {self.base}: {f'#{self.number} ' if self.number else ''}{self.state or self.work}"

    @property
    def is_live(self) -> bool:
        """Whether its forge is asked, or will be."""
        return self.work in LIVE

    @property
    def advice(self) -> str:
        """What to do about its failure."""
        return ForgeTrouble(self.reason).advice if self.reason else ""

    # --- verbs ------------------------------------------------------------------------------------------------------

    @classmethod
    def want(cls, push: "Push", place: str) -> None:
        """Have one that has the commit of a push; in the transaction that ends the push."""
        fresh = _fresh() | {
            "oid": push.oid,
            "remote": push.remote,
            "wanted": True,
            "updated_at": timezone.now(),
        }
        names = {"attempt": push.attempt, "place": place, "base": push.base}
        cls.objects.get_or_create(**names, defaults={"task": push.task, "branch": push.branch, **fresh})
        cls.objects.filter(**names).update(**fresh)
        queue.ring_push()

    def refresh(self) -> None:
        """Have its forge asked how it stands, or once more for what failed. What is on its way stays so."""
        with transaction.atomic():
            if PullRequest.objects.filter(pk=self.pk).exclude(work=Work.RUNNING).update(**_fresh()):
                queue.ring_push()

    def look(self) -> None:
        """The same for a page that was opened: seldom, and for one that may have changed."""
        long_ago = timezone.now() - timedelta(seconds=LOOK_SECONDS)
        idle = PullRequest.objects.filter(pk=self.pk, work=Work.IDLE, looked_at__lt=long_ago)
        if self.work != Work.IDLE or self.looked_at is None or self.looked_at > long_ago:
            return
        with transaction.atomic():
            if idle.exclude(state=PullRequestState.MERGED).update(**_fresh()):
                queue.ring_push()

    # --- verbs of the job that has it ---------------------------------------------------------------------------------

    @classmethod
    def claim(cls) -> "PullRequest | None":
        """Take the one that waits longest and whose time has come; None where none does."""
        while found := cls.due().order_by("pk").first():
            mine = {"pid": os.getpid(), "pid_started": processes.started(os.getpid())}
            queued = cls.objects.filter(pk=found.pk, work=Work.QUEUED, fence=found.fence)
            if queued.update(
                work=Work.RUNNING, fence=F("fence") + 1, tries=F("tries") + 1, try_at=None, **mine
            ):
                return cls.objects.select_related("attempt", "task__project").get(pk=found.pk)
        return None

    @classmethod
    def due(cls) -> "models.QuerySet[PullRequest]":
        """Those to be asked for now."""
        now = timezone.now()
        return cls.objects.filter(Q(try_at=None) | Q(try_at__lte=now), work=Work.QUEUED)

    @property
    def held(self) -> "models.QuerySet[PullRequest]":
        """Its row, as long as this claim holds it."""
        return PullRequest.objects.filter(pk=self.pk, work=Work.RUNNING, fence=self.fence)

    def hand_back(self) -> None:
        """Let another job ask."""
        with transaction.atomic():
            if self.held.update(work=Work.QUEUED, pid=0):
                queue.ring_push()

    def keep(self, found: Found) -> None:
        """The forge has it, as `found`; an event says what is new."""
        told = {"number": found.number, "url": found.url, "state": found.state, "wanted": False}
        now = timezone.now()
        with transaction.atomic():
            if not self.held.update(
                work=Work.IDLE, reason="", detail="", looked_at=now, updated_at=now, **told
            ):
                return
            if (self.number, self.state) != (found.number, found.state):
                name = "opened" if found.state == PullRequestState.OPEN else found.state
                self.task.note(
                    f"pull_request.{name}",
                    number=found.number,
                    url=found.url,
                    base=self.base,
                    branch=self.branch,
                )

    def fail(self, failed: ForgeFailed, detail: str) -> None:
        """It came to nothing: for now, where it may pass, with ever longer waits; else until a person asks again."""
        again = failed.trouble.passes and self.tries <= len(WAITS)
        said = {"reason": failed.trouble, "detail": detail, "updated_at": timezone.now()}
        with transaction.atomic():
            if again:
                wait = max(WAITS[self.tries - 1], failed.wait)
                self.held.update(work=Work.QUEUED, try_at=timezone.now() + timedelta(seconds=wait), **said)
            elif self.held.update(work=Work.FAILED, **said):
                self.task.note("pull_request.failed", branch=self.branch, message=failed.trouble.label)

    @classmethod
    def take_back(cls) -> None:
        """Queue again what a dead process has left, and ring for what is due."""
        for pull in cls.objects.filter(work=Work.RUNNING):
            if not processes.is_alive(pull.pid, pull.pid_started):
                pull.hand_back()
        if cls.due().exists():
            queue.ring_push()


def _fresh() -> dict[str, Any]:
    return {"work": Work.QUEUED, "reason": "", "detail": "", "tries": 0, "try_at": None}


def newest_open_first(found: Iterable[Found], oid: str) -> Found | None:
    """The one that stands for a commit: the open one, else one that has ended with that very commit."""
    known = sorted(found, key=lambda each: -each.number)
    is_open = [each for each in known if each.state == PullRequestState.OPEN]
    return next(iter(is_open or [each for each in known if each.oid == oid]), None)
