"""Step: a phase of the accepted plan, which is implemented in sessions of its own. (“Phase” is the word for what a session does.)"""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from sessions.models.session import Phase, Session
from sessions.models.session import State as Ran
from studio import disk
from studio.errors import Conflict, Invalid
from tasks import plan_text
from tasks.lifecycle import Status
from tasks.models import Plan, Task
from tasks.redaction import redact

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

    from sessions.models.attempt import Attempt

SUMMARY_LIMIT = 50_000  # characters
REASON_LIMIT = 500  # characters


class StepQuerySet(models.QuerySet["Step"]):
    def visible_to(self, user: Any) -> "StepQuerySet":
        """The steps in the projects that the person may see."""
        if user.is_superuser:
            return self
        mine = self.filter(attempt__task__project__memberships__user_id=user.pk)
        return mine if user.is_authenticated else self.none()

    def open(self) -> "StepQuerySet":
        """Those that are neither completed nor skipped, in their order."""
        return self.filter(state=Step.State.OPEN).order_by("number")

    def next_of(self, attempt: "Attempt") -> "Step | None":
        """The step that an implementation takes up next: the first that is neither completed nor skipped. None where there is none.

        The first time for an accepted plan with two phases or more, its steps are made here, and those of an older plan are given up.
        In a transaction that holds the task's row.
        """
        plan = attempt.task.plans.accepted()
        if plan is not None and not self.filter(attempt=attempt, plan_version=plan.version).exists():
            self._make(attempt, plan)
        return self.filter(attempt=attempt).open().first()

    def _make(self, attempt: "Attempt", plan: Plan) -> None:
        self.filter(attempt=attempt).open().update(state=Step.State.REPLACED, ended_at=timezone.now())
        phases = plan_text.read(plan.body).phases
        if len(phases) < 2:
            return
        before = attempt.head_oid or attempt.base_oid
        for phase in phases:
            place = {"plan_version": plan.version, "number": phase.number, "total": len(phases)}
            self.create(attempt=attempt, **place, title=phase.title, body=phase.body, before_oid=before)
        attempt.task.note("steps.begun", version=plan.version, attempt=attempt.number, steps=len(phases))


class Step(models.Model):
    """Whether it runs or has failed stands in its sessions. `before_oid` is what the attempt had when the plan's steps were begun."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        COMPLETED = "completed", "Completed"
        SKIPPED = "skipped", "Skipped"
        REPLACED = "replaced", "Given up for a new plan"

    attempt = models.ForeignKey("agent_sessions.Attempt", on_delete=models.CASCADE, related_name="steps")
    plan_version = models.PositiveIntegerField()
    number = models.PositiveIntegerField()
    total = models.PositiveIntegerField(help_text="How many the plan has.")
    title = models.TextField()
    body = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    pause_after = models.BooleanField(default=False)
    reason = models.CharField(max_length=REASON_LIMIT, blank=True, help_text="Why a person skipped it.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    summary = models.TextField(blank=True, help_text="What the agent hands over to the next step.")
    before_oid = models.CharField(max_length=64, blank=True)
    head_oid = models.CharField(max_length=64, blank=True, help_text="Where the work stood at its end.")
    commit = models.CharField(
        max_length=64, blank=True, help_text="Its own commit; empty where it changed nothing."
    )
    ended_at = models.DateTimeField(null=True)

    objects = StepQuerySet.as_manager()
    if TYPE_CHECKING:
        sessions: RelatedManager[Session]

    class Meta:
        ordering: ClassVar = ["attempt", "plan_version", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["attempt", "plan_version", "number"], name="one_step_per_number"),
            models.CheckConstraint(
                condition=Q(state__in=["open", "completed", "skipped", "replaced"]),
                name="step_state_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"phase {self.number} of plan v{self.plan_version}: {self.title}"

    @property
    def task(self) -> Task:
        """The task whose plan it is of."""
        return self.attempt.task

    @property
    def kin(self) -> "StepQuerySet":
        """All steps of its plan, itself among them."""
        return Step.objects.filter(attempt=self.attempt_id, plan_version=self.plan_version).order_by("number")

    @property
    def runs(self) -> "list[Session]":
        """Its sessions, oldest first."""
        return sorted(self.sessions.all(), key=lambda session: session.pk)

    @property
    def seconds(self) -> float | None:
        """How long its sessions ran, None before the first."""
        lengths = [session.seconds for session in self.runs if session.seconds is not None]
        return sum(lengths) if lengths else None

    @property
    def cost(self) -> Decimal:
        """What its sessions have cost, in US dollars."""
        return sum((session.cost for session in self.runs), Decimal(0))

    @property
    def last(self) -> Session | None:
        """Its newest session."""
        return self.runs[-1] if self.runs else None

    @property
    def standing(self) -> str:
        """open, queued, running, failed, completed, skipped or replaced."""
        if self.state != self.State.OPEN or self.last is None or self.last.state == Ran.COMPLETED:
            return str(self.state)
        if self.last.is_live:
            return "queued" if self.last.state == Ran.QUEUED else "running"
        return "failed"

    # --- what people may do now: the verbs below ask the same, and say why not ----------------------------------------

    @property
    def is_at_hand(self) -> bool:
        """Whether the attempt is in the middle of the implementation, so that people can steer its steps."""
        attempt = self.attempt
        building = attempt.is_current and attempt.task.status == Status.IN_PROGRESS
        here = building and attempt.phase == Phase.IMPLEMENTATION and not attempt.is_stopping
        return here and self.state != self.State.REPLACED

    @property
    def rests_after(self) -> bool:
        """Whether the work has stopped after this step, and goes on when a person says so."""
        live, last = self.attempt.live_session, self.attempt.last_session
        ended = last is not None and live is None and last.state == Ran.COMPLETED and last.step_id == self.pk
        return ended and self.state == self.State.COMPLETED

    @property
    def refuses_pause(self) -> str:
        """Why there is no pause after it; empty where one can be had."""
        if self.state != self.State.OPEN:
            return f"Phase {self.number} was {self._said()} already."
        if self.pause_after:
            return f"There is a pause after phase {self.number} already."
        if not self.kin.open().filter(number__gt=self.number).exists():
            return f"No phase follows on phase {self.number}."
        return ""

    @property
    def refuses_go_on(self) -> str:
        """Why there is no pause to lift; empty where there is one."""
        paused = self.state == self.State.OPEN and self.pause_after
        return "" if paused or self.rests_after else f"There is no pause after phase {self.number}."

    @property
    def refuses_skip(self) -> str:
        """Why it cannot be skipped; empty where it can."""
        if self.state != self.State.OPEN:
            return f"Phase {self.number} was {self._said()} already."
        if self.last is not None and self.last.is_live:
            return f"Phase {self.number} is at work: wait for its end, or put the task back to do first."
        others = self.kin.exclude(pk=self.pk)
        if not others.open().exists() and not others.exclude(commit="").exists():
            return "Nothing would be left of the plan: cancel the task, or put it back to do."
        return ""

    @property
    def refuses_retry(self) -> str:
        """Why it cannot be run again; empty where it can."""
        if self.attempt.live_session is not None:
            return "Another session is at work: wait for its end."
        if self.state == self.State.OPEN and self.standing != "failed":
            return f"Phase {self.number} has not run yet."
        if earlier := self.kin.open().filter(number__lt=self.number).first():
            return f"Phase {earlier.number} comes first."
        return ""

    def _said(self) -> str:
        return str(self.get_state_display()).lower()

    # --- verbs of people ------------------------------------------------------------------------------------------------

    def pause(self, *, by: Any) -> None:
        """Let the work stop when this step is completed."""
        with transaction.atomic():
            self._hold("refuses_pause")
            self._swap(self.State.OPEN, pause_after=True)
            self._note("step.pause_asked", by=by)

    def go_on(self, *, by: Any) -> Session | None:
        """Lift the pause after this step; where the work rests there, the session that goes on."""
        disk.require(self.task.project.path)
        with transaction.atomic():
            self._hold("refuses_go_on")
            rests = self.rests_after
            self._swap(self.state, pause_after=False)
            self._note("step.pause_lifted", by=by)
            return self.attempt.begin(Phase.IMPLEMENTATION, by=by, again=True) if rests else None

    def skip(self, reason: str, *, by: Any) -> None:
        """Leave it out. It starts nothing; what its sessions have changed so far stays in the workspace."""
        if not reason.strip():
            raise Invalid("Say why it is skipped.", fields={"reason": "Write it."})
        reason = redact(self.task.project, reason)[:REASON_LIMIT]
        with transaction.atomic():
            self._hold("refuses_skip")
            self._swap(
                self.State.OPEN, state=self.State.SKIPPED, reason=reason, by=by, ended_at=timezone.now()
            )
            self._note("step.skipped", by=by, reason=reason)

    def retry(self, *, by: Any) -> Session:
        """Run it again, on what there is now: one that failed goes on in its conversation, one that was completed or skipped starts anew."""
        disk.require(self.task.project.path)
        with transaction.atomic():
            self._hold("refuses_retry")
            self._swap(self.state, state=self.State.OPEN, reason="", by=None, ended_at=None)
            self._note("step.retried", by=by)
            session: Session = self.attempt.begin(Phase.IMPLEMENTATION, by=by, again=True)
            return session

    # --- verb of the worker, under its claim ----------------------------------------------------------------------------

    def complete(self, head: str, summary: str) -> None:
        """Its work stands at the commit `head`; `summary` is what the agent said at its end."""
        self.refresh_from_db(fields=["state", "pause_after"])
        earlier = (
            self.kin.filter(state=self.State.COMPLETED).exclude(pk=self.pk).order_by("-ended_at").first()
        )
        before = earlier.head_oid if earlier else self.before_oid or self.attempt.base_oid
        commit = head if head != before else self.commit
        cut = summary if len(summary) <= SUMMARY_LIMIT else f"{summary[:SUMMARY_LIMIT]}\n\n(cut here)"
        done = {"state": self.State.COMPLETED, "ended_at": timezone.now()}
        self._swap(self.State.OPEN, **done, summary=cut, head_oid=head, commit=commit)
        self._note("step.completed", oid=commit)

    def paused(self) -> None:
        """The work rests after it, as a person has asked."""
        self._note("step.paused")

    def _hold(self, refuses: str) -> None:
        """One verb after another, on what is so now. Raises `Conflict` where it does not fit."""
        self.task.lock()
        self.attempt.refresh_from_db(fields=["phase", "status", "is_current", "cancel_requested_at"])
        self.refresh_from_db(fields=["state", "pause_after", "reason", "commit"])
        if not self.is_at_hand:
            raise Conflict(
                f"{self.task.key} is not building by this plan now.", status_now=str(self.task.status)
            )
        if said := getattr(self, refuses):
            raise Conflict(said)

    def _swap(self, source: str, **fields: Any) -> None:
        if not Step.objects.filter(pk=self.pk, state=source).update(**fields):
            raise Conflict(f"Phase {self.number} has changed meanwhile.")
        for name, value in fields.items():
            setattr(self, name, value)

    def _note(self, name: str, *, by: Any = None, **data: Any) -> None:
        self.task.note(name, by=by, id=self.pk, number=self.number, title=self.title[:200], **data)
