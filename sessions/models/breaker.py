"""Breaker: whether a provider is asked. It opens when the provider fails again and again, and its queue waits instead of failing."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from sessions.reasons import HANDLING, Reason
from studio import queue
from tasks.models import Event, Project

MOST_FAILURES = 5  # requests in a row, over all sessions
LONGEST_PAUSE_SECONDS = 300
# One such answer says enough.
SURE = (Reason.PROVIDER_LOGIN, Reason.PROVIDER_QUOTA, Reason.MODEL_MISSING)
# What does not pass: only a person, or a change of the set-up, lets it be asked again.
LASTING = (Reason.PROVIDER_LOGIN, Reason.MODEL_MISSING)


class State(models.TextChoices):
    CLOSED = "closed", "Asked"
    OPEN = "open", "Paused"
    PROBING = "probing", "Tried by one session"


class BreakerQuerySet(models.QuerySet["Breaker"]):
    def down(self) -> "BreakerQuerySet":
        """Those whose queue waits."""
        return self.exclude(state=State.CLOSED)


class Breaker(models.Model):
    """`name` is a provider's, or a model's as `provider/model`. A row is there once it has failed.

    While it is not closed, claims pass its attempts over, but for one that tries it: from `try_at` on, or never by itself where that is
    None. `setup` is a hash of the provider's set-up as it was when it failed.
    """

    name = models.CharField(max_length=200, unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.CLOSED)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    reason = models.CharField(max_length=30, choices=Reason.choices, blank=True)
    detail = models.TextField(blank=True, help_text="What the provider said last.")
    setup = models.CharField(max_length=64, blank=True)
    tries = models.PositiveIntegerField(default=0, help_text="That have failed since it opened.")
    prober = models.BigIntegerField(null=True, help_text="The attempt that tries it.")
    opened_at = models.DateTimeField(null=True)
    try_at = models.DateTimeField(null=True)

    objects = BreakerQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def sentence(self) -> str:
        """What is wrong with it, without a full stop."""
        return f"{self.name}: {self.get_reason_display()}"

    @property
    def advice(self) -> str:
        """What a person can do."""
        return HANDLING[Reason(self.reason)].advice if self.reason else ""

    @property
    def is_lasting(self) -> bool:
        """Whether it waits for a person."""
        return self.state == State.OPEN and self.try_at is None

    # --- verbs; each is a transaction of its own, or part of its caller's ------------------------------------------

    @classmethod
    def failed(
        cls,
        name: str,
        reason: Reason,
        detail: str,
        *,
        attempt: int,
        setup: str = "",
        again_at: datetime | None = None,
    ) -> "Breaker":
        """A request of the attempt failed. Opens after MOST_FAILURES in a row, or at once where one answer says enough."""
        cls.objects.get_or_create(name=name)
        with transaction.atomic():
            row = cls.objects.select_for_update().get(name=name)
            opens = row.failures + 1 >= MOST_FAILURES or reason in SURE
            fields = {"failures": F("failures") + 1, "reason": reason, "detail": detail[:500], "setup": setup}
            if row.state == State.CLOSED and opens:
                fields |= {"state": State.OPEN, "opened_at": timezone.now(), "tries": 0, "prober": None}
                fields["try_at"] = _try_at(reason, 0, again_at)
            elif row.state == State.PROBING and row.prober == attempt:
                fields |= {"state": State.OPEN, "tries": row.tries + 1, "prober": None}
                fields["try_at"] = _try_at(reason, row.tries + 1, again_at)
            cls.objects.filter(pk=row.pk).update(**fields)
            if row.state == State.CLOSED and opens:
                _note("provider.paused", provider=name, reason=str(reason), detail=detail[:500])
            row.refresh_from_db()
        return row

    @classmethod
    def succeeded(cls, *names: str) -> None:
        """The provider has answered one of them: whatever it had, it works."""
        troubled = cls.objects.filter(name__in=names).exclude(state=State.CLOSED, failures=0)
        if not troubled.exists():  # nearly always, and then nothing is written
            return
        with transaction.atomic():
            for row in troubled.select_for_update():
                cls.objects.filter(pk=row.pk).update(
                    state=State.CLOSED, failures=0, tries=0, prober=None, opened_at=None, try_at=None
                )
                if row.state != State.CLOSED:
                    _note("provider.resumed", provider=row.name)
                    queue.ring()

    def begin_try(self, attempt: int) -> bool:
        """Let this attempt try it; False where another does, or the breaker has moved since it was read."""
        same = Breaker.objects.filter(pk=self.pk, state=self.state, prober=self.prober, try_at=self.try_at)
        pause = pause_seconds(self.tries)
        return bool(
            same.update(state=State.PROBING, prober=attempt, try_at=timezone.now() + timedelta(seconds=pause))
        )

    def try_again(self, *, by: Any = None) -> bool:
        """Let the next session try it now; by a person, or (None) since the set-up has changed. False where it is not paused."""
        with transaction.atomic():
            paused = Breaker.objects.filter(pk=self.pk, state=State.OPEN)
            if not paused.update(try_at=timezone.now(), tries=0):
                return False
            _note("provider.tried", by=by, provider=self.name)
            queue.ring()
        return True


def pause_seconds(tries: int) -> float:
    """Seconds until the next try, after so many that failed."""
    return float(min(settings.STUDIO_PROVIDER_PAUSE_SECONDS * 2 ** min(tries, 10), LONGEST_PAUSE_SECONDS))


def _try_at(reason: Reason, tries: int, again_at: datetime | None) -> datetime | None:
    if reason in LASTING:
        return None
    usual = timezone.now() + timedelta(seconds=pause_seconds(tries))
    return max(usual, again_at) if again_at else usual


def _note(name: str, /, *, by: Any = None, **data: Any) -> None:
    """One event for each project that has work under way: its people see the notice."""
    concerned = Project.objects.filter(
        tasks__attempts__sessions__isnull=False, tasks__attempts__sessions__ended_at=None
    ).distinct()
    Event.objects.bulk_create([Event(name=name, project=project, by=by, data=data) for project in concerned])
