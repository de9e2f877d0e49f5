"""Attempt: one try at a task. It carries phase, lifecycle state, fix rounds and the lease of the ledger."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from django.db import models
from django.db.models import Case, Count, F, Max, Min, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from sessions.models.choice import Choosable
from sessions.models.pause import Pause
from sessions.models.place import Placed
from sessions.models.session import LIVE, Phase, Session, State
from sessions.models.step import Step, StepQuerySet
from sessions.reasons import HANDLING, Reason
from studio import crash, disk, queue
from tasks.lifecycle import Status
from tasks.models import Project, Task

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

    from sessions.models.follow_up import FollowUpQuerySet


class Lease(models.TextChoices):
    """Who may work on the attempt. sessions/ledger.py has the moves."""

    IDLE = "idle", "Nothing to run"
    CLAIMABLE = "claimable", "Waits for a worker"
    CLAIMED = "claimed", "A worker has it"
    PARKED = "parked", "Waits for a person"


# A worker has it. What a request or a clean-up holds has an owner named after that work, with a hyphen: see sessions/hold.py.
AT_WORK = Q(lease=Lease.CLAIMED) & ~Q(owner__contains="-")


class Turn(NamedTuple):
    """What decides whose turn it is: the project with the fewest at work, then the one that was served longest ago."""

    project: int
    at_work: int
    served: datetime | None
    since: datetime | None


class AttemptQuerySet(models.QuerySet["Attempt"]):
    def visible_to(self, user: Any) -> "AttemptQuerySet":
        """The attempts of the projects that the person may see."""
        if user.is_superuser:
            return self
        return (
            self.filter(task__project__memberships__user_id=user.pk) if user.is_authenticated else self.none()
        )

    def claimable(self, runner: str) -> "AttemptQuerySet":
        """What a worker of that runner could take now, by turns between projects; nothing where the disk has no room for it, or the
        project is archived, paused, or has as many at work as it allows.

        First come those of the highest priority; among these, those of the project with the fewest at work, then those of the project that was served longest ago;
        within a project the longest waiting comes first, unless a person has moved it.
        """
        due = Q(not_before=None) | Q(not_before__lte=timezone.now())
        waiting = self.filter(
            due, lease=Lease.CLAIMABLE, runner__in=["", runner], task__project__archived_at=None
        )
        paused = list(Pause.objects.values_list("project", flat=True))
        if disk.shortage() or None in paused:
            return waiting.none()
        paths = waiting.values_list("task__project__path", flat=True).distinct()
        no_room = [path for path in paths if disk.shortage(path)]
        shut = [*paused, *Attempt.objects.full()]
        return waiting.exclude(task__project__path__in=no_room).exclude(task__project__in=shut)._by_turns()

    def at_work(self) -> "AttemptQuerySet":
        """Those that a worker has."""
        return self.filter(AT_WORK)

    def full(self) -> list[int]:
        """The projects that have as many attempts at work as they allow."""
        limits = dict(Project.objects.exclude(most_sessions=None).values_list("pk", "most_sessions"))
        working = self.at_work().filter(task__project__in=limits).order_by()
        counts = working.values_list("task__project").annotate(Count("pk"))
        return [pk for pk, count in counts if count >= limits[pk]]

    def turns(self) -> "list[Turn]":
        """Of the projects of these attempts, whose turn it is first."""
        of_these = Attempt.objects.filter(task__project__in=self.values("task__project"))
        turns = of_these.values_list("task__project").annotate(
            at_work=Count("pk", filter=AT_WORK),
            served=Max("claimed_at"),
            since=Min("claimable_at", filter=Q(lease=Lease.CLAIMABLE)),
        )
        order = turns.order_by("at_work", F("served").asc(nulls_first=True), "since")
        return [Turn(*row) for row in order]

    def _by_turns(self) -> "AttemptQuerySet":
        order = [each.project for each in self.turns()]
        whens = [When(task__project=pk, then=Value(turn)) for turn, pk in enumerate(order)]
        turn = Case(*whens, default=Value(len(whens)), output_field=models.IntegerField())
        return self.annotate(turn=turn).in_line("turn")

    def in_line(self, *before: str) -> "AttemptQuerySet":
        """As those of one project stand: by priority, where a person has moved them, else by how long they wait."""
        return self.order_by("task__priority", *before, Coalesce("place", "claimable_at"), "pk")

    def current_of(self, task: "Task | int") -> "Attempt | None":
        """The attempt that the task follows, with its task and project; None before the first."""
        return self.select_related("task__project").filter(task=task, is_current=True).first()

    def running(self) -> list[tuple[int, str]]:
        """Id and phase of the session that has not ended, of those that are current. Every execute asks this, so that it loads no rows whole."""
        live = self.filter(is_current=True, sessions__state__in=LIVE).order_by()
        return [(pk, Phase(phase).label) for pk, phase in live.values_list("sessions__pk", "sessions__phase")]

    def start(self, task: Task, number: int, phase: str, *, by: Any) -> Session:
        """Queue the first session of a new attempt. In a transaction that holds the task's row; it spares what `begin` has to ask."""
        task.project.require_open()
        attempt = self.create(
            task=task,
            number=number,
            status=task.status,
            phase=phase,
            lease=Lease.CLAIMABLE,
            claimable_at=timezone.now(),
        )
        step = Step.objects.next_of(attempt) if phase == Phase.IMPLEMENTATION else None
        session = attempt.sessions.create(phase=phase, by=by, step=step)
        queue.ring()
        task.note("session.queued", by=by, session_id=session.pk, phase=phase)
        crash.point("attempt-started")
        return session


class Attempt(Choosable, Placed):
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.TODO)
    phase = models.CharField(max_length=20, choices=Phase.choices, default=Phase.PLANNING)
    rounds = models.PositiveSmallIntegerField(
        default=0, help_text="Fix rounds since a person last asked for changes."
    )
    base_oid = models.CharField(max_length=64, blank=True)
    head_oid = models.CharField(max_length=64, blank=True)
    set_up_at = models.DateTimeField(null=True, help_text="When the setup of its workspace was done.")
    copied_files = models.JSONField(default=list, help_text="What was copied in, and is never committed.")
    read_only_tree = models.CharField(
        max_length=64,
        blank=True,
        help_text="What its workspace is, while a phase is at it that may only read.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    lease = models.CharField(max_length=10, choices=Lease.choices, default=Lease.IDLE)
    claimable_at = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True, help_text="When Studio tries its provider again.")
    retries = models.PositiveSmallIntegerField(
        default=0, help_text="How often Studio has run the phase again since its provider failed."
    )
    claimed_at = models.DateTimeField(null=True)
    owner = models.CharField(max_length=40, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    beat = models.PositiveBigIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    runner = models.CharField(max_length=100, blank=True)
    pid = models.PositiveIntegerField(default=0)
    pid_started = models.PositiveBigIntegerField(
        default=0, help_text="Start time of the process, in clock ticks."
    )
    cancel_requested_at = models.DateTimeField(null=True)
    stop_verb = models.CharField(max_length=20, blank=True, help_text="cancel or back-to-todo, once stopped.")

    trash = models.CharField(max_length=120, blank=True, help_text="Its folder in the trash, once removed.")
    removed_at = models.DateTimeField(null=True)
    recovery_ref = models.CharField(
        max_length=200,
        blank=True,
        help_text="Where the project's repository keeps what was only in the workspace.",
    )
    purged_at = models.DateTimeField(
        null=True, help_text="When its workspace and its conversations so far were deleted for good."
    )

    objects = AttemptQuerySet.as_manager()
    if TYPE_CHECKING:
        sessions: RelatedManager[Session]
        follow_ups: FollowUpQuerySet
        steps: StepQuerySet

    class Meta:
        ordering: ClassVar = ["task", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "number"], name="one_attempt_per_number"),
            models.UniqueConstraint(
                fields=["task"], condition=Q(is_current=True), name="one_current_attempt"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["lease", "claimable_at"], name="attempt_by_lease")]

    def __str__(self) -> str:
        return self.key

    @property
    def key(self) -> str:
        """`DEMO-12-1`: names the workspace, the refs and the data folder."""
        return f"{self.task.key}-{self.number}"

    @property
    def branch(self) -> str:
        """Where people see the work in their repository: a branch, or, with jj, a ref."""
        if self.task.project.backend == "jj":  # no bookmark: jj would take it into the person's log
            return f"refs/studio/attempts/{self.key}"
        return f"studio/{self.key}"

    @property
    def live_session(self) -> Session | None:
        """The session that has not ended yet; there is one at most."""
        return self.sessions.filter(state__in=LIVE).first()

    @property
    def last_session(self) -> Session | None:
        """The newest session, live or ended."""
        return self.sessions.order_by("-pk").first()

    @property
    def is_stopping(self) -> bool:
        """Whether a person asked to stop it, and it has not stopped yet."""
        return self.cancel_requested_at is not None

    # --- verbs; each is called inside a transaction that holds the task's or the attempt's row -------------------

    def begin(self, phase: str, *, by: Any = None, again: bool = False, **inputs: Any) -> Session:
        """Queue the next session and make the attempt claimable, or leave it with the worker that has it.

        `again` repeats the phase with the inputs of its last session, in the same conversation. An implementation by a plan with phases
        takes up the step that is next, also `again`; where none is left, the checks begin.
        """
        if by is not None:
            self.task.project.require_open()
        phase, step, last = self._take_up(phase, again)
        # This comes first: it holds the row, so that a worker that is leaving sees the new session or has left.
        fields: dict[str, Any] = {"phase": phase} if last and by is None else {"phase": phase, "retries": 0}
        offered = self.offer(**fields)
        if not offered:
            Attempt.objects.filter(pk=self.pk).update(**fields)
            offered = self.offer(**fields)
        self.phase = phase
        if last is not None:
            inputs = last.inputs
        session = self.sessions.create(
            phase=phase,
            step=step,
            inputs=inputs,
            by=by,
            resumes=last,
            opencode_session_id=self._conversation(phase, last),
        )
        if offered:
            queue.ring()
        self.task.note("session.queued", by=by, session_id=session.pk, phase=phase)
        crash.point("session-queued")
        return session

    def _take_up(self, phase: str, again: bool) -> tuple[str, Step | None, Session | None]:
        """The phase, the step of the plan where there is one, and the session that is repeated where one is."""
        last = self.sessions.filter(phase=phase).order_by("-pk").first() if again else None
        if phase != Phase.IMPLEMENTATION or (last is not None and not last.step_id):
            return phase, None, last
        step = Step.objects.next_of(self)
        if step is not None:
            goes_on = again and step.last is not None and step.last.state != State.COMPLETED
            return phase, step, step.last if goes_on else None
        return (Phase.CHECKS, None, None) if last is not None else (phase, None, None)

    def _conversation(self, phase: str, last: Session | None) -> str:
        """The OpenCode conversation to go on in; empty for a new one. Reviews start afresh, so that none judges itself."""
        if last is not None:
            poisoned = last.reason and HANDLING[Reason(last.reason)].is_fresh
            lost = poisoned or (self.purged_at and last.created_at < self.purged_at)
            return "" if lost else last.opencode_session_id
        kin = {Phase.PLANNING: [Phase.PLANNING], Phase.FIX: [Phase.IMPLEMENTATION, Phase.FIX]}.get(
            Phase(phase), []
        )
        spoken = self.sessions.filter(phase__in=kin, created_at__gte=self.purged_at or self.created_at)
        earlier = spoken.exclude(opencode_session_id="").order_by("-pk").first()
        return earlier.opencode_session_id if earlier else ""

    def offer(self, **fields: Any) -> bool:
        """Let a worker claim it, and set `fields`; False where one has it."""
        free = Attempt.objects.filter(pk=self.pk).exclude(lease=Lease.CLAIMED)
        fields |= {
            "lease": Lease.CLAIMABLE,
            "not_before": None,
            "claimable_at": timezone.now(),
            "place": None,
            "owner": "",
            "pid": 0,
            "pid_started": 0,
        }
        return bool(free.update(**fields))

    def rest(self) -> None:
        """No worker holds it until its live session's requests are answered: at once where they are by now."""
        Attempt.objects.filter(pk=self.pk).update(lease=Lease.PARKED, owner="", pid=0, pid_started=0)
        live = self.live_session
        if live is not None and not self.wake():
            self.task.note("session.parked", session_id=live.pk, phase=live.phase)

    def wake(self) -> bool:
        """Go on with the live session that waits without a worker, once none of its requests is open; whether it does."""
        waiting = self.sessions.filter(state="waiting", attempt__lease=Lease.PARKED).first()
        if waiting is None or waiting.requests.filter(state="open").exists():
            return False
        waiting.advance(State.QUEUED)
        self.offer(tries=0)  # it was Studio that stopped it
        queue.ring()
        return True

    def request_stop(self, verb: str, *, by: Any) -> bool:
        """Ask the worker that has it to stop; False where none has it, and then its queued session has ended here."""
        mine = Attempt.objects.filter(pk=self.pk)
        # This comes first: a worker may claim it at any moment, but leaves it under the task's lock only.
        free = mine.exclude(lease=Lease.CLAIMED)
        if free.update(lease=Lease.IDLE, cancel_requested_at=None, stop_verb=""):
            live = self.live_session
            if live is not None:
                live.end("cancelled", "cancelled")
            return False
        if mine.exclude(stop_verb=verb).update(cancel_requested_at=timezone.now(), stop_verb=verb):
            self.task.note("task.stopping", by=by, verb=verb)
        return True

    def workspace_removed(self, trash: str, recovery_ref: str, *, by: Any) -> None:
        """Its folder goes to the trash under that name."""
        self._keep(trash=trash, recovery_ref=recovery_ref, removed_at=timezone.now())
        self.task.note("workspace.removed", by=by, attempt=self.number, recovery_ref=recovery_ref)

    def workspace_restored(self, *, by: Any) -> None:
        """Its folder is where it was."""
        self._keep(trash="", removed_at=None)
        self.task.note("workspace.restored", by=by, attempt=self.number)

    def workspace_purged(self) -> None:
        """Its folder is deleted for good, and with it OpenCode's conversations."""
        self._keep(trash="", purged_at=timezone.now())
        self.task.note("workspace.purged", attempt=self.number)

    def _keep(self, **fields: Any) -> None:
        Attempt.objects.filter(pk=self.pk).update(**fields)
        for name, value in fields.items():
            setattr(self, name, value)

    def reset_rounds(self) -> None:
        """A person asked for changes: the fix rounds count from there."""
        Attempt.objects.filter(pk=self.pk).update(rounds=0)
        self.rounds = 0

    def begin_fix(self, **inputs: Any) -> Session:
        """Queue a fix round that Studio asks for by itself."""
        Attempt.objects.filter(pk=self.pk).update(rounds=F("rounds") + 1)
        return self.begin(Phase.FIX, **inputs)

    def copies(self, paths: list[str]) -> None:
        """These files are about to be copied into its workspace."""
        self._keep(copied_files=sorted({*self.copied_files, *paths}))

    def set_up(self, *, done: bool) -> None:
        """Its workspace was set up; or is not any more."""
        self._keep(set_up_at=timezone.now() if done else None)

    def record(self, **oids: str) -> None:
        """Keep `base_oid`, `head_oid` or `read_only_tree`."""
        self._keep(**oids)
