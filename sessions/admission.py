"""Which of the claimable attempts may be worked on now: not those whose provider is down, but for one that tries it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

from django.utils import timezone

from sessions.models import Attempt, Breaker, Pause
from sessions.models.attempt import Lease
from sessions.models.breaker import State
from sessions.models.session import Phase
from sessions.opencode import provider
from sessions.opencode.provider import Provider, ProviderProblem
from studio import disk
from tasks.standing import Words

LOOKED_AT = 20  # attempts in one claim, while every provider is asked


def setup_for(setup: Provider, project: Any, phase: str) -> Provider:
    """The set-up with the model that the project wants for this phase."""
    chosen = project.model_for(phase)
    return setup if setup.is_demo or not chosen else replace(setup, model=chosen)


def admitted(runner: str) -> Iterator[tuple[Attempt, list[Breaker]]]:
    """What a worker of that runner could take now, by turns between projects, each with the breakers that it would try."""
    waiting = Attempt.objects.claimable(runner)
    down = {breaker.name: breaker for breaker in Breaker.objects.down()}
    if not down:
        yield from ((attempt, []) for attempt in waiting.select_related("task")[:LOOKED_AT])
        return
    setup = _setup()
    for attempt in waiting.select_related("task__project"):
        met = [down[name] for name in _names(setup, attempt) if name in down]
        if all(_may_be_tried(breaker, setup) for breaker in met):
            yield attempt, met


class Obstacles:
    """What keeps claimable attempts from being claimed: each part is read once, when it is asked for."""

    @cached_property
    def pauses(self) -> dict[int | None, Pause]:
        """By project, with None for that of everything."""
        return {pause.project_id: pause for pause in Pause.objects.select_related("project", "by")}

    @cached_property
    def full(self) -> list[int]:
        """The projects that have as many at work as they allow."""
        return Attempt.objects.full()

    @cached_property
    def down(self) -> dict[str, Breaker]:
        """The breakers that are not closed."""
        return {breaker.name: breaker for breaker in Breaker.objects.down()}

    @cached_property
    def setup(self) -> Provider | None:
        """The providers."""
        return _setup()

    def of(self, attempt: Attempt) -> Words:
        """What the attempt waits for; for a worker, where there is no obstacle."""
        if attempt.lease != Lease.CLAIMABLE:
            return Words("Waits for a worker")
        project = attempt.task.project
        if pause := self.pauses.get(None) or self.pauses.get(project.pk):
            return Words("Paused", pause.says)
        if lack := disk.shortage(project.path):
            return Words("Waits for disk space", lack.sentence)
        if project.most_sessions is not None and project.pk in self.full:
            return full_words(project.most_sessions)
        return self._of_provider(attempt) or Words("Waits for a worker")

    def _of_provider(self, attempt: Attempt) -> Words | None:
        met: Iterable[str] = _names(self.setup, attempt) if self.down else ()
        breaker = next((self.down[name] for name in met if name in self.down), None)
        if breaker is not None:
            return Words("Waits for the provider", breaker.sentence, hue="build", again_at=breaker.try_at)
        if attempt.not_before and attempt.not_before > timezone.now():
            last = attempt.sessions.exclude(reason="").order_by("-pk").first()
            why = last.get_reason_display() if last else ""
            return Words("Waits for the provider", why, hue="build", again_at=attempt.not_before)
        return None


def full_words(most: int) -> Words:
    """What is said of a project that has `most` at work."""
    return Words("Waits for its project", f"at work on {most} of its tasks, which is its limit")


def _setup() -> Provider | None:
    try:
        return provider.current()
    except ProviderProblem:
        return None  # whoever claims it meets the same, and says so


def _names(setup: Provider | None, attempt: Attempt) -> tuple[str, ...]:
    """The breakers that the attempt's queued session would meet: its provider's and its model's."""
    if setup is None or attempt.phase == Phase.CHECKS:
        return ()
    return setup_for(setup, attempt.task.project, attempt.phase).breakers


def _may_be_tried(breaker: Breaker, setup: Provider | None) -> bool:
    if breaker.state == State.PROBING:
        tried = Attempt.objects.filter(pk=breaker.prober or 0, lease=Lease.CLAIMED).exists()
        return not tried and _is_due(breaker)
    changed = breaker.try_at is None and setup is not None and breaker.setup != setup.fingerprint
    return changed or _is_due(breaker)


def _is_due(breaker: Breaker) -> bool:
    return breaker.try_at is not None and breaker.try_at <= timezone.now()
