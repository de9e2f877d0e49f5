"""Workspaces with everything that an agent may do to its clone."""

import shutil
from pathlib import Path

import pytest

from sessions.workspaces.git import Workspace
from sessions.workspaces.plumbing import GitError
from sessions.workspaces.sandbox import availability
from studio.errors import Conflict
from tests.factories import git, make_repository
from tests.sessions.clones import (
    ISOLATED,
    _data_folder,
    a_workspace,
    agent,
    fingerprint,
    kind,
    paths,
    source,
    workspace,
)

__all__ = ["_data_folder", "kind", "source", "workspace"]


@pytest.mark.parametrize(
    "enabled", [pytest.param(True, marks=pytest.mark.skipif(not ISOLATED, reason="no namespaces")), False]
)
def test_a_git_folder_replaced_by_a_link_to_the_source_lands_no_commit_there(
    source: Path, tmp_path: Path, enabled: bool
) -> None:
    workspace = a_workspace(source, tmp_path, enabled=enabled)
    workspace.create("main")
    before = fingerprint(source)
    shutil.rmtree(workspace.path / ".git")
    (workspace.path / ".git").symlink_to(source / ".git")
    (workspace.path / "a.txt").write_text("agent\n")
    for call in (
        workspace.tree,
        workspace.diff,
        workspace.keep,
        lambda: workspace.commit("x"),
        lambda: workspace.restore("0" * 40),
    ):
        with pytest.raises(GitError) as failure:
            call()
        assert failure.value.code == "workspace_broken"
    assert fingerprint(source) == before
    assert workspace.exists()


@pytest.mark.skipif(not ISOLATED, reason=availability().sentence)
def test_a_git_folder_whose_parts_are_links_to_the_source_lands_nothing_there(
    workspace: Workspace, source: Path
) -> None:
    before = fingerprint(source)
    for name in ("refs", "HEAD", "config"):
        shutil.rmtree(workspace.path / ".git" / name) if (workspace.path / ".git" / name).is_dir() else (
            workspace.path / ".git" / name
        ).unlink()
        (workspace.path / ".git" / name).symlink_to(source / ".git" / name)
    (workspace.path / "a.txt").write_text("agent\n")
    with pytest.raises(GitError):
        workspace.commit("x")
    assert fingerprint(source) == before


def test_a_work_tree_set_elsewhere_erases_nothing(workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious.txt").write_text("precious")
    state = workspace.tree()
    agent(workspace, f"git config core.worktree {elsewhere}")
    (workspace.path / "new.txt").write_text("new")
    assert paths(workspace.diff()) == {"new.txt": "added"}
    workspace.restore(state)
    assert not (workspace.path / "new.txt").exists()
    assert (elsewhere / "precious.txt").read_text() == "precious"


def test_without_its_git_folder_the_outer_repository_is_not_taken(
    workspace: Workspace, tmp_path: Path
) -> None:
    make_repository(tmp_path / "studio", {"outer.txt": "outer"})
    before = git(tmp_path / "studio", "rev-parse", "HEAD")
    agent(workspace, "rm -rf .git")
    with pytest.raises(GitError, match="no repository of its own"):
        workspace.commit("x")
    assert git(tmp_path / "studio", "rev-parse", "HEAD") == before
    assert git(tmp_path / "studio", "diff", "--cached", "--name-only") == ""


@pytest.mark.skipif(not ISOLATED, reason=availability().sentence)
def test_nothing_planted_in_a_workspace_runs_outside(
    workspace: Workspace, source: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    evil = f"sh -c 'touch {canary}; cat'"
    settings = (
        "core.fsmonitor",
        "filter.x.clean",
        "filter.x.smudge",
        "diff.x.command",
        "diff.x.textconv",
        "diff.external",
    )
    agent(workspace, "\n".join(f'git config {name} "{evil}"' for name in settings))
    agent(
        workspace,
        "printf '*.txt filter=x diff=x merge=x\\n' > .gitattributes; echo new > new.txt; mkdir -p .git/hooks",
    )
    for hook in (
        "pre-commit",
        "post-commit",
        "prepare-commit-msg",
        "post-checkout",
        "reference-transaction",
        "post-index-change",
    ):
        agent(
            workspace,
            f"printf '#!/bin/sh\\ntouch {canary}\\n' > .git/hooks/{hook}; chmod +x .git/hooks/{hook}",
        )
    workspace.diff()
    state = workspace.tree()
    oid = workspace.commit("work")
    workspace.export(oid)
    workspace.restore(state)
    workspace.loss("main")
    workspace.keep()
    assert not canary.exists()
    assert git(source, "cat-file", "-t", oid) == "commit"


def test_files_hidden_by_index_flags_are_seen(workspace: Workspace) -> None:
    agent(workspace, "git update-index --assume-unchanged a.txt; git update-index --skip-worktree sub/b.txt")
    (workspace.path / "a.txt").write_text("hidden one\n")
    (workspace.path / "sub/b.txt").write_text("hidden two\n")
    assert paths(workspace.diff()) == {"a.txt": "modified", "sub/b.txt": "modified"}
    workspace.commit("all")
    assert git(workspace.path, "show", "HEAD:sub/b.txt") == "hidden two"


def test_locks_left_by_a_killed_git_and_a_damaged_index_do_not_stop_a_commit(workspace: Workspace) -> None:
    (workspace.path / ".git/index.lock").touch()
    (workspace.path / ".git/index").write_bytes(b"garbage")
    (workspace.path / "new.txt").write_text("new\n")
    assert paths(workspace.diff()) == {"new.txt": "added"}
    workspace.commit("work")
    assert git(workspace.path, "status", "--porcelain") == ""


def test_a_repository_inside_the_workspace_is_left_out_and_named(workspace: Workspace) -> None:
    agent(
        workspace,
        "git init -q inner; git init -q 'odd [name]'; cd inner; echo x > x; git add x; git commit -qm x",
    )
    (workspace.path / "new.txt").write_text("new\n")
    found = workspace.diff()
    assert paths(found) == {"new.txt": "added"}
    assert sorted(found.left_out) == ["inner", "odd [name]"]
    assert "inner is a repository of its own" in found.to_text()
    workspace.commit("work")
    assert "inner" not in git(workspace.path, "ls-tree", "--name-only", "HEAD")
    with pytest.raises(Conflict):
        workspace.keep()
