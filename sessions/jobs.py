"""The functions that django-q2 runs: each is only a wake-up, and safe to run twice, late or never."""

from sessions import ledger
from sessions import run as runs
from sessions.watch import Watch


def run() -> None:
    """Work on the best claimable attempt, then on the next, until nothing is claimable."""
    while claim := ledger.claim():
        runs.carry(claim)


def reap() -> None:
    """The watchdog's round from studio/queue.py's schedule, in case no watchdog runs: owners whose process is gone, lost wake-ups."""
    Watch().round()
