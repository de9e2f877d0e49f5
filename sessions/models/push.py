"""Push: an attempt's commit on its way to a branch of the project's remote."""

import os
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from sessions.models.attempt import Attempt
from sessions.models.pull_request import PullRequest
from sessions.workspaces.remote import PushTrouble
from studio import processes, queue
from studio.errors import Conflict
from tasks.models import Task


class PushState(models.TextChoices):
    QUEUED = "queued", "Waits"
    RUNNING = "running", "Is being pushed"
    DONE = "done", "Pushed"
    FAILED = "failed", "Failed"


LIVE = (PushState.QUEUED, PushState.RUNNING)


class Push(models.Model):
    """`fence` rises with each claim; only who has the current one writes. To push a commit that is there already is harmless."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="pushes")
    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="pushes")
    oid = models.CharField(max_length=64)
    remote = models.CharField(max_length=100)
    branch = models.CharField(max_length=200)
    base = models.CharField(max_length=200)
    url = models.TextField(blank=True, help_text="The remote's address, without a login.")
    compare_url = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=PushState.choices, default=PushState.QUEUED)
    reason = models.CharField(max_length=20, choices=PushTrouble.choices, blank=True)
    detail = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    fence = models.PositiveBigIntegerField(default=0)
    pid = models.PositiveIntegerField(default=0)
    pid_started = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task"], condition=Q(state__in=LIVE), name="one_push_at_a_time")
        ]

    def __str__(self) -> str:
        return f"{self.branch} to {self.remote}: {self.state}"

    @property
    def is_live(self) -> bool:
        """Whether it waits or runs."""
        return self.state in LIVE

    @property
    def advice(self) -> str:
        """What to do about its failure."""
        return PushTrouble(self.reason).advice if self.reason else ""

    # --- the verb of people -----------------------------------------------------------------------------------------

    @classmethod
    def ask(cls, attempt: Attempt, *, by: Any, **fields: Any) -> "Push":
        """Have the attempt's commit pushed. The one that is on its way with that very commit is answered again."""
        with transaction.atomic():
            task = attempt.task
            task.lock()
            live = cls.objects.filter(task=task, state__in=LIVE).first()
            if live is not None and (live.oid, live.remote) == (attempt.head_oid, fields["remote"]):
                return live
            if live is not None:
                raise Conflict("Another commit is being pushed; push again once that has ended.", code="busy")
            push = cls.objects.create(task=task, attempt=attempt, oid=attempt.head_oid, by=by, **fields)
            task.note("push.queued", by=by, branch=push.branch, remote=push.remote, oid=push.oid)
            queue.ring_push()
        return push

    # --- verbs of the job that has it ---------------------------------------------------------------------------------

    @classmethod
    def claim(cls) -> "Push | None":
        """Take the one that waits longest; None where none does."""
        while found := cls.objects.filter(state=PushState.QUEUED).order_by("pk").first():
            mine = {"pid": os.getpid(), "pid_started": processes.started(os.getpid())}
            queued = cls.objects.filter(pk=found.pk, state=PushState.QUEUED, fence=found.fence)
            if queued.update(state=PushState.RUNNING, fence=F("fence") + 1, **mine):
                return cls.objects.select_related("attempt", "task__project").get(pk=found.pk)
        return None

    @property
    def held(self) -> "models.QuerySet[Push]":
        """Its row, as long as this claim holds it."""
        return Push.objects.filter(pk=self.pk, state=PushState.RUNNING, fence=self.fence)

    def hand_back(self) -> None:
        """Let another job push it anew."""
        with transaction.atomic():
            if self.held.update(state=PushState.QUEUED, pid=0):
                queue.ring_push()

    def finish(self, *, place: str = "") -> None:
        """The branch stands on the commit; where a forge's `place` is named, a pull request is wanted there."""
        with transaction.atomic():
            if self.held.update(state=PushState.DONE, ended_at=timezone.now()):
                self._note("push.completed")
                if place:
                    PullRequest.want(self, place)

    def fail(self, trouble: PushTrouble, detail: str) -> None:
        """It came to nothing."""
        failed = {"state": PushState.FAILED, "reason": trouble, "detail": detail}
        with transaction.atomic():
            if self.held.update(ended_at=timezone.now(), **failed):
                self._note("push.failed", message=trouble.label)

    def _note(self, name: str, **data: Any) -> None:
        self.task.note(name, branch=self.branch, remote=self.remote, oid=self.oid, **data)

    @classmethod
    def take_back(cls) -> None:
        """Queue again what a dead process has left, and ring for what waits."""
        for push in cls.objects.filter(state=PushState.RUNNING):
            if not processes.is_alive(push.pid, push.pid_started):
                push.hand_back()
        if cls.objects.filter(state=PushState.QUEUED).exists():
            queue.ring_push()
