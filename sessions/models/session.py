"""Session: one run of one phase of an attempt."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from sessions.reasons import HANDLING, Again, Reason
from studio.errors import Conflict

if TYPE_CHECKING:
    from tasks.models import Task


class Phase(models.TextChoices):
    PLANNING = "planning", "Planning"
    IMPLEMENTATION = "implementation", "Implementation"
    CHECKS = "checks", "Checks"
    REVIEW = "review", "AI review"
    FIX = "fix", "Fix"


class State(models.TextChoices):
    QUEUED = "queued", "Queued"
    STARTING = "starting", "Starting"
    RUNNING = "running", "Running"
    WAITING = "waiting", "Waiting for a person"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    INTERRUPTED = "interrupted", "Interrupted"


class Silence(models.TextChoices):
    """How long a session that runs has shown nothing new; the third level is its end, as `stalled`."""

    QUIET = "quiet", "Quiet"
    STALLED = "stalled", "Stalled"


LIVE = (State.QUEUED, State.STARTING, State.RUNNING, State.WAITING)


class SessionQuerySet(models.QuerySet["Session"]):
    def visible_to(self, user: Any) -> "SessionQuerySet":
        """The sessions of the projects that the person may see."""
        if user.is_superuser:
            return self
        mine = self.filter(attempt__task__project__memberships__user_id=user.pk)
        return mine if user.is_authenticated else self.none()

    def live(self) -> "SessionQuerySet":
        """The sessions that have not ended."""
        return self.filter(state__in=LIVE)


class Session(models.Model):
    """`rev` counts every write of an activity entry of the session: the cursor of pages and scripts."""

    attempt = models.ForeignKey("agent_sessions.Attempt", on_delete=models.CASCADE, related_name="sessions")
    phase = models.CharField(max_length=20, choices=Phase.choices)
    state = models.CharField(max_length=20, choices=State.choices, default=State.QUEUED)
    reason = models.CharField(max_length=30, choices=Reason.choices, blank=True)
    detail = models.TextField(blank=True, help_text="What the part that failed said.")
    inputs = models.JSONField(
        default=dict, help_text="What the prompt is made from: a comment, findings, check results."
    )
    result = models.JSONField(default=dict, help_text="The verdict of a review, the verdict of the checks.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    step = models.ForeignKey(
        "agent_sessions.Step", on_delete=models.SET_NULL, null=True, related_name="sessions"
    )
    resumes = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="+")
    opencode_session_id = models.CharField(max_length=60, blank=True)
    prompt_ids = models.JSONField(
        default=list, help_text="The ids of our prompts in the conversation, oldest first."
    )
    model = models.CharField(max_length=200, blank=True)
    doing = models.CharField(max_length=200, blank=True, help_text="The last thing the agent did, in a line.")
    todos = models.JSONField(default=list)
    retry_notice = models.CharField(
        max_length=300, blank=True, help_text="What the provider said, while it is retried."
    )
    silence = models.CharField(max_length=10, choices=Silence.choices, blank=True)
    silent_since = models.DateTimeField(null=True)
    stops_at = models.DateTimeField(null=True, help_text="When it is stopped if nothing comes.")
    rev = models.PositiveBigIntegerField(default=0)
    tokens = models.JSONField(default=dict)
    cost = models.DecimalField(max_digits=12, decimal_places=6, default=0, help_text="US dollars.")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    active_at = models.DateTimeField(null=True, help_text="When the agent last did something.")
    ended_at = models.DateTimeField(null=True)
    thinned_at = models.DateTimeField(null=True, help_text="When retention had thinned all its activity.")

    objects = SessionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["attempt"], condition=Q(state__in=LIVE), name="one_live_session"),
            models.CheckConstraint(condition=Q(state__in=State.values), name="session_state_is_known"),
        ]
        indexes: ClassVar = [models.Index(fields=["state"], name="session_by_state")]

    def __str__(self) -> str:
        return f"session {self.pk}"

    @property
    def task(self) -> "Task":
        """The task that it works on."""
        return self.attempt.task

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return self.state in LIVE

    @property
    def seconds(self) -> float | None:
        """How long it has run or ran, None before it started; never below 0, whatever the clock was set to meanwhile."""
        if self.started_at is None:
            return None
        length: timedelta = (self.ended_at or timezone.now()) - self.started_at
        return max(0.0, length.total_seconds())

    @property
    def goes_on(self) -> bool:
        """Whether the agent has heard the prompt before, in this conversation: then it need only be told to go on.

        What it heard stands in the activity, or was found there later. An OpenCode that died too soon has taken the prompt with it.
        """
        if not self.opencode_session_id:
            return False
        kin = Session.objects.filter(pk__in=[each.pk for each in self.lineage])
        heard = Q(activity__opencode_session_id__gt="") | Q(follow_ups__state="sent")
        return kin.filter(heard, opencode_session_id=self.opencode_session_id).exists()

    @property
    def lineage(self) -> "list[Session]":
        """The session, the one that it resumes, the one before that, …"""
        return [self, *(self.resumes.lineage if self.resumes else [])]

    @property
    def awaits_answer(self) -> bool:
        """Whether it waits for a person, or for the agent to hear what one has answered."""
        unheard = Q(state="open") | Q(state="answered", delivered_at=None)
        return self.state == State.WAITING and self.requests.filter(unheard).exists()

    @property
    def advice(self) -> str:
        """What a person can do about its end, empty where nothing is wrong."""
        return HANDLING[Reason(self.reason)].advice if self.reason else ""

    @property
    def goes_on_by_itself(self) -> bool:
        """Whether Studio has queued the session that goes on with it."""
        return self.state == State.INTERRUPTED and HANDLING[Reason(self.reason)].again != Again.PERSON

    # --- verbs; called inside a transaction, by the owner of the attempt's lease or by the ledger ----------------

    def advance(self, state: State, **fields: Any) -> None:
        """Move on while it is live: starting, running, waiting, running again."""
        begins = "session.resumed" if self.started_at else "session.started"
        if self.started_at is None and state == State.STARTING:
            fields["started_at"] = timezone.now()
        if not Session.objects.filter(pk=self.pk, state__in=LIVE).update(state=state, **fields):
            raise Conflict(f"Session {self.pk} has ended.")
        self._read_back(state=state, **fields)
        name = begins if state == State.STARTING else f"session.{state}"
        self.task.note(name, session_id=self.pk, phase=self.phase)

    def end(self, state: str, reason: str = "", detail: str = "", **fields: Any) -> None:
        """The final state; it never changes afterwards. Raises `Conflict` where it has ended before."""
        fields |= {
            "state": state,
            "reason": reason,
            "detail": detail[:4000],
            "ended_at": timezone.now(),
            "retry_notice": "",
            "silence": "",
            "silent_since": None,
            "stops_at": None,
        }
        if not Session.objects.filter(pk=self.pk, state__in=LIVE).update(**fields):
            raise Conflict(f"Session {self.pk} has ended.")
        self._read_back(**fields)
        self.requests.filter(state="open").update(state="withdrawn")
        untold = self.follow_ups.filter(state="sending", message_id="")
        untold.update(state="queued", session=None)
        self.task.note(
            "session.ended",
            session_id=self.pk,
            phase=self.phase,
            state=state,
            reason=reason,
            detail=detail[:500],
        )

    def _read_back(self, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self, name, value)
