"""Landing in repositories of jj: what moves, what a person's tool says of it, and that what they work on stays as it was."""

import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from sessions.workspaces import jj as jj_module
from sessions.workspaces.git import inspect
from sessions.workspaces.jj import jujutsu
from sessions.workspaces.merge import MergeResult, merge
from sessions.workspaces.plumbing import SourceGit
from studio.errors import Conflict, Invalid
from tests.factories import git, make_repository
from tests.sessions.clones import (
    JJS,
    _data_folder,
    commit,
    files_of,
    jj,
    source,
    store,
    tip,
    work,
)

__all__ = ["_data_folder", "source"]

GIT_VERSION = tuple(
    map(int, re.findall(r"\d+", subprocess.check_output(["git", "--version"], text=True))[:2])
)
only_beside_git = pytest.mark.parametrize("kind", JJS[:1])
only_alone = pytest.mark.parametrize("kind", JJS[1:])
look = ("--ignore-working-copy",)


@pytest.fixture(params=JJS)
def kind(request) -> str:
    """What the source is a repository of."""
    return str(request.param)


def land(source: Path, head: str) -> MergeResult:
    return merge(source, head, "main", "Merge DEMO-1", ("Alice", "alice@example.org"))


def operations(source: Path) -> list[str]:
    template = 'id.short() ++ "|" ++ user ++ "|" ++ description.first_line() ++ "\\n"'
    return jj(source, *look, "operation", "log", "--no-graph", "-T", template).splitlines()


def at(source: Path) -> str:
    """The person's working-copy commit."""
    return jj(source, *look, "log", "--no-graph", "-r", "@", "-T", "commit_id")


def refused(source: Path, code: str, head: str) -> Conflict:
    """The refusal, after it is sure that nothing has moved."""
    before = (files_of(source), at(source), tip(source), git(store(source), "for-each-ref"))
    with pytest.raises(Conflict) as failure:
        land(source, head)
    assert failure.value.code == code
    assert (files_of(source), at(source), tip(source), git(store(source), "for-each-ref")) == before
    return failure.value


# --- landing -----------------------------------------------------------------------------------------------------------


def test_the_bookmark_moves_and_what_the_person_works_on_stays(source: Path) -> None:
    (source / "mine.txt").write_text("seen by jj\n")
    jj(source, "describe", "--message", "my own work")
    (source / "mine.txt").write_text("and not seen yet\n")
    before, standing = files_of(source), at(source)
    known = operations(source)
    result = land(source, work(source))
    assert result == MergeResult(tip(source), "merge")
    assert (files_of(source), at(source)) == (before, standing)
    assert len(mine := [line for line in operations(source) if line not in known]) <= 2
    assert mine[0].split("|")[1].startswith("Studio@")
    assert git(store(source), "log", "-1", "--format=%an %cn: %s", result.oid) == "Alice Studio: Merge DEMO-1"
    # and the person goes on, with nothing stale and nothing changed
    assert "A mine.txt" in jj(source, "status")
    assert files_of(source) == before
    jj(source, "rebase", "--destination", "main")
    assert (source / "new.txt").read_text() == "new\n"
    assert (source / "mine.txt").read_text() == "and not seen yet\n"


def test_one_undo_of_the_persons_takes_a_landing_back(source: Path) -> None:
    before, log = tip(source), jj(source, "log", "-r", "all()")
    head = work(source)
    land(source, head)
    jj(source, "undo")
    assert tip(source) == before
    assert jj(source, "log", "-r", "all()") == log
    assert jj(source, "status")
    assert land(source, head).strategy == "merge"
    assert jj(source, "bookmark", "list", "main").startswith("main: ")


def test_it_lands_after_an_undo_and_a_bookmark_that_was_set_elsewhere(source: Path) -> None:
    land(source, work(source))
    jj(source, "undo")
    jj(source, "new", "root()", "--message", "aside")
    jj(source, "bookmark", "set", "main", "-r", "@", "--allow-backwards")
    jj(source, "new")
    aside = tip(source)
    landed = land(source, work(source, {"b.txt": "b\n"})).oid
    assert tip(source) == landed
    assert git(store(source), "rev-parse", f"{landed}^1") == aside


@only_beside_git
def test_a_branch_that_gits_head_names_is_let_go_first_as_jj_does_itself(source: Path) -> None:
    assert git(source, "symbolic-ref", "HEAD") == "refs/heads/main"
    before, head = files_of(source), git(source, "rev-parse", "HEAD")
    land(source, work(source))
    assert (files_of(source), git(source, "rev-parse", "HEAD")) == (before, head)
    assert git(source, "status", "--porcelain") == ""
    assert "no changes" in jj(source, "status")
    assert git(source, "rev-parse", "main") == tip(source) != head


def test_it_lands_again_and_again_and_after_the_person_has_gone_on(source: Path) -> None:
    head = work(source)
    first = land(source, head)
    assert land(source, head) == MergeResult(first.oid, "already_contained")
    jj(source, "new", "main")
    commit(source, {"theirs.txt": "theirs\n"})
    second = land(source, work(source, {"second.txt": "2\n"}, base=first.oid))
    listing = git(store(source), "ls-tree", "-r", "--name-only", second.oid).split()
    assert {"new.txt", "theirs.txt", "second.txt"} <= set(listing)


@only_alone
def test_it_lands_from_another_workspace_of_the_same_repository(source: Path, tmp_path: Path) -> None:
    jj(source, "workspace", "add", str(tmp_path / "second"))
    found = inspect(tmp_path / "second")
    assert (found.backend, found.target_branch) == ("jj", "main")
    assert {source, tmp_path / "second"} <= set(found.checkouts)
    result = land(tmp_path / "second", work(source))
    assert tip(source) == result.oid
    assert "no changes" in jj(tmp_path / "second", "status")


@only_beside_git
@pytest.mark.skipif(GIT_VERSION < (2, 42), reason="jj makes no workspace beside a git older than 2.42")
def test_a_second_workspace_that_this_git_cannot_read_past_is_said(source: Path, tmp_path: Path) -> None:
    """jj links the workspaces of a colocated repository as git 2.48 does, and marks the repository so."""
    jj(source, "workspace", "add", str(tmp_path / "second"))
    try:
        git(source, "rev-parse", "HEAD")
    except subprocess.CalledProcessError:
        with pytest.raises(Invalid, match=r"Git cannot read .*relativeworktrees"):
            inspect(source)
    else:
        assert {source, tmp_path / "second"} <= set(inspect(source).checkouts)


@only_alone
def test_a_stale_working_copy_and_immutable_heads_stand_in_no_way(source: Path, tmp_path: Path) -> None:
    jj(source, "workspace", "add", str(tmp_path / "second"))
    jj(source, "config", "set", "--repo", "revset-aliases.'immutable_heads()'", "main")
    jj(tmp_path / "second", "describe", "default@", "--message", "rewritten from the other one")
    before, standing = files_of(source), at(source)
    land(source, work(source))
    assert (files_of(source), at(source)) == (before, standing)


def test_a_divergent_change_stands_in_no_way(source: Path) -> None:
    jj(source, "new", "main", "--message", "one")
    jj(source, "describe", "--message", "two")
    jj(source, "describe", "--message", "three", "--at-operation", "@-")
    land(source, work(source))
    assert "divergent" in jj(source, "log", "-r", "all()")


# --- refusals ------------------------------------------------------------------------------------------------------------


def test_a_bookmark_on_what_somebody_edits_is_not_moved(source: Path) -> None:
    head = work(source)
    jj(source, "edit", "main", "--ignore-immutable")
    refusal = refused(source, "checkout_busy", head)
    subprocess.run(refusal.data["command"], shell=True, check=True, capture_output=True)
    land(source, head)


def test_a_conflicted_bookmark_and_a_target_with_conflicts_are_refused(source: Path) -> None:
    head, base = work(source), tip(source)
    jj(source, "new", base, "--message", "left")
    left = at(source)
    jj(source, "new", base, "--message", "right")
    jj(source, "bookmark", "set", "main", "-r", "@")
    jj(source, "bookmark", "set", "main", "-r", left, "--allow-backwards", "--at-operation", "@-")
    jj(source, "status")
    for refusal in (partial(land, source, head), partial(inspect, source, "main")):
        with pytest.raises(Invalid, match="conflicted"):
            refusal()
    jj(source, "bookmark", "set", "main", "-r", left, "--allow-backwards")
    (source / "a.txt").write_text("mine\n")
    jj(source, "commit", "--message", "mine")
    mine = jj(source, *look, "log", "--no-graph", "-r", "@-", "-T", "commit_id")
    jj(source, "new", base)
    (source / "a.txt").write_text("yours\n")
    jj(source, "new", "@", mine, "--message", "both")
    jj(source, "bookmark", "set", "main", "-r", "@", "--allow-backwards")
    jj(source, "new")
    with pytest.raises(Invalid, match="not resolved"):
        land(source, head)


def test_a_conflict_of_files_is_named(source: Path) -> None:
    head = work(source, {"a.txt": "the agent's\n"})
    commit(source, {"a.txt": "the person's\n"})
    assert refused(source, "merge_conflict", head).data["files"] == ["a.txt"]


def test_commits_that_were_rewritten_meanwhile_do_not_come_back(source: Path) -> None:
    commit(source, {"second.txt": "2\n"}, "second")
    head = work(source)
    jj(source, "describe", "main", "--message", "second, said better", "--ignore-immutable")
    assert "squash" in refused(source, "rewritten_base", head).message
    assert "divergent" not in jj(source, "log", "-r", "all()")


@only_beside_git
def test_what_git_did_since_jj_looked_is_left_to_jj(source: Path) -> None:
    head = work(source)
    git(source, "commit", "--quiet", "--allow-empty", "--message", "by git")
    refusal = refused(source, "checkout_busy", head)
    subprocess.run(refusal.data["command"], shell=True, check=True, capture_output=True)
    land(source, head)
    jj(source, "new")
    moved = git(source, "commit-tree", "main^{tree}", "-p", "main", "-m", "pushed in by git")
    git(source, "update-ref", "refs/heads/main", moved)
    land(source, work(source, {"third.txt": "3\n"}, base=moved))
    assert moved in git(source, "rev-list", "main").split()


def test_a_crash_between_git_and_jj_is_finished_the_next_time(source: Path, kind: str) -> None:
    head, before, base = work(source), files_of(source), tip(source)
    if kind == "jj alone":
        jj(source, "git", "export")
    else:
        git(source, "update-ref", "--no-deref", "HEAD", base)
    # what a process leaves that died before jj heard of it
    made = git(store(source), "commit-tree", f"{head}^{{tree}}", "-p", base, "-p", head, "-m", "Merge DEMO-1")
    git(store(source), "update-ref", "refs/heads/main", made)
    assert land(source, head) == MergeResult(made, "already_contained")
    assert (tip(source), files_of(source)) == (made, before)


def test_a_folder_of_jjs_that_comes_with_a_change_is_refused(source: Path, tmp_path: Path) -> None:
    evil = {"sub/.JJ/repo/config.toml": "[ui]\n"}
    assert refused(source, "reserved_path", work(source, evil)).data["files"] == ["sub/.JJ/repo/config.toml"]
    plain = make_repository(tmp_path / "plain")
    with pytest.raises(Conflict, match="belongs to jj"):
        land(plain, work(plain, {".jj/repo/store/type": "git"}))
    assert not (plain / ".jj").exists()


# --- taking a landing back ---------------------------------------------------------------------------------------------------


def test_a_landing_is_taken_back_as_one_operation(source: Path) -> None:
    log, before, seen = jj(source, "log", "-r", "all()"), tip(source), files_of(source)
    landed = land(source, work(source)).oid
    (source / "later.txt").write_text("not seen by jj\n")
    tool = jujutsu(SourceGit(source))
    assert tool is not None
    assert tool.take_back("main", landed) == before == tip(source)
    (source / "later.txt").unlink()
    assert jj(source, "log", "-r", "all()") == log
    assert files_of(source) == seen
    assert operations(source)[0].split("|")[1].startswith("Studio@") or "snapshot" in operations(source)[0]


@pytest.mark.parametrize("since", ["moved", "built upon", "pushed"])
def test_a_landing_that_others_rely_on_is_not_taken_back(source: Path, tmp_path: Path, since: str) -> None:
    landed = land(source, work(source)).oid
    if since == "pushed":
        git(store(source), "update-ref", "refs/remotes/origin/main", landed)
        git(store(source), "remote", "add", "origin", str(tmp_path))
        jj(source, "git", "import")
    else:
        jj(source, "new", "main")
    if since == "moved":
        commit(source, {"next.txt": "next\n"})
    where, before = tip(source), files_of(source)
    tool = jujutsu(SourceGit(source))
    assert tool is not None
    with pytest.raises(Conflict) as failure:
        tool.take_back("main", landed)
    assert failure.value.code == "moved_since"
    assert (tip(source), files_of(source)) == (where, before)


# --- what a project may be ---------------------------------------------------------------------------------------------------


def test_the_usual_bookmark_is_found(source: Path, tmp_path: Path) -> None:
    commit(source, {})
    jj(source, "bookmark", "create", "feature", "-r", "main-")
    found = inspect(source)
    assert (found.backend, found.target_branch, set(found.branches)) == ("jj", "main", {"main", "feature"})
    assert found.head_oid == tip(source)
    jj(source, "new", "feature")
    assert inspect(source).target_branch == "feature"  # the nearest one below what is worked on
    jj(source, "config", "set", "--repo", "revset-aliases.'trunk()'", "main")
    assert inspect(source).target_branch == "main"
    with pytest.raises(Invalid, match="no branch"):
        inspect(source, "nope")


def test_a_repository_without_a_bookmark_is_told_how_to_make_one(source: Path) -> None:
    jj(source, "bookmark", "delete", "main")
    with pytest.raises(Invalid, match="jj bookmark create main"):
        inspect(source)
    with pytest.raises(Invalid, match="lies inside the repository"):
        inspect(source / "sub")


def test_without_a_usable_jj_it_is_said_in_a_sentence(source: Path, tmp_path: Path, monkeypatch) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(Invalid, match="jj is not installed here"):
        inspect(source)
    (programs / "jj").write_text("#!/bin/sh\necho jj 0.21.0\n")
    (programs / "jj").chmod(0o755)
    with pytest.raises(Invalid, match=r"jj here is 0\.21, and Studio needs"):
        inspect(source)


@only_beside_git
def test_a_jj_folder_that_is_kept_in_git_is_not_believed(source: Path, monkeypatch) -> None:
    (source / ".jj/.gitignore").unlink()
    git(source, "add", "--force", ".jj")
    monkeypatch.setattr(jj_module.Jujutsu, "__call__", lambda *words: pytest.fail("jj was run"))
    with pytest.raises(Invalid, match="kept in Git"):
        inspect(source)
