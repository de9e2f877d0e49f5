"""Landing in every state that a person's checkout and target can be in: the right result or a clear refusal, and their files as they were."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from sessions.workspaces.merge import forget, merge
from sessions.workspaces.strategies import STRATEGIES
from studio.errors import Refusal
from tests.factories import git, make_repository

WORDS = ("DEMO-1: a title\n\nStudio-Task: http://x/1\n", ("Alice", "alice@example.org"))
TRAILERS = "Studio-Task: http://x/1\n"
WORK = {"a.txt", "new/file.txt", "gone.txt"}  # what the work changes, adds, deletes
COMMIT = "git commit -qam theirs"
THEIRS = "git switch -qc theirs; echo theirs > b.txt; git commit -qam theirs; git switch -q main; echo ours > b.txt; git commit -qam ours; "
HOOK = "mkdir -p .git/hooks; printf '#!/bin/sh\\n{}\\n' > .git/hooks/{}; chmod +x .git/hooks/{}; "
PROTECTED = HOOK.format(
    "grep -q refs/heads/main \\&\\& [ $1 = prepared ] \\&\\& exit 1; exit 0".replace("\\&", "&"),
    *["reference-transaction"] * 2,
)

# name: what the person did (the working directory is their checkout, on main), and the code of the refusal; empty: it lands
STATES = {
    "clean": ("true", ""),
    "untracked-and-ignored-files": ("echo mine > mine.txt; echo secret > keys.env", ""),
    "dirty": ("echo mine >> b.txt", "checkout_dirty"),
    "dirty-where-the-work-is": ("echo mine >> a.txt", "checkout_dirty"),
    "staged": ("echo mine >> b.txt; git add b.txt", "checkout_dirty"),
    "deleted-by-hand": ("rm b.txt", "checkout_dirty"),
    "mode-changed": ("chmod +x b.txt", "checkout_dirty"),
    "intent-to-add": ("echo x > soon.txt; git add -N soon.txt", "checkout_dirty"),
    "stashed": ("echo mine >> b.txt; git stash -q", ""),
    "detached": ("git switch -q --detach", ""),
    "detached-and-dirty": ("git switch -q --detach; echo mine >> a.txt", ""),
    "elsewhere-and-dirty": ("git switch -qc other; echo mine >> a.txt", ""),
    "unborn-branch": ("git switch -q --orphan fresh", ""),
    "moved-meanwhile": ("echo more > b.txt; " + COMMIT, ""),
    "moved-and-elsewhere": ("echo more > b.txt; " + COMMIT + "; git switch -qc other", ""),
    "moved-back": ("git commit -q --allow-empty -m x; git reset -q --hard HEAD^", ""),
    "target-deleted": ("git switch -qc other; git branch -qD main", "invalid"),
    "target-renamed": ("git branch -qm main trunk", "invalid"),
    "target-is-a-tag-now": ("git tag main; git switch -qc other; git branch -qD main", "invalid"),
    "a-tag-of-the-same-name": ("git tag main HEAD", ""),
    "target-is-a-link": ("git branch -qm main trunk; git symbolic-ref refs/heads/main refs/heads/trunk", ""),
    "target-links-outside": ("git switch -qc other; git branch -qD main; git update-ref refs/other/x HEAD; git symbolic-ref refs/heads/main refs/other/x", "merge_refused"),
    "protected-by-a-hook": (PROTECTED, "merge_refused"),
    "protected-and-elsewhere": ("git switch -qc other; " + PROTECTED, "merge_refused"),
    "failing-post-merge": (HOOK.format("exit 1", *["post-merge"] * 2), ""),
    "failing-commit-hooks": (HOOK.format("exit 1", *["pre-commit"] * 2) + HOOK.format("exit 1", *["pre-merge-commit"] * 2), ""),
    "conflict": ("echo theirs > a.txt; " + COMMIT, "merge_conflict"),
    "conflict-with-a-deletion": ("echo theirs > gone.txt; " + COMMIT, "merge_conflict"),
    "conflict-of-additions": ("mkdir new; echo theirs > new/file.txt; git add .; " + COMMIT, "merge_conflict"),
    "conflict-of-file-and-folder": ("echo theirs > new; git add .; " + COMMIT, "merge_conflict"),
    "the-same-change-by-hand": ("git checkout -q work -- .; git rm -q gone.txt; git commit -qm same", ""),
    "unrelated": ("git checkout -q --orphan o; git commit -qm o; git branch -qM o main", "unrelated_histories"),
    "unfinished-merge": (THEIRS + "git merge theirs || true", "checkout_busy"),
    "unfinished-rebase": (THEIRS + "git rebase theirs || true", "checkout_busy"),
    "unfinished-cherry-pick": (THEIRS + "git cherry-pick theirs || true", "checkout_busy"),
    "unfinished-revert": (THEIRS + "git revert --no-commit HEAD", "checkout_busy"),
    "bisecting": (THEIRS + "git bisect start HEAD HEAD~1", "checkout_busy"),
    "index-locked": ("touch .git/index.lock", "checkout_busy"),
    "branch-locked": ("touch .git/refs/heads/main.lock", "checkout_busy"),
    "untracked-in-the-way": ("mkdir new; echo mine > new/file.txt", "untracked_collision"),
    "ignored-in-the-way": ("mkdir new; echo new > .git/info/exclude; echo mine > new/file.txt", "untracked_collision"),
    "a-file-for-a-folder": ("echo mine > new", "untracked_collision"),
    "a-link-for-a-folder": ("mkdir ../outside; ln -s ../outside new", "untracked_collision"),
    "case-clash": ("mkdir NEW; echo mine > NEW/file.txt; echo mine > A.txt; git add A.txt; " + COMMIT, ""),
    "worktree-elsewhere": ("git switch -qc other; git worktree add -q ../linked main", ""),
    "dirty-worktree-elsewhere": ("git switch -qc other; git worktree add -q ../linked main; echo mine >> ../linked/b.txt", "checkout_dirty"),
    "worktree-that-was-removed": ("git switch -qc other; git worktree add -q ../linked main; rm -r ../linked", ""),
    "in-two-worktrees": ("git worktree add -qf ../linked main", "checkout_busy"),
    "sparse": ("mkdir -p far; echo far > far/x; git add .; git commit -qm far; git sparse-checkout set --no-cone '/*' '!/far/'", ""),
    "submodule": ("git init -q ../sub; git -C ../sub -c user.name=x -c user.email=x@x commit -q --allow-empty -m s; git -c protocol.file.allow=always submodule --quiet add ../sub sub; git commit -qm sub", ""),
    "submodule-moved": ("git init -q ../sub; git -C ../sub -c user.name=x -c user.email=x@x commit -q --allow-empty -m s; git -c protocol.file.allow=always submodule --quiet add ../sub sub; git commit -qm sub; git -C sub -c user.name=x -c user.email=x@x commit -q --allow-empty -m t", "checkout_dirty"),
    "lfs-pointers-without-lfs": ("echo '*.bin filter=lfs' > .gitattributes; echo pointer > p.bin; git add .; git commit -qm lfs", ""),
    "a-required-filter-that-fails": ("echo 'new/* filter=lfs' > .git/info/attributes; git config filter.lfs.smudge false; git config filter.lfs.required true", "merge_refused"),
    "line-endings": ("git config core.autocrlf true; git config core.safecrlf false", ""),
    "ignoring-case": ("git config core.ignorecase true", ""),
    "signing-wanted": ("git config commit.gpgSign true; git config gpg.program false; git config merge.verifySignatures true", ""),
    "fast-forwards-forbidden": ("git config merge.ff false; git config pull.rebase true", ""),
    "shallow": ("cd ..; mv source whole; git clone -q --depth 1 --no-local file://$PWD/whole source; cd source; git fetch -q --depth 3 origin work:work", ""),
    "shallow-with-the-history-cut-off": ("cd ..; mv source whole; git clone -q --depth 1 --no-local file://$PWD/whole source; cd source; git fetch -q --depth 2 origin work:work", "unrelated_histories"),
    "packed": ("git gc -q", ""),
}  # fmt: skip
EACH = ["clean", "elsewhere-and-dirty", "moved-meanwhile", "conflict", "dirty", "target-is-a-link"]
CASES = [(state, STRATEGIES[number % 3]) for number, state in enumerate(STATES)]
CASES += [(state, strategy) for state in EACH for strategy in STRATEGIES if (state, strategy) not in CASES]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On main, with the branch `work` two commits ahead."""
    made = make_repository(
        tmp_path_factory.mktemp("template") / "source",
        {"a.txt": "a\n" * 9, "gone.txt": "gone\n", "b.txt": "b\n", ".gitignore": "*.env\n"},
    )
    git(made, "switch", "-qc", "work")
    (made / "a.txt").write_text("changed\n" + "a\n" * 8)
    git(made, "commit", "-qam", "one")
    (made / "new").mkdir()
    (made / "new/file.txt").write_text("new\n")
    (made / "gone.txt").unlink()
    git(made, "add", "--all")
    git(made, "commit", "-qm", "two")
    git(made, "switch", "-q", "main")
    return made


@pytest.fixture
def source(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "source", symlinks=True)
    return tmp_path / "source"


def files(*folders: Path) -> dict[str, str]:
    """Each file with a hash of its content, whoever it belongs to; git's own apart."""
    return {
        str(path): path.readlink().as_posix()
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in folder.rglob("*")
        if (path.is_file() or path.is_symlink()) and ".git" not in path.parts
    }


def heads(source: Path) -> str:
    """Every branch and where it stands, and what is checked out."""
    return (
        git(source, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads")
        + (source / ".git/HEAD").read_text()
    )


def prepare(source: Path, script: str) -> str:
    identity = {
        f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    subprocess.run(
        ["sh", "-c", script],
        cwd=source,
        check=True,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere", **identity},
    )
    return git(source, "rev-parse", "refs/heads/work")


@pytest.mark.parametrize(("state", "strategy"), CASES)
def test_a_landing_is_right_or_refused_and_leaves_a_persons_files(
    source: Path, state: str, strategy: str
) -> None:
    script, code = STATES[state]
    head = prepare(source, script)
    before, branches, linked = files(source.parent), heads(source), source.parent / "linked"
    lock = list(source.glob(".git/**/*.lock"))
    how = {"strategy": strategy, "trailers": TRAILERS, "key": "DEMO-1-1"}
    if code:
        with pytest.raises(Refusal) as failure:
            merge(source, head, "main", *WORDS, **how)
        assert failure.value.code == code, failure.value.message
        assert len(failure.value.message) > 20
        assert (files(source.parent), heads(source)) == (before, branches)
        assert list(source.glob(".git/**/*.lock")) == lock
        return
    result = merge(source, head, "main", *WORDS, **how)
    tip = git(source, "rev-parse", "refs/heads/main")
    assert tip == result.oid
    assert git(source, "show", f"{tip}:a.txt").startswith("changed")
    assert git(source, "ls-tree", "-r", "--name-only", tip).split("\n").count("gone.txt") == 0
    after = files(source.parent)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    checked_out = [folder for folder in (source, linked) if folder.is_dir() and _stands_on(folder, tip)]
    assert changed <= {str(folder / name) for folder in checked_out for name in WORK}
    for folder in checked_out:
        assert (folder / "new/file.txt").read_text().strip() == "new"
    if result.strategy != "already_contained":
        assert len(git(source, "rev-list", "--parents", "-1", tip).split()) == (
            3 if strategy == "merge" else 2
        )
        assert "Studio-Task: http://x/1" in git(source, "show", "-s", "--format=%B", tip)
    assert (
        merge(source, head, "main", *WORDS, strategy=strategy, key="DEMO-1-1").strategy == "already_contained"
    )
    assert git(source, "rev-parse", "refs/heads/main") == tip


def _stands_on(folder: Path, tip: str) -> bool:
    found = subprocess.run(
        ["git", "rev-parse", "-q", "--verify", "HEAD"], cwd=folder, capture_output=True, text=True
    )
    return found.stdout.strip() == tip


def test_the_matrix_has_the_states_that_were_promised() -> None:
    assert len(STATES) >= 30


def test_a_rebase_keeps_authors_and_messages_and_leaves_out_what_is_there_already(source: Path) -> None:
    git(source, "cherry-pick", "work~1")
    merge(source, git(source, "rev-parse", "work"), "main", *WORDS, strategy="rebase", trailers=TRAILERS)
    told = git(source, "log", "-2", "--format=%an %cn %s").split("\n")
    assert told == ["Test Studio two", "Test Test one"]


def test_a_work_with_a_merge_of_its_own_is_not_rebased_but_squashed(source: Path) -> None:
    (source / "b.txt").write_text("went on\n")
    git(source, "commit", "-qam", "went on")
    git(source, "switch", "-q", "work")
    git(source, "merge", "-q", "--no-edit", "main")
    git(source, "switch", "-q", "main")
    head = git(source, "rev-parse", "work")
    with pytest.raises(Refusal) as failure:
        merge(source, head, "main", *WORDS, strategy="rebase")
    assert failure.value.code == "rebase_impossible"
    assert merge(source, head, "main", *WORDS, strategy="squash").strategy == "squash"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_landing_that_was_never_noted_is_found_again_when_the_branch_went_on(
    source: Path, strategy: str
) -> None:
    head = git(source, "rev-parse", "work")
    landed = merge(source, head, "main", *WORDS, strategy=strategy, key="DEMO-1-1").oid
    (source / "a.txt").write_text("changed once more\n")
    git(source, "commit", "-qam", "a person goes on")
    again = merge(source, head, "main", *WORDS, strategy=strategy, key="DEMO-1-1")
    assert again.strategy == "already_contained"
    assert git(source, "rev-parse", "HEAD~1") == landed
    forget(source, "DEMO-1-1")
    assert not git(source, "for-each-ref", "refs/studio/landing")
