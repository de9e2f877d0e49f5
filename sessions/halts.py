"""Why a worker leaves an attempt before its work is done: the ledger raises these from its waits, sessions/run.py answers them."""

from sessions.models import Session
from sessions.reasons import Reason


class LeaseLost(Exception):
    """Somebody else owns the attempt now: nothing may be written any more."""


class Stopped(Exception):
    """A person asked to stop."""


class PutOff(Exception):
    """The session's provider is down: it goes on when the provider may be asked again, and no worker waits for that.

    `seconds` is how long at least, on the attempt's own account; 0 leaves it to the provider's breaker, and is no retry that counts.
    """

    def __init__(self, session: Session, reason: Reason, detail: str, seconds: float) -> None:
        super().__init__(f"{reason}: {detail}")
        self.session, self.reason, self.detail, self.seconds = session, reason, detail, seconds


class Drained(Exception):
    """Studio itself is stopping; the attempt goes back, to be claimed at the next start."""


class Paused(Exception):
    """A person has paused the project, or everything: the attempt goes back, to be claimed when it is resumed."""


class Parked(Exception):
    """A person's answer is waited for, without a worker."""


class DiskFull(Exception):
    """There is no room left: the attempt goes back, and is claimed when there is."""
