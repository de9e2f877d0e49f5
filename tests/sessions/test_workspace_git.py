"""Workspaces on real repositories, with everything that an agent may do to its clone."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sessions.workspaces.git import Workspace, diff, discard, inspect, isolation
from sessions.workspaces.loss import Loss
from sessions.workspaces.plumbing import GitError
from sessions.workspaces.sandbox import availability
from studio.errors import Conflict, Invalid
from tests.factories import git, make_repository

ISOLATED = availability().usable


@pytest.fixture(autouse=True)
def _data_folder(tmp_path: Path, settings) -> None:
    settings.STUDIO_HOME = tmp_path / "studio"
    settings.STUDIO_HOME.mkdir()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_repository(
        tmp_path / "source", {"a.txt": "one\ntwo\nthree\n", "sub/b.txt": "b\n", ".gitignore": "*.log\n"}
    )


@pytest.fixture
def workspace(source: Path, tmp_path: Path) -> Iterator[Workspace]:
    made = a_workspace(source, tmp_path)
    made.create("main")
    yield made
    assert made.sandbox.sweep() == []


def a_workspace(source: Path, tmp_path: Path, key: str = "DEMO-1-1", enabled: bool = ISOLATED) -> Workspace:
    folder = tmp_path / "studio" / key
    sandbox = isolation(
        inspect(source), folder / "work", folder / "home", f"{key}-{os.getpid()}", enabled=enabled
    )
    return Workspace(source, folder / "work", key, sandbox)


def fingerprint(folder: Path) -> str:
    """A hash of all files below a folder, names and contents, but for what git changes by looking."""
    parts = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name != "index":
            parts.append(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def agent(workspace: Workspace, script: str) -> str:
    """What an agent's shell does: inside the sandbox."""
    done = workspace.sandbox.run(["sh", "-ec", script], timeout=30)
    assert done.exit_code == 0, done.output
    return done.output.strip()


def paths(found) -> dict[str, str]:
    return {file.path: file.status for file in found.files}


# --- making it -----------------------------------------------------------------------------------------------------------


def test_a_workspace_is_a_clone_on_its_own_branch_with_nothing_to_push_to(
    workspace: Workspace, source: Path
) -> None:
    assert git(workspace.path, "branch", "--show-current") == "studio/DEMO-1-1"
    assert git(workspace.path, "rev-parse", "HEAD") == git(source, "rev-parse", "main") == workspace.base()
    assert git(workspace.path, "status", "--porcelain") == git(workspace.path, "remote") == ""
    assert git(workspace.path, "rev-parse", "main") == git(source, "rev-parse", "main")


def test_making_it_changes_nothing_in_the_source_but_a_pin(source: Path, tmp_path: Path) -> None:
    before = fingerprint(source)
    a_workspace(source, tmp_path).create("main")
    git(source, "update-ref", "-d", "refs/studio/base/DEMO-1-1")
    for folder in ("base", ""):
        (source / ".git/refs/studio" / folder).rmdir() if (
            source / ".git/refs/studio" / folder
        ).is_dir() else None
    assert fingerprint(source) == before


def test_making_it_again_returns_the_same_base_and_keeps_the_work(workspace: Workspace, source: Path) -> None:
    base = workspace.base()
    (workspace.path / "a.txt").write_text("work")
    git(source, "commit", "--allow-empty", "-qm", "main went on")
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
    assert workspace.create("main") == git(source, "rev-parse", "main")
    assert (workspace.path / "sub/b.txt").read_text() == "b\n"
    assert not (workspace.path.parent / "work.new").exists()


def test_versions_told_from_tags_are_the_same_in_the_workspace(source: Path, tmp_path: Path) -> None:
    git(source, "tag", "-a", "v1.2", "-m", "release")
    git(source, "commit", "--allow-empty", "-qm", "next")
    workspace = a_workspace(source, tmp_path)
    workspace.create("main")
    assert agent(workspace, "git describe --tags") == git(source, "describe", "--tags")


def test_amend_and_gc_in_the_source_do_not_break_the_clone(workspace: Workspace, source: Path) -> None:
    (source / "a.txt").write_text("amended")
    git(source, "commit", "-qa", "--amend", "-m", "amended")
    git(source, "reflog", "expire", "--expire=now", "--all")
    git(source, "gc", "--quiet", "--prune=now")
    assert agent(workspace, "git fsck && git show HEAD:a.txt").endswith("three")


def test_a_source_that_borrows_objects_itself_works(source: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "-q", "--shared", source, tmp_path / "borrower"], check=True)
    workspace = a_workspace(tmp_path / "borrower", tmp_path)
    workspace.create("main")
    assert agent(workspace, "git show HEAD:sub/b.txt") == "b"


@pytest.mark.skipif(not ISOLATED, reason=availability().sentence)
def test_the_source_cannot_be_written_or_seen_from_a_workspace(workspace: Workspace, source: Path) -> None:
    before = fingerprint(source)
    agent(workspace, f"touch {source}/new {source}/.git/new {source}/.git/objects/new 2>&1 || true")
    assert agent(workspace, f"ls -A {source}; ls -A {source}/.git") == ".git\nobjects"
    assert fingerprint(source) == before


# --- hostile clones -----------------------------------------------------------------------------------------------------


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


# --- state, commit, export ----------------------------------------------------------------------------------------------------


def test_the_tree_tells_every_kind_of_change_apart_and_restores_it(workspace: Workspace) -> None:
    clean = workspace.tree()
    assert workspace.tree() == clean
    states = {
        clean: agent(workspace, "git status --porcelain; git rev-parse HEAD; git branch --show-current")
    }
    for script in (
        "echo changed > a.txt",
        "git add a.txt",
        "echo new > 'new file'; ln -s /etc/passwd link; chmod +x sub/b.txt",
        "git rm -q --cached sub/b.txt",
        "git commit -qm agent",
        "git switch -q -c other",
        "git checkout -q --detach; rm -rf sub",
    ):
        agent(workspace, script)
        states[workspace.tree()] = agent(
            workspace, "git status --porcelain; git rev-parse HEAD; git branch --show-current"
        )
    assert len(states) == 8
    for state, seen in reversed(states.items()):
        workspace.restore(state)
        assert (
            agent(workspace, "git status --porcelain; git rev-parse HEAD; git branch --show-current") == seen
        )
        assert workspace.tree() == state


def test_an_empty_workspace_and_one_in_conflict_have_a_tree(workspace: Workspace) -> None:
    agent(
        workspace,
        "git switch -qc x; echo x > a.txt; git commit -qam x; git switch -q main; echo y > a.txt; git commit -qam y",
    )
    agent(workspace, "git merge x >/dev/null || true")
    conflict = workspace.tree()
    assert conflict == workspace.tree()
    agent(workspace, "git merge --abort; rm -rf a.txt sub .gitignore")
    assert workspace.tree() != conflict
    assert set(paths(workspace.diff()).values()) == {"deleted"}


def test_a_commit_takes_everything_but_ignored_files(workspace: Workspace) -> None:
    agent(workspace, "echo log > x.log; rm a.txt; echo new > new.txt; git add new.txt; echo newer > new.txt")
    oid = workspace.commit("Work\n\n# kept")
    assert git(workspace.path, "ls-tree", "-r", "--name-only", oid).split() == [
        ".gitignore",
        "new.txt",
        "sub/b.txt",
    ]
    assert git(workspace.path, "show", f"{oid}:new.txt") == "newer"
    assert git(workspace.path, "log", "-1", "--format=%an %cn %B", oid) == "Studio Studio Work\n\n# kept"
    assert git(workspace.path, "status", "--porcelain") == ""
    assert workspace.commit("nothing") == oid


def test_a_commit_on_a_branch_without_commits_goes_onto_the_base(workspace: Workspace) -> None:
    agent(workspace, "git checkout -q --orphan empty; echo new > new.txt")
    oid = workspace.commit("work")
    assert git(workspace.path, "rev-parse", f"{oid}^") == workspace.base()


def test_an_export_arrives_in_the_source_and_touches_nothing_else(workspace: Workspace, source: Path) -> None:
    agent(workspace, "git tag agents-tag; echo new > new.txt")
    head, index = git(source, "rev-parse", "HEAD"), (source / ".git/index").read_bytes()
    oid = workspace.commit("work")
    workspace.export(oid)
    workspace.export(oid)
    assert (
        git(source, "rev-parse", "refs/studio/attempts/DEMO-1-1")
        == git(source, "rev-parse", "studio/DEMO-1-1")
        == oid
    )
    assert git(source, "tag") == git(source, "status", "--porcelain") == ""
    assert not (source / ".git/FETCH_HEAD").exists()
    assert (git(source, "rev-parse", "HEAD"), (source / ".git/index").read_bytes()) == (head, index)
    git(source, "fsck", "--strict")


def test_an_export_of_the_base_itself_works(workspace: Workspace, source: Path) -> None:
    workspace.export(workspace.base())
    assert git(source, "rev-parse", "refs/studio/attempts/DEMO-1-1") == workspace.base()


def test_a_branch_that_is_checked_out_or_moved_by_a_person_stays(workspace: Workspace, source: Path) -> None:
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
    assert git(source, "log", "-1", "--format=%s", "studio/DEMO-1-1") == "amended"


def test_a_damaged_object_does_not_get_into_the_source(workspace: Workspace, source: Path) -> None:
    tree = agent(
        workspace,
        "printf '100644 blob %s\\t.git\\n' $(git hash-object -w a.txt) | git mktree --missing || true",
    )
    evil = agent(workspace, f"git commit-tree {tree.split()[-1]} -p HEAD -m evil")
    with pytest.raises(GitError):
        workspace.export(evil)
    assert git(source, "for-each-ref", "refs/studio/attempts") == ""
    with pytest.raises(ValueError, match="not an object id"):
        workspace.export("--output=/tmp/x")


# --- what would be lost, and keeping it -----------------------------------------------------------------------------------


def test_what_was_exported_needs_no_recovery(workspace: Workspace, source: Path) -> None:
    assert workspace.loss("main") == Loss([], [], 0, [], is_kept=True)
    (workspace.path / "new.txt").write_text("new\n")
    oid = workspace.commit("work")
    assert workspace.loss("main") == Loss([], [], 1, [], is_kept=False)
    workspace.export(oid)
    assert workspace.loss("main") == Loss([], [], 1, [], is_kept=True)
    assert workspace.keep() == ""
    git(source, "merge", "--quiet", "studio/DEMO-1-1")
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
    assert git(source, "show", f"{ref}:new.txt") == "new"
    assert side in git(source, "rev-list", ref).split()
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


def test_work_under_its_key_from_an_earlier_studio_is_set_aside(workspace: Workspace, source: Path) -> None:
    (workspace.path / "new.txt").write_text("new\n")
    oid = workspace.commit("work")
    workspace.export(oid)
    discard(workspace.path)
    (source / "a.txt").write_text("later\n")
    git(source, "commit", "--quiet", "--all", "--message", "Later")
    assert workspace.create("main") == git(source, "rev-parse", "main")
    assert not (workspace.path / "new.txt").exists()
    assert git(source, "for-each-ref", "--format=%(objectname)", "refs/studio/recovery") == oid
    (workspace.path / "other.txt").write_text("other\n")
    workspace.export(workspace.commit("other"))
    assert git(source, "rev-parse", "studio/DEMO-1-1") == oid


def test_what_cannot_be_read_is_not_given_up(workspace: Workspace, source: Path) -> None:
    git(source, "update-ref", "-d", "refs/studio/base/DEMO-1-1")
    with pytest.raises(Conflict, match="not in"):
        workspace.keep()
    agent(workspace, "rm -rf .git/objects; echo precious > new.txt")
    for look in (workspace.keep, partial(workspace.loss, "main")):
        with pytest.raises(Conflict):
            look()
    assert (workspace.path / "new.txt").read_text() == "precious\n"


# --- what a project may be -------------------------------------------------------------------------------------------------


def refused(path: object, branch: str = "", field: str = "path") -> str:
    with pytest.raises(Invalid) as failure:
        inspect(path, branch)  # type: ignore[arg-type]
    assert list(failure.value.fields) == [field]
    return failure.value.fields[field]


def test_a_repository_is_described(source: Path) -> None:
    git(source, "branch", "feature/x")
    found = inspect(f" {source}/ ", "feature/x")
    assert (found.path, found.git_dir, found.objects) == (source, source / ".git", (source / ".git/objects",))
    assert (found.head_branch, found.target_branch, set(found.branches)) == (
        "main",
        "feature/x",
        {"main", "feature/x"},
    )
    assert found.head_oid == git(source, "rev-parse", "main")


def test_what_is_no_usable_repository_is_refused_with_a_sentence(
    source: Path, tmp_path: Path, settings
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    git(tmp_path, "init", "-q", "unborn")
    assert "does not exist" in refused(tmp_path / "nowhere")
    assert "not a folder" in refused(tmp_path / "file")
    assert "not a Git repository" in refused(tmp_path / "empty")
    assert "no commit" in refused(tmp_path / "unborn")
    assert "inside the repository" in refused(source / "sub")
    assert "inside of a repository" in refused(source / ".git")
    assert "data folder" in refused(make_repository(settings.STUDIO_HOME / "x"))
    assert "STUDIO_HOME" in refused(git_init_around(tmp_path))
    for hostile in ("", "-C", "--upload-pack=touch x", "relative/path", "/a\nb", "/a\0b", "/" + "x" * 5000):
        refused(hostile)


def git_init_around(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def test_clones_that_are_not_whole_and_unsupported_kinds_are_refused(source: Path, tmp_path: Path) -> None:
    git(source, "commit", "--allow-empty", "-qm", "second")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{source}", "shallow")
    git(source, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{source}", "partial")
    assert "shallow" in refused(tmp_path / "shallow")
    assert "partial" in refused(tmp_path / "partial")
    modular = make_repository(tmp_path / "modular")
    git(modular, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(source), "lib")
    git(modular, "commit", "-qm", "submodule")
    assert "submodules" in refused(modular)
    large = make_repository(
        tmp_path / "large", {"deep/.gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"}
    )
    assert "LFS" in refused(large)


def test_unknown_and_option_like_branches_are_refused(source: Path) -> None:
    for branch in ("nope", "--output=/tmp/x", "-d", "main^", "refs/heads/main", "a b"):
        assert "no branch" in refused(source, branch, "target_branch")
    git(source, "checkout", "-q", "--detach")
    assert "choose" in refused(source, "", "target_branch")
    assert inspect(source, "main").target_branch == "main"


def test_bare_repositories_and_linked_worktrees_work_from_end_to_end(source: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(source), "bare.git")
    git(source, "worktree", "add", "-q", "-b", "linked", str(tmp_path / "linked"))
    for number, folder in enumerate((tmp_path / "bare.git", tmp_path / "linked"), 1):
        workspace = a_workspace(folder, tmp_path, f"DEMO-2-{number}")
        base = workspace.create("main")
        (workspace.path / "new.txt").write_text("new\n")
        oid = workspace.commit("work")
        workspace.export(oid)
        assert paths(diff(folder, base, oid)) == {"new.txt": "added"}
    assert set(inspect(tmp_path / "linked").checkouts) == {source, tmp_path / "linked"}
