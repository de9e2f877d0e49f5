"""A worker inside the test's own process: it works, and it dies between two lines."""

import pytest

from sessions import ledger, places, run
from sessions.workspaces.processes import sweep
from tasks.models import Task


class Died(BaseException):
    """The worker is gone between two lines: nothing catches it."""


def carry() -> None:
    """Claim what waits and work on it to its end."""
    claim = ledger.claim()
    assert claim is not None
    run.carry(claim)


def die() -> None:
    """Be gone."""
    raise Died


def carry_and_die(task: Task) -> None:
    """Work until the worker dies; then do what the watchdog does."""
    with pytest.raises(Died):
        carry()
    attempt = task.current_attempt
    assert attempt is not None
    gone = not sweep(places.marker(attempt), 5.0, places.folder(attempt) / "workspace")
    assert ledger.take_back(attempt, gone=gone)
