"""Whether a person wants the agent to stop what it does now, and to hear them first."""

import time

from sessions.ledger import POLL_SECONDS
from sessions.models import Session
from sessions.models.follow_up import TALKS


class Interruption:
    """Of one prompt; a review's agent hears nobody."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.is_called = False
        self.looked = time.monotonic()

    def look(self) -> bool:
        """Whether somebody has called; asked of the database every half second."""
        now = time.monotonic()
        if self.session.phase in TALKS and not self.is_called and now - self.looked >= POLL_SECONDS:
            self.looked = now
            self.is_called = self.session.attempt.follow_ups.called().exists()
        return self.is_called
