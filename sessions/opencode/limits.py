"""How long a run may take in one way or another, and what is said before it has taken too long."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sessions.opencode.status import Silence


@dataclass(frozen=True)
class Limits:
    """When a run has failed, in seconds.

    start: nothing came after the prompt. progress: no new part or text (a tool that runs has tool_seconds); it is said before, when it is
    quiet and when it has stalled (for a tool in proportion). total: since the call.
    server: OpenCode refuses connections. answer: it accepts them and does not answer. A provider that fails is given up after `retries` retries, or retry_seconds of them, whichever
    comes first. poll: how often OpenCode is asked even if no event came. Time that the agent waits for a person counts for none of them.
    """

    start_seconds: float = 60
    quiet_seconds: float = 120
    stalled_seconds: float = 300
    progress_seconds: float = 600
    tool_seconds: float = 3600
    total_seconds: float = 4 * 3600
    server_seconds: float = 10
    answer_seconds: float = 120
    retries: int = 6
    retry_seconds: float = 180
    poll_seconds: float = 3

    def silence(self, silent: float, most: float, rest: float, told: Silence | None) -> Silence | None:
        """What to say of a run that has been silent for so many seconds, of at most `most`, with `rest` left in all; None while it is no matter.

        `told` is what was said last: it stays as it is while its level does.
        """
        stalled = self.stalled_seconds * most / self.progress_seconds
        level = "stalled" if silent > stalled else "quiet" if silent > self.quiet_seconds else ""
        if not level or (told and told.level == level):
            return told if level else None
        now = datetime.now(UTC)
        return Silence(
            level, now - timedelta(seconds=silent), now + timedelta(seconds=min(most - silent, rest))
        )


USUAL = Limits()
