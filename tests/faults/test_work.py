"""Workspaces that are removed, cleaned up and merged in every state that agents leave them in: no work is lost."""

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from sessions import cleanup, landing, places, removal
from sessions.models import Attempt
from tasks.models import Task
from tests import factories
from tests.factories import git, make_repository
from tests.faults.belongings import FILES, attempted, belongings, rows

TREASURE = "nobody else has this line"


def leave_clean(attempt: Attempt, source: Path) -> None:
    """Everything is exported."""
    export(attempt)


def leave_dirty(attempt: Attempt, source: Path) -> None:
    """A change, a staged file and a new one that are not committed, and the index says that there is none."""
    folder = workspace(attempt)
    (folder / "a.txt").write_text(f"{TREASURE}\n")
    git(folder, "update-index", "--assume-unchanged", "a.txt")
    (folder / "new.txt").write_text("new\n")


def leave_unmerged(attempt: Attempt, source: Path) -> None:
    """Commits that were not exported, the last on a branch of its own that is not checked out."""
    folder = workspace(attempt)
    git(folder, "switch", "--quiet", "--create", "side")
    (folder / "side.txt").write_text(f"{TREASURE}\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Side")
    git(folder, "switch", "--quiet", f"studio/{attempt.key}")


def leave_foreign(attempt: Attempt, source: Path) -> None:
    """A folder of its own in the workspace's place, whose .git leads into the person's repository."""
    leave_dirty(attempt, source)
    (workspace(attempt) / ".git").rename(workspace(attempt) / "git-aside")
    (workspace(attempt) / ".git").symlink_to(source / ".git")


def leave_active(attempt: Attempt, source: Path) -> None:
    """A process that works in it."""
    leave_dirty(attempt, source)
    mark = {**os.environ, "STUDIO_ATTEMPT": places.marker(attempt)}
    left_running.append(subprocess.Popen(["sleep", "300"], env=mark, cwd=workspace(attempt)))


left_running: list[subprocess.Popen[bytes]] = []
TREES = {
    "clean": leave_clean,
    "dirty": leave_dirty,
    "unmerged": leave_unmerged,
    "foreign": leave_foreign,
    "active": leave_active,
}


def remove(attempt: Attempt) -> None:
    removal.remove(attempt)


def clean(attempt: Attempt) -> None:
    """As the daily job does it when everything is due, the trash too."""
    past = timezone.now() - timedelta(days=100)
    Attempt.objects.filter(pk=attempt.pk).update(ended_at=past)
    cleanup.clean_up()
    Attempt.objects.exclude(trash="").update(removed_at=past)
    cleanup.clean_up()


def undo(attempt: Attempt) -> None:
    removal.remove(attempt)
    removal.restore(attempt)
    assert workspace(attempt).is_dir()


def land(attempt: Attempt) -> None:
    landing.merge(Task.objects.get(pk=attempt.task_id), by=None)


ACTS = {"remove": remove, "clean": clean, "undo": undo, "merge": land}
COMBINATIONS = [f"{act}-{tree}" for act in ACTS for tree in TREES]


def workspace(attempt: Attempt) -> Path:
    return places.folder(attempt) / "workspace"


def export(attempt: Attempt) -> None:
    made = places.workspace(attempt)
    oid = made.commit("Work")
    made.export(oid)
    attempt.record(head_oid=oid)


@pytest.fixture
def attempt(db: None, people: Path) -> Iterator[Attempt]:
    """In review, with exported work."""
    project = factories.make_project(make_repository(people / "source", FILES), key="DEMO")
    made = factories.make_attempt(factories.make_task(project, status="review"))
    made.record(base_oid=places.workspace(made).create("main"))
    (workspace(made) / "made.txt").write_text("made\n")
    export(made)
    yield Attempt.objects.select_related("task__project").get(pk=made.pk)
    while left_running:
        process = left_running.pop()
        process.kill()
        process.wait()


def is_recoverable(attempt: Attempt, source: Path) -> bool:
    """Whether the treasure is in a file of the attempt's folder or the trash, or in a commit that a ref of the workspace or source holds."""
    files = [*places.folder(attempt).rglob("*.txt"), *places.trash().rglob("*.txt")]
    if any(TREASURE in file.read_text() for file in files if file.is_file()):
        return True
    there = [folder for folder in (workspace(attempt), source) if folder.is_dir()]
    return any(git(folder, "log", "--all", "-m", "--format=%H", f"-S{TREASURE}") for folder in there)


@pytest.mark.parametrize(
    "combination", rows(COMBINATIONS, "R29", ("clean-dirty", "remove-active", "undo-unmerged"))
)
def test_nothing_that_is_done_to_a_tree_loses_work(attempt: Attempt, people: Path, combination: str) -> None:
    act, tree = combination.split("-")
    source = people / "source"
    TREES[tree](attempt, source)
    before = belongings(people)
    _, refused = attempted(lambda: ACTS[act](attempt))
    assert bool(refused) == (tree in ("foreign", "active") and act in ("remove", "undo")), refused
    if tree in ("foreign", "active"):
        assert workspace(attempt).is_dir()
        assert all(process.poll() is None for process in left_running)
    if tree == "clean":
        assert git(source, "show", f"studio/{attempt.key}:made.txt") == "made"
    else:
        assert is_recoverable(attempt, source)
    if act == "merge":
        assert git(source, "show", "main:made.txt") == "made"
    else:
        assert belongings(people) == before
    git(source, "fsck", "--no-dangling", "--no-progress")
