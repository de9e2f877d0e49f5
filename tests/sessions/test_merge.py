"""Merging into real repositories: what lands, what is refused, and that the person's files stay as they were."""

import hashlib
import subprocess
import time
from pathlib import Path

import pytest

from sessions.workspaces import merge as merging
from sessions.workspaces.merge import MergeResult, merge
from studio.errors import Conflict, Invalid
from tests.factories import git, make_repository

AUTHOR = ("Alice Example", "alice@example.org")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository on main, with the branch `work` one commit ahead: a.txt changed, new/file.txt added, gone.txt deleted."""
    made = make_repository(
        tmp_path / "source",
        {"a.txt": "a\n" * 9, "gone.txt": "gone\n", "b.txt": "b\n", ".gitignore": "*.env\n"},
    )
    git(made, "switch", "-qc", "work")
    (made / "a.txt").write_text("changed\n" + "a\n" * 8)
    (made / "new").mkdir()
    (made / "new/file.txt").write_text("new\n")
    (made / "gone.txt").unlink()
    git(made, "add", "--all")
    git(made, "commit", "-qm", "work")
    git(made, "switch", "-q", "main")
    return made


def land(source: Path, branch: str = "main", **options) -> MergeResult:
    return merge(source, git(source, "rev-parse", "work"), branch, "Merge DEMO-1: a title", AUTHOR, **options)


def files(folder: Path) -> dict[str, str]:
    """Every file of a person's checkout with a hash of its content, its repository apart."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def refused(source: Path, code: str, branch: str = "main", **options) -> Conflict:
    """The refusal, after it is sure that nothing has moved or changed."""
    before = (
        files(source),
        git(source, "rev-parse", "HEAD", branch),
        git(source, "status", "--porcelain", "--ignored"),
    )
    with pytest.raises(Conflict) as failure:
        land(source, branch, **options)
    assert failure.value.code == code
    assert (
        files(source),
        git(source, "rev-parse", "HEAD", branch),
        git(source, "status", "--porcelain", "--ignored"),
    ) == before
    return failure.value


def test_it_lands_where_the_target_is_checked_out_and_leaves_it_clean(source: Path) -> None:
    (source / "mine.txt").write_text("untracked, a person's")
    (source / "secret.env").write_text("ignored, a person's")
    before = files(source)
    result = land(source)
    assert result == MergeResult(git(source, "rev-parse", "main"), "merge")
    after = files(source)
    assert set(after) - set(before) == {"new/file.txt"}
    assert {name for name in before if after.get(name) != before[name]} == {"a.txt", "gone.txt"}
    assert git(source, "status", "--porcelain") == "?? mine.txt"
    assert (
        git(source, "log", "-1", "--format=%an <%ae> %cn: %s")
        == "Alice Example <alice@example.org> Studio: Merge DEMO-1: a title"
    )
    assert git(source, "rev-parse", "main^2") == git(source, "rev-parse", "work")


def test_it_lands_by_the_ref_where_the_target_is_not_checked_out(source: Path) -> None:
    git(source, "switch", "-qc", "elsewhere")
    (source / "a.txt").write_text("a person's change that is not committed")
    before = (files(source), git(source, "status", "--porcelain"), git(source, "rev-parse", "HEAD"))
    result = land(source)
    assert git(source, "rev-parse", "main") == result.oid
    assert (files(source), git(source, "status", "--porcelain"), git(source, "rev-parse", "HEAD")) == before


def test_it_lands_in_a_linked_worktree_and_in_a_bare_repository(source: Path, tmp_path: Path) -> None:
    git(source, "switch", "-q", "--detach")
    git(source, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    land(source)
    assert (tmp_path / "linked/new/file.txt").read_text() == "new\n"
    assert git(tmp_path / "linked", "status", "--porcelain") == git(source, "status", "--porcelain") == ""
    git(tmp_path, "clone", "-q", "--bare", str(source), "bare.git")
    git(tmp_path / "bare.git", "update-ref", "refs/heads/main", "main^1")
    assert land(tmp_path / "bare.git").strategy == "merge"


def test_a_target_that_went_on_is_merged_with_both_changes(source: Path) -> None:
    (source / "b.txt").write_text("main went on\n")
    git(source, "commit", "-qam", "main went on")
    land(source)
    assert (source / "b.txt").read_text() == "main went on\n"
    assert (source / "new/file.txt").exists()


def test_doing_it_again_after_a_crash_merges_nothing_twice(source: Path) -> None:
    first = land(source)
    assert land(source) == MergeResult(first.oid, "already_contained")


def test_conflicts_are_named_and_nothing_is_left_half_done(source: Path) -> None:
    (source / "a.txt").write_text("main's own\n" + "a\n" * 8)
    (source / "gone.txt").write_text("main's own")
    git(source, "commit", "-qam", "main went on")
    assert refused(source, "merge_conflict").data["files"] == ["a.txt", "gone.txt"]


def test_unrelated_histories_and_unknown_branches_are_refused(source: Path) -> None:
    with pytest.raises(Invalid) as failure:
        land(source, "nope")
    assert list(failure.value.fields) == ["target_branch"]
    with pytest.raises(Invalid):
        land(source, "--force")
    with pytest.raises(ValueError, match="not an object id"):
        merge(source, "work", "main", "x", AUTHOR)
    git(source, "checkout", "-q", "--orphan", "other")
    git(source, "commit", "-qm", "unrelated")
    refused(source, "unrelated_histories", "other")


@pytest.mark.parametrize("staged", [False, True])
def test_tracked_changes_refuse_it_and_say_how_to_land_by_hand(source: Path, staged: bool) -> None:
    (source / "b.txt").write_text("a person's change\n")
    if staged:
        git(source, "add", "b.txt")
    refusal = refused(source, "checkout_dirty")
    assert "b.txt" in refusal.message
    git(source, "stash", "-q")
    subprocess.run(refusal.data["command"], shell=True, check=True, capture_output=True)
    assert (source / "new/file.txt").exists()


@pytest.mark.parametrize("setup", ["merge", "rebase", "cherry-pick", "bisect", "index.lock"])
def test_an_unfinished_operation_refuses_it(source: Path, setup: str) -> None:
    git(source, "switch", "-qc", "theirs", "main")
    (source / "b.txt").write_text("theirs\n")
    git(source, "commit", "-qam", "theirs")
    git(source, "switch", "-q", "main")
    (source / "b.txt").write_text("main's\n")
    git(source, "commit", "-qam", "main's")
    if setup == "index.lock":
        (source / ".git/index.lock").touch()
    elif setup == "bisect":
        git(source, "bisect", "start", "HEAD", "HEAD~1")
    else:
        with pytest.raises(subprocess.CalledProcessError):  # the conflict that it stops at
            git(source, setup, "theirs")
    assert "git -C" in refused(source, "checkout_busy").data["command"]


@pytest.mark.parametrize("mine", ["new/file.txt", "new/file.txt/inside", "new"])
def test_untracked_files_in_the_way_refuse_it(source: Path, mine: str) -> None:
    (source / mine).parent.mkdir(parents=True, exist_ok=True)
    (source / mine).write_text("a person's")
    assert refused(source, "untracked_collision").data["files"] == [mine]


def test_ignored_files_are_not_written_over(source: Path) -> None:
    git(source, "switch", "-q", "work")
    (source / "keys.env").write_text("the agent's")
    git(source, "add", "--force", "keys.env")
    git(source, "commit", "-qm", "force")
    git(source, "switch", "-q", "main")
    (source / "keys.env").write_text("a person's secret")
    assert refused(source, "untracked_collision").data["files"] == ["keys.env"]


def test_a_link_where_a_folder_is_to_be_made_is_not_followed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (source / "new").symlink_to(tmp_path / "outside")
    assert refused(source, "untracked_collision").data["files"] == ["new"]
    assert not list((tmp_path / "outside").iterdir())


def test_a_folder_that_becomes_a_file_is_no_collision(source: Path) -> None:
    (source / "shape").mkdir()
    (source / "shape/inner").write_text("x")
    git(source, "add", "shape")
    git(source, "commit", "-qm", "folder")
    git(source, "switch", "-qc", "work2")
    git(source, "rm", "-rq", "shape")
    (source / "shape").write_text("a file now")
    git(source, "add", "shape")
    git(source, "commit", "-qm", "file")
    git(source, "branch", "-qf", "work", "work2")
    git(source, "switch", "-q", "main")
    land(source)
    assert (source / "shape").read_text() == "a file now"


def test_a_persons_own_hooks_run_in_their_checkout_and_nothing_else_of_theirs(
    source: Path, tmp_path: Path
) -> None:
    for hook in ("post-merge", "post-commit", "pre-commit"):
        script = source / ".git/hooks" / hook
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\ntouch {tmp_path}/{hook}\nexit 1\n")
        script.chmod(0o755)
    git(source, "config", "core.fsmonitor", f"touch {tmp_path}/fsmonitor")
    git(source, "config", "merge.autoStash", "true")
    git(source, "config", "commit.gpgSign", "true")
    assert land(source).strategy == "merge"
    assert (tmp_path / "post-merge").exists()
    assert not {"post-commit", "pre-commit", "fsmonitor"} & {path.name for path in tmp_path.iterdir()}


def test_a_hook_that_refuses_the_ref_leaves_everything_as_it_was(source: Path) -> None:
    hook = source / ".git/hooks/reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ngrep -q refs/heads/main && [ $1 = prepared ] && exit 1\nexit 0\n")
    hook.chmod(0o755)
    refused(source, "merge_refused")


def test_a_hook_that_hangs_after_landing_does_not_undo_it(source: Path) -> None:
    hook = source / ".git/hooks/post-merge"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nsleep 60\n")
    hook.chmod(0o755)
    started = time.monotonic()
    assert land(source, timeout=2).strategy == "merge"
    assert time.monotonic() - started < 10
    assert git(source, "status", "--porcelain") == ""


def test_a_merge_that_hangs_half_way_is_put_back(source: Path, tmp_path: Path) -> None:
    """A person's own filter that hangs on one file: the others are written already when time runs out."""
    git(source, "config", "filter.slow.smudge", "sleep 60; cat")
    (source / ".git/info").mkdir(exist_ok=True)
    (source / ".git/info/attributes").write_text("new/file.txt filter=slow\n")
    refusal = refused(source, "git_timeout", timeout=2)
    assert "git -C" in refusal.data["command"]
    assert not (source / ".git/index.lock").exists()
    assert not (source / "new").exists()
    git(source, "config", "filter.slow.smudge", "cat")
    land(source)


def test_a_target_that_moves_while_it_is_merged_is_merged_anew(source: Path, monkeypatch) -> None:
    git(source, "switch", "-q", "--detach")
    commit, moves = merging.commit, []

    def moving(*arguments):
        made = commit(*arguments)
        if not moves:
            moves.append(git(source, "commit-tree", "main^{tree}", "-p", "main", "-m", "someone else"))
            git(source, "update-ref", "refs/heads/main", moves[0])
        return made

    monkeypatch.setattr(merging, "commit", moving)
    land(source)
    assert git(source, "rev-parse", "main^1") == moves[0]


def test_hostile_words_in_message_and_author_stay_words(source: Path) -> None:
    head = git(source, "rev-parse", "work")
    merge(
        source, head, "main", "--amend\n\n# not a comment\n$(touch x)", ("Eve\nX <x>", "<eve@example.org>\n")
    )
    assert (
        git(source, "log", "-1", "--format=%an|%ae|%B")
        == "EveX x|eve@example.org|--amend\n\n# not a comment\n$(touch x)"
    )
