"""What leaves a workspace: the work that the source gets, and what is kept of the rest."""

from functools import partial
from pathlib import Path

import pytest

from sessions.workspaces.git import Workspace, discard
from sessions.workspaces.loss import Loss
from sessions.workspaces.merge import merge
from sessions.workspaces.plumbing import GitError
from studio.errors import Conflict
from tests.factories import git
from tests.sessions.clones import KINDS, _data_folder, agent, commit, jj, source, store, workspace

__all__ = ["_data_folder", "source", "workspace"]

pytestmark = pytest.mark.parametrize("kind", KINDS)


def test_an_export_arrives_in_the_source_and_touches_nothing_else(
    workspace: Workspace, source: Path, kind: str
) -> None:
    agent(workspace, "git tag agents-tag; echo new > new.txt")
    before = standing(source, kind)
    oid = workspace.commit("work")
    workspace.export(oid)
    workspace.export(oid)
    assert git(store(source), "rev-parse", "refs/studio/attempts/DEMO-1-1") == oid
    assert git(store(source), "tag") == ""
    assert not list(source.rglob("FETCH_HEAD"))
    assert standing(source, kind) == before
    git(store(source), "fsck", "--strict")
    if kind == "git":
        assert git(source, "rev-parse", "studio/DEMO-1-1") == oid
    else:  # no bookmark of ours, no commit in the person's log, no operation
        assert jj(source, "bookmark", "list", "--all", "-T", "name") == "main" * (
            2 if kind == "jj beside git" else 1
        )
        assert standing(source, kind) == before


def standing(source: Path, kind: str) -> list[object]:
    """Where the person's checkout stands, and what their tool says of it."""
    if kind == "jj alone":
        seen: list[object] = []
    else:
        seen = [git(source, "rev-parse", "HEAD"), git(source, "status", "--porcelain")]
    if kind == "git":
        return [*seen, (source / ".git/index").read_bytes()]
    operations = jj(source, "--ignore-working-copy", "operation", "log", "--no-graph", "-T", 'id ++ " "')
    return [*seen, operations, jj(source, "--ignore-working-copy", "log", "-r", "all()")]


def test_an_export_of_the_base_itself_works(workspace: Workspace, source: Path) -> None:
    workspace.export(workspace.base())
    assert git(store(source), "rev-parse", "refs/studio/attempts/DEMO-1-1") == workspace.base()


def test_a_branch_that_is_checked_out_or_moved_by_a_person_stays(
    workspace: Workspace, source: Path, kind: str
) -> None:
    if kind != "git":
        pytest.skip("a repository of jj's gets no branch")
    agent(workspace, "echo 1 > new.txt")
    first = workspace.commit("first")
    workspace.export(first)
    git(source, "switch", "-q", "studio/DEMO-1-1")
    agent(workspace, "echo 2 > new.txt")
    second = workspace.commit("second")
    workspace.export(second)
    assert git(source, "rev-parse", "refs/studio/attempts/DEMO-1-1") == second
    assert git(source, "rev-parse", "studio/DEMO-1-1") == first
    assert git(source, "status", "--porcelain") == ""
    git(source, "commit", "-q", "--allow-empty", "-m", "a person's own")
    own = git(source, "rev-parse", "HEAD")
    git(source, "switch", "-q", "main")
    workspace.export(second)
    assert git(source, "rev-parse", "studio/DEMO-1-1") == own


def test_an_export_works_after_the_agent_switched_branches_and_amended(
    workspace: Workspace, source: Path
) -> None:
    agent(workspace, "echo 1 > new.txt")
    workspace.export(workspace.commit("first"))
    agent(workspace, "git switch -qc elsewhere; echo 2 > new.txt; git commit -qa --amend -m amended")
    oid = workspace.commit("nothing left to commit")
    workspace.export(oid)
    assert git(store(source), "log", "-1", "--format=%s", "refs/studio/attempts/DEMO-1-1") == "amended"


def test_a_damaged_object_does_not_get_into_the_source(workspace: Workspace, source: Path) -> None:
    tree = agent(
        workspace,
        "printf '100644 blob %s\\t.git\\n' $(git hash-object -w a.txt) | git mktree --missing || true",
    )
    evil = agent(workspace, f"git commit-tree {tree.split()[-1]} -p HEAD -m evil")
    with pytest.raises(GitError):
        workspace.export(evil)
    assert git(store(source), "for-each-ref", "refs/studio/attempts") == ""
    with pytest.raises(ValueError, match="not an object id"):
        workspace.export("--output=/tmp/x")


def test_what_was_exported_needs_no_recovery(workspace: Workspace, source: Path, kind: str) -> None:
    assert workspace.loss("main") == Loss([], [], 0, [], is_kept=True)
    (workspace.path / "new.txt").write_text("new\n")
    oid = workspace.commit("work")
    assert workspace.loss("main") == Loss([], [], 1, [], is_kept=False)
    workspace.export(oid)
    assert workspace.loss("main") == Loss([], [], 1, [], is_kept=True)
    assert workspace.keep() == ""
    if kind == "git":
        git(source, "merge", "--quiet", "studio/DEMO-1-1")
    else:
        merge(source, oid, "main", "by hand", ("Alice", "alice@example.org"))
    assert workspace.loss("main") == Loss([], [], 0, [], is_kept=True)


def test_dirty_and_unmerged_work_is_named_and_kept_and_can_be_brought_back(
    workspace: Workspace, source: Path
) -> None:
    agent(
        workspace,
        "git switch -qc side; echo side > side.txt; git add .; git commit -qm side; git switch -q studio/DEMO-1-1",
    )
    agent(
        workspace,
        "echo dirty > a.txt; git update-index --assume-unchanged a.txt; echo new > new.txt; mkdir locked; echo x > locked/x; chmod 500 locked",
    )
    side = agent(workspace, "git rev-parse side")
    assert workspace.loss("main") == Loss(["a.txt"], ["locked/x", "new.txt"], 1, [], is_kept=False)
    ref = workspace.keep()
    assert ref.startswith("refs/studio/recovery/DEMO-1-1-")
    assert git(store(source), "show", f"{ref}:new.txt") == "new"
    assert side in git(store(source), "rev-list", ref).split()
    discard(workspace.path)
    assert not workspace.exists()
    workspace.create("main", base=workspace.base(), recovery=ref)
    assert (workspace.path / "a.txt").read_text() == "dirty\n"
    assert (workspace.path / "locked/x").exists()


def test_a_workspace_made_anew_goes_on_from_what_was_exported(workspace: Workspace, source: Path) -> None:
    base = workspace.base()
    (workspace.path / "new.txt").write_text("new\n")
    oid = workspace.commit("work")
    workspace.export(oid)
    discard(workspace.path)
    assert workspace.create("main", base=base, head=oid) == base
    assert (workspace.path / "new.txt").read_text() == "new\n"
    assert git(workspace.path, "status", "--porcelain") == ""


def test_work_under_its_key_from_an_earlier_studio_is_set_aside(
    workspace: Workspace, source: Path, kind: str
) -> None:
    (workspace.path / "new.txt").write_text("new\n")
    oid = workspace.commit("work")
    workspace.export(oid)
    discard(workspace.path)
    later = commit(source, {"a.txt": "later\n"})
    assert workspace.create("main") == later
    assert not (workspace.path / "new.txt").exists()
    assert git(store(source), "for-each-ref", "--format=%(objectname)", "refs/studio/recovery") == oid
    (workspace.path / "other.txt").write_text("other\n")
    workspace.export(workspace.commit("other"))
    if kind == "git":
        assert git(source, "rev-parse", "studio/DEMO-1-1") == oid


def test_what_cannot_be_read_is_not_given_up(workspace: Workspace, source: Path) -> None:
    git(store(source), "update-ref", "-d", "refs/studio/base/DEMO-1-1")
    with pytest.raises(Conflict, match="not in"):
        workspace.keep()
    agent(workspace, "rm -rf .git/objects; echo precious > new.txt")
    for look in (workspace.keep, partial(workspace.loss, "main")):
        with pytest.raises(Conflict):
            look()
    assert (workspace.path / "new.txt").read_text() == "precious\n"
