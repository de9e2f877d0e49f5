"""Phases that only read: what they change in the workspace all the same is undone."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sessions.halts import Parked
from sessions.phases.bench import Bench, workspace_failures
from sessions.reasons import Failed
from sessions.workspaces.processes import Tick

log = logging.getLogger(__name__)


@dataclass
class Tree:
    """Whether the workspace was `touched` by a phase that may only read."""

    touched: bool = False


@contextmanager
def unchanged(bench: Bench) -> Iterator[Tree]:
    """Hash the workspace before and after, and put it back where it differs, also when the phase fails or parks.

    The hash is kept with the attempt: in every other ending, this process's own too, `put_back` finds it there afterwards.
    """
    found = Tree()
    with workspace_failures():
        before = bench.workspace.tree(bench.claim.tick)
    note(bench, before)
    try:
        yield found
    except (Failed, Parked):
        put_back(bench, bench.claim.tick)
        raise
    found.touched = put_back(bench, bench.claim.tick)


def put_back(bench: Bench, tick: Tick) -> bool:
    """Make the workspace what it was before a phase that may only read; True where it had been changed. Raises Failed."""
    before = bench.attempt.read_only_tree
    if not before:
        return False
    with workspace_failures():
        workspace = bench.workspace  # made anew, it is without the change, and `before` is forgotten
        if not bench.attempt.read_only_tree:
            return False
        touched = workspace.tree(tick) != before
        if touched:
            log.warning("%s was changed by a phase that may only read; it is put back", bench.attempt.key)
            workspace.restore(before, tick)
    note(bench, "")
    return touched


def note(bench: Bench, tree: str) -> None:
    """Keep what the workspace is to be again; empty when it is that."""
    with bench.claim.record():
        bench.attempt.record(read_only_tree=tree)
