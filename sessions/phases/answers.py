"""How the provider answers a session, told to its breaker; and whether to go on asking it."""

import time

from sessions.models import Breaker
from sessions.models.breaker import State
from sessions.opencode.outcome import Outcome, explain_retry
from sessions.opencode.parts import PartSnapshot
from sessions.opencode.provider import Provider
from sessions.opencode.status import Retry, Status
from sessions.reasons import Failed, Reason

LOOK_SECONDS = 2
# What a provider is to blame for, and every session would meet.
ITS_FAULTS = (
    Reason.PROVIDER_ERROR,
    Reason.PROVIDER_LIMITED,
    Reason.PROVIDER_UNREACHABLE,
    Reason.PROVIDER_QUOTA,
    Reason.PROVIDER_LOGIN,
    Reason.MODEL_MISSING,
)


class Answers:
    """Of one prompt. `setup` is the provider with the session's model."""

    def __init__(self, setup: Provider, attempt: int) -> None:
        self.setup = setup
        self.attempt = attempt
        self.retried: Retry | None = None
        self.has_counted = False  # since the last answer
        self.is_paused = False
        self.looked = 0.0

    def look(self, status: Status) -> None:
        """Count each request that failed: OpenCode tells of it when it decides to ask again."""
        retry = status.retry
        if retry is not None and (self.retried is None or retry.attempt != self.retried.attempt):
            self._count(explain_retry(retry.message), retry.message, retry)
            self.looked = 0.0
        self.retried = retry

    def hand_on(self, parts: list[PartSnapshot]) -> None:
        """A step that ended is an answer."""
        if any(part.kind == "step" and part.tokens for part in parts):
            self.has_counted = False
            Breaker.succeeded(*self.setup.breakers)

    def gives_up(self) -> bool:
        """Whether the provider is paused by now: what it is asked again would be one request too many."""
        now = time.monotonic()
        if not self.is_paused and now - self.looked >= LOOK_SECONDS:
            self.looked = now
            self.is_paused = self._is_down()
        return self.is_paused

    def failure(self, outcome: Outcome) -> Failed:
        """The failure that the prompt ended with."""
        reason = outcome.reason or Reason.UNKNOWN
        if reason in ITS_FAULTS:
            if not self.has_counted:
                self._count(reason, outcome.detail)
            self.is_paused = self.is_paused or self._is_down()
        return Failed(reason, outcome.detail, again_at=outcome.again_at, is_paused=self.is_paused)

    def _count(self, reason: Reason, words: str, retry: Retry | None = None) -> None:
        self.has_counted = True
        names = self.setup.breakers
        name = names[-1] if reason == Reason.MODEL_MISSING else names[0]
        again_at = retry.next_at if retry else None
        Breaker.failed(
            name, reason, words, attempt=self.attempt, setup=self.setup.fingerprint, again_at=again_at
        )

    def _is_down(self) -> bool:
        """Paused for this attempt too; one that tries the provider goes on until its own request fails."""
        down = Breaker.objects.filter(name__in=self.setup.breakers).exclude(state=State.CLOSED)
        return down.exclude(state=State.PROBING, prober=self.attempt).exists()
