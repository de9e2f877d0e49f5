"""Making a workspace from repositories of git and of jj, and making it again."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sessions.workspaces.git import Workspace
from sessions.workspaces.sandbox import availability
from tests.factories import git
from tests.sessions.clones import (
    ISOLATED,
    KINDS,
    _data_folder,
    a_workspace,
    agent,
    commit,
    fingerprint,
    jj,
    source,
    store,
    tip,
    workspace,
)

__all__ = ["_data_folder", "source", "workspace"]

pytestmark = pytest.mark.parametrize("kind", KINDS)


def test_a_workspace_is_a_clone_on_its_own_branch_with_nothing_to_push_to(
    workspace: Workspace, source: Path
) -> None:
    assert git(workspace.path, "branch", "--show-current") == "studio/DEMO-1-1"
    assert git(workspace.path, "rev-parse", "HEAD") == tip(source) == workspace.base()
    assert git(workspace.path, "status", "--porcelain") == git(workspace.path, "remote") == ""
    assert git(workspace.path, "rev-parse", "main") == tip(source)
    assert not (workspace.path / ".jj").exists()


def test_making_it_changes_nothing_in_the_source_but_a_pin(source: Path, tmp_path: Path) -> None:
    before = fingerprint(source)
    a_workspace(source, tmp_path).create("main")
    git(store(source), "update-ref", "-d", "refs/studio/base/DEMO-1-1")
    for folder in store(source).rglob("refs/studio"):
        shutil.rmtree(folder)
    assert fingerprint(source) == before


def test_making_it_again_returns_the_same_base_and_keeps_the_work(workspace: Workspace, source: Path) -> None:
    base = workspace.base()
    (workspace.path / "a.txt").write_text("work")
    commit(source, {}, "main went on")
    assert workspace.create("main") == base
    assert (workspace.path / "a.txt").read_text() == "work"


def test_a_crash_half_way_through_making_it_is_finished_the_next_time(source: Path, tmp_path: Path) -> None:
    workspace = a_workspace(source, tmp_path)

    def crash() -> None:
        if (workspace.path.parent / "work.new/.git").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.create("main", crash)
    assert not workspace.exists()
    assert workspace.create("main") == tip(source)
    assert (workspace.path / "sub/b.txt").read_text() == "b\n"
    assert not (workspace.path.parent / "work.new").exists()


def test_versions_told_from_tags_are_the_same_in_the_workspace(source: Path, tmp_path: Path) -> None:
    git(store(source), "tag", "-a", "v1.2", "-m", "release", tip(source))
    commit(source, {}, "next")
    workspace = a_workspace(source, tmp_path)
    workspace.create("main")
    assert agent(workspace, "git describe --tags") == git(store(source), "describe", "--tags", tip(source))


def test_amend_and_gc_in_the_source_do_not_break_the_clone(
    workspace: Workspace, source: Path, kind: str
) -> None:
    (source / "a.txt").write_text("amended")
    if kind == "git":
        git(source, "commit", "-qa", "--amend", "-m", "amended")
    else:
        jj(source, "squash", "--into", "main", "--ignore-immutable", "--use-destination-message")
        jj(source, "operation", "abandon", "..@-")
        jj(source, "util", "gc", "--expire", "now")
    git(store(source), "reflog", "expire", "--expire=now", "--all")
    git(store(source), "gc", "--quiet", "--prune=now")
    assert agent(workspace, "git fsck && git show HEAD:a.txt").endswith("three")


def test_a_source_that_borrows_objects_itself_works(source: Path, tmp_path: Path, kind: str) -> None:
    git(store(source), "branch", "--force", "shown", tip(source))
    subprocess.run(
        ["git", "clone", "-q", "--shared", "--branch=shown", store(source), tmp_path / "borrower"], check=True
    )
    git(tmp_path / "borrower", "branch", "--move", "--force", "shown", "main")
    if kind != "git":
        jj(tmp_path / "borrower", "git", "init", "--colocate")
    workspace = a_workspace(tmp_path / "borrower", tmp_path)
    workspace.create("main")
    assert agent(workspace, "git show HEAD:sub/b.txt") == "b"


@pytest.mark.skipif(not ISOLATED, reason=availability().sentence)
def test_the_source_cannot_be_written_or_seen_from_a_workspace(workspace: Workspace, source: Path) -> None:
    before = fingerprint(source)
    inside = store(source) / ".git" if (store(source) / ".git").exists() else store(source)
    agent(workspace, f"touch {source}/new {inside}/new {inside}/objects/new {source}/.jj/new 2>&1 || true")
    assert agent(workspace, f"ls -A {inside}") == "objects"
    seen = agent(workspace, f"cd {source}; find . -not -path '*/objects/*'").split()
    assert {Path(each).name for each in seen} <= {
        *Path(inside / "objects").relative_to(source).parts,
        ".jj",
        "repo",
        ".",
    } | {""}
    assert fingerprint(source) == before
