"""Which of the claimable attempts may be worked on now: not those whose provider is down, but for one that tries it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.utils import timezone

from sessions.models import Attempt, Breaker
from sessions.models.attempt import Lease
from sessions.models.breaker import State
from sessions.models.session import Phase
from sessions.opencode import provider
from sessions.opencode.provider import Provider, ProviderProblem

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
        yield from ((attempt, []) for attempt in waiting[:LOOKED_AT])
        return
    setup = _setup()
    for attempt in waiting.select_related("task__project"):
        met = [down[name] for name in _names(setup, attempt) if name in down]
        if all(_may_be_tried(breaker, setup) for breaker in met):
            yield attempt, met


def waits_for(attempt: Attempt) -> tuple[str, datetime | None]:
    """Why a claimable attempt has to wait for its provider, and until when (None: for a person); empty where it does not."""
    if attempt.lease != Lease.CLAIMABLE:
        return "", None
    down = {breaker.name: breaker for breaker in Breaker.objects.down()}
    met: Iterable[str] = _names(_setup(), attempt) if down else ()
    breaker = next((down[name] for name in met if name in down), None)
    if breaker is not None:
        return breaker.sentence, breaker.try_at
    if attempt.not_before and attempt.not_before > timezone.now():
        last = attempt.sessions.exclude(reason="").order_by("-pk").first()
        return last.get_reason_display() if last else "", attempt.not_before
    return "", None


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
