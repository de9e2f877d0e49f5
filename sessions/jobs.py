"""The functions that django-q2 runs: each is only a wake-up, and safe to run twice, late or never."""

import logging

from sessions import cleanup, cloning, deletion, ledger, pushing, retention
from sessions import run as runs
from sessions.watch import Watch
from sessions.workspaces import orphans
from studio.retention import clear_records

log = logging.getLogger(__name__)


def run() -> None:
    """Work on the best claimable attempt, then on the next, until nothing is claimable."""
    orphans.adopt()
    while claim := ledger.claim():
        runs.carry(claim, orphans.Brood())


def reap() -> None:
    """The watchdog's round from studio/queue.py's schedule, in case no watchdog runs: owners whose process is gone, lost wake-ups."""
    Watch().round()


def clone() -> None:
    """Clone the repositories that people have asked for."""
    cloning.work()


def push() -> None:
    """Push the branches that people have asked for, and ask their forges for pull requests."""
    pushing.work()


def delete_projects() -> None:
    """Delete the projects that people have had deleted."""
    deletion.work()


def clean_up() -> None:
    """Once a day, and after each start: old workspaces go to the trash, and what has lain there long enough is deleted."""
    for sentence in cleanup.clean_up():
        log.info(sentence)


def retain() -> None:
    """Once a day, and after each start: thin old activity, delete old records."""
    log.info("thinned %s entries, deleted %s records", retention.thin(), clear_records())
