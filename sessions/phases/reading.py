"""Phases that only read: what they change in the workspace all the same is undone."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sessions.halts import Parked
from sessions.phases.bench import Bench, workspace_failures
from sessions.reasons import Failed

log = logging.getLogger(__name__)


@dataclass
class Tree:
    """Whether the workspace was `touched` by a phase that may only read."""

    touched: bool = False


@contextmanager
def unchanged(bench: Bench) -> Iterator[Tree]:
    """Hash the workspace before and after, and put it back where it differs, also when the phase fails or parks."""
    found = Tree()
    with workspace_failures():
        before = bench.workspace.tree(bench.claim.tick)
    try:
        yield found
    except (Failed, Parked):
        put_back(bench, before)
        raise
    found.touched = put_back(bench, before)


def put_back(bench: Bench, before: str) -> bool:
    """Make the workspace what it was; True where it had been changed."""
    with workspace_failures():
        if bench.workspace.tree(bench.claim.tick) == before:
            return False
        log.warning("%s was changed by a phase that may only read; it is put back", bench.attempt.key)
        bench.workspace.restore(before, bench.claim.tick)
    return True
