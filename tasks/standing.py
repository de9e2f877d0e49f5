"""Where a task stands, in words that hold for every reader: what cards and the head of a task's page say."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Max, Prefetch, QuerySet, prefetch_related_objects
from django.urls import reverse
from django.utils.functional import cached_property

from tasks import stages
from tasks.lifecycle import FINAL, Status
from tasks.models import Event, Finding, Task
from tasks.stages import Stage

WORKING = {
    "planning": "Plans",
    "implementation": "Builds",
    "checks": "Runs the checks",
    "review": "Reviews the change",
    "fix": "Fixes",
}


class Words(NamedTuple):
    """What a task does or waits for: a short sentence, what it is about, since when, in which hue."""

    text: str
    about: str = ""
    since: datetime | None = None
    hue: str = ""
    calls: bool = False  # a person is called for
    running: bool = False
    stops_at: datetime | None = None  # if nothing comes until then
    again_at: datetime | None = None  # when Studio tries it again


class Action(NamedTuple):
    """A verb that a person may use now: its address and the label of its button."""

    verb: str
    label: str
    url: str


class NoObstacles:
    """Nothing but a worker is waited for."""

    def of(self, attempt: Any) -> Words:
        """What a queued attempt waits for, but for since when."""
        return Words("Waits for a worker")


# Made once for all tasks that are loaded together. The app of the sessions hands in its own.
obstacles: Callable[[], Any] = NoObstacles


def load(tasks: "list[Task]") -> None:
    """Read what `Standing` needs for all of these at once: as many queries for fifty tasks as for one."""
    _read_revs([task for task in tasks if not hasattr(task, "rev")])
    shared = obstacles()
    for task in tasks:
        task.obstacles = getattr(task, "obstacles", shared)  # type: ignore[attr-defined]
    attempts = _related(Task, "attempts")
    sessions = _related(attempts.model, "sessions").select_related("step")
    requests = _related(sessions.model, "requests").filter(state="open")
    results = _related(sessions.model, "check_results").filter(kind="check").defer("output", "command")
    prefetch_related_objects(
        tasks,
        "project",
        "assignee",
        "blockers",
        Prefetch("findings", Finding.objects.filter(state=Finding.State.OPEN), to_attr="open_findings"),
        Prefetch("attempts", attempts.filter(is_current=True), to_attr="current_attempts"),
        Prefetch(
            "current_attempts__sessions",
            sessions.defer("inputs", "prompt_ids", "step__body", "step__summary").order_by("pk"),
        ),
        Prefetch("current_attempts__sessions__check_results", results),
        Prefetch("current_attempts__sessions__requests", requests, to_attr="open_requests"),
    )


def _read_revs(tasks: "list[Task]") -> None:
    """Before the rest: a page then thinks itself a little older than it is, never newer."""
    newest = (
        Event.objects.filter(task__in=tasks).order_by().values_list("task").annotate(Max("pk"))
        if tasks
        else ()
    )
    by_task = dict(newest)
    for task in tasks:
        task.rev = by_task.get(task.pk, 0)  # type: ignore[attr-defined]


def _related(model: Any, name: str) -> QuerySet[Any]:
    """All rows that the reverse accessor `name` reaches; their model belongs to an app that tasks does not import."""
    manager = model._meta.get_field(name).related_model._default_manager
    rows: QuerySet[Any] = manager.all()
    return rows


class Standing:
    """Read once, when it is made; make a new one after a verb."""

    def __init__(self, task: Task) -> None:
        if not hasattr(task, "current_attempts"):  # read already, with the others of its board
            load([task])
        self.task = task
        current: list[Any] = task.current_attempts  # type: ignore[attr-defined]
        self.attempt: Any = current[0] if current else None
        self.sessions: list[Any] = list(self.attempt.sessions.all()) if self.attempt else []
        self.session = self.sessions[-1] if self.sessions else None
        self.rev: int = task.rev  # type: ignore[attr-defined]
        self.findings: list[Finding] = task.open_findings  # type: ignore[attr-defined]

    # --- in words ---------------------------------------------------------------------------------------------

    @cached_property
    def words(self) -> Words:
        """What it does or waits for."""
        if self.is_stopping:
            return Words("Stopping…", "", self.attempt.cancel_requested_at, "bad", running=True)
        if self.live is not None:
            return self._live_words(self.live)
        if self.failure is not None:
            return Words(self.failure.get_reason_display() or "Failed", "", self.failure.ended_at, "bad")
        return self._resting_words()

    def _live_words(self, session: Any) -> Words:
        if session.open_requests:
            return self._request_words(session.open_requests[0])
        heard = session.active_at or session.started_at
        if session.state == "queued":
            return self._queued_words(session)
        if session.state == "starting":
            return Words("The agent starts", "", session.started_at, self.hue, running=True)
        if session.state == "waiting":
            return Words("Takes the answer", "", heard, self.hue, running=True)
        if session.retry_notice:
            return Words("Waits for the provider", session.retry_notice, heard, "build", running=True)
        if session.silence:
            text, since = session.get_silence_display(), session.silent_since
            hue = "bad" if session.silence == "stalled" else "build"
            return Words(text, session.doing, since, hue, running=True, stops_at=session.stops_at)
        working = WORKING[session.phase] + self._of_steps(session)
        return Words(working, session.doing, session.started_at, self.hue, running=True)

    def _queued_words(self, session: Any) -> Words:
        words: Words = self.task.obstacles.of(self.attempt)  # type: ignore[attr-defined]
        return words._replace(since=self.attempt.claimable_at or session.created_at)

    def _request_words(self, request: Any) -> Words:
        if request.kind == "question":
            questions = request.body.get("questions") or [{}]
            return Words("Asks", str(questions[0].get("question", "")), request.opened_at, "call", calls=True)
        return Words("Asks leave", request.wish, request.opened_at, "call", calls=True)

    def _resting_words(self) -> Words:
        at = self.task.status_changed_at
        match self.task.status:
            case Status.PLANNING_REVIEW:
                return Words("Plan waits for approval", "", at, "call", calls=True)
            case Status.REVIEW:
                return Words("Waits for review", "", at, "call", calls=True)
            case Status.DONE:
                return Words("Merged" if self.task.merged_oid else "Done", "", at, "good")
            case Status.TODO | Status.CANCELLED:
                return Words(self.task.get_status_display(), "", at)
        if self.rests_between_steps:
            return Words(f"Rests after{self._of_steps(self.session)}", "", at, "call", calls=True)
        return Words("Goes on soon", "", at, self.hue)

    def _of_steps(self, session: Any) -> str:
        """Which phase of the plan, of how many."""
        return f" phase {session.step.number} of {session.step.total}" if session.step else ""

    # --- facts ------------------------------------------------------------------------------------------------

    @cached_property
    def live(self) -> Any:
        """The session that has not ended, or None."""
        return self.session if self.session is not None and self.session.is_live else None

    @cached_property
    def rests(self) -> bool:
        """Whether it is to do, done or cancelled, with nothing at work."""
        return not self.place and self.live is None and not self.is_stopping

    @cached_property
    def is_stopping(self) -> bool:
        """Whether a person asked to stop it, and it has not stopped yet."""
        return self.attempt is not None and self.attempt.is_stopping

    @cached_property
    def failure(self) -> Any:
        """The last session where it ended without its result and the task waits for somebody to move it on."""
        moving = {Status.PLANNING, Status.IN_PROGRESS, Status.AI_REVIEW, Status.FIX}
        if self.session is None or self.task.status not in moving:
            return None
        if self.session.step and self.session.step.state == "skipped":
            return None
        return self.session if self.session.state in {"failed", "interrupted", "cancelled"} else None

    @property
    def has_steps(self) -> bool:
        """Whether the attempt is built by the phases of a plan."""
        return any(session.step_id for session in self.sessions)

    @property
    def rests_between_steps(self) -> bool:
        """Whether the implementation goes on with its next phase, or with the checks, when a person says so."""
        building = (
            self.task.status == Status.IN_PROGRESS and self.session is not None and self.session.step_id
        )
        return bool(building) and self.live is None and self.failure is None

    @cached_property
    def checks(self) -> list[Any]:
        """The results of the last time that the checks ran."""
        ran = [session for session in self.sessions if session.check_results.all()]
        return list(ran[-1].check_results.all()) if ran else []

    @cached_property
    def red_checks(self) -> list[Any]:
        """Those of the checks that failed."""
        return [check for check in self.checks if check.state in {"failed", "timed_out"}]

    @property
    def checks_run(self) -> bool:
        """Whether a check is still at work."""
        return any(check.state == "running" for check in self.checks)

    @cached_property
    def cost(self) -> Decimal:
        """What the attempt has cost so far, in US dollars."""
        return sum((session.cost for session in self.sessions), Decimal(0))

    @property
    def tokens(self) -> dict[str, int]:
        """What went in and came out, over all sessions of the attempt."""
        total = {"input": 0, "output": 0}
        for session in self.sessions:
            spent = session.tokens
            total["input"] += sum(spent.get(name, 0) for name in ("input", "cache_read", "cache_write"))
            total["output"] += sum(spent.get(name, 0) for name in ("output", "reasoning"))
        return total

    @property
    def todos(self) -> list[dict[str, Any]]:
        """The agent's own list, the newest there is."""
        lists = [session.todos for session in self.sessions if session.todos]
        return lists[-1] if lists else []

    # --- the way ----------------------------------------------------------------------------------------------

    @cached_property
    def place(self) -> str:
        """The stage that the task is in; empty where it is in none."""
        return stages.place(self)

    @cached_property
    def hue(self) -> str:
        """The hue of that stage."""
        return stages.HUES.get(self.place, "")

    @cached_property
    def stages(self) -> list[Stage]:
        """The six stages with time and cost."""
        return stages.of(self)

    @cached_property
    def track(self) -> list[Stage]:
        """Plan, build, checks, AI review, review: none for a task that is not on its way."""
        return self.stages[:-1] if self.place else []

    # --- what a person can do -----------------------------------------------------------------------------------

    @cached_property
    def action(self) -> Action | None:
        """The main button, which changes with the state."""
        if self.live is not None or self.is_stopping:
            return None
        if self.task.status == Status.TODO and self.task.waits_for:
            starts = self.task.start_when_unblocked
            return None if starts else self._action("start-when-unblocked", "Start when unblocked")
        by_status = {
            Status.TODO: ("execute", "Start"),
            Status.PLANNING_REVIEW: ("approve-plan", "Approve plan"),
            Status.REVIEW: ("merge", "Merge"),
            Status.DONE: ("reopen", "Reopen"),
            Status.CANCELLED: ("reopen", "Reopen"),
        }
        if self.rests_between_steps:
            return self._action("execute", "Go on")
        return self._action(*by_status.get(Status(self.task.status), ("retry", "Retry")))

    @property
    def further_actions(self) -> list[Action]:
        """What else can be done, the mildest first."""
        status = self.task.status
        if status == Status.DONE and self.task.merged_oid and self.task.project.backend == "jj":
            return [self._action("undo-merge", "Undo merge")]
        if status in {Status.DONE, Status.CANCELLED} or self.is_stopping:
            return []
        verbs = [("mark-done", "Mark done")] if status == Status.REVIEW else []
        verbs += [("back-to-todo", "Back to To do")] if status != Status.TODO else []
        return [self._action(*verb) for verb in [*verbs, ("cancel", "Cancel")]]

    @cached_property
    def drops(self) -> str:
        """Where its card may be dropped, and the verb that this stands for: `plan=execute build=execute`, by the columns' slugs.

        A plan is approved and a change merged where they can be read, not by a hand that slips.
        """
        status = self.task.status
        if self.is_stopping or (status == Status.TODO and self.task.waits_for):
            return ""
        if status == Status.TODO:
            return "plan=execute build=execute"
        if status in FINAL:
            return "to-do=reopen"
        return "to-do=back-to-todo" + (" done=mark-done" if status == Status.REVIEW else "")

    def _action(self, verb: str, label: str) -> Action:
        space = "sessions" if verb in {"merge", "undo-merge"} else "tasks"  # these take the attempt's lease
        return Action(verb, label, reverse(f"{space}:{verb}", args=[self.task.pk]))
