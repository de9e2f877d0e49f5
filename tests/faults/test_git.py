"""Workspaces on repositories in every state that people leave them in, and thirty-two at once."""

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sessions.workspaces.git import Workspace, inspect, isolation
from sessions.workspaces.merge import merge
from sessions.workspaces.sandbox import availability, bwrap
from studio.errors import Refusal
from tests.factories import git, make_repository
from tests.faults.belongings import FILES, attempted, belongings, rows

STARTS = 32
PERSON = ("Person", "person@example.org")


def workspace_of(project: Path, home: Path, number: int = 1) -> Workspace:
    """The workspace of DEMO-<number>-1, not made yet. Raises Invalid for a project that cannot be worked on."""
    key, repository = f"DEMO-{number}-1", inspect(project, "main")
    folder = home / "attempts" / f"{number}-{key}"
    sandbox = isolation(
        repository,
        folder / "workspace",
        folder / "home",
        f"{key}-{os.getpid()}",
        enabled=availability().usable,
    )
    return Workspace(repository.path, folder / "workspace", key, sandbox)


def work_in(workspace: Workspace) -> str:
    """What a run does: a clone, a change, a commit, and the commit in the project's repository; its id."""
    workspace.create("main")
    (workspace.path / "made.txt").write_text(f"made for {workspace.key}\n")
    oid = workspace.commit("Make a file")
    workspace.export(oid)
    return oid


# --- R27 -------------------------------------------------------------------------------------------------------------


@pytest.mark.fault("R27", sample=True)
def test_thirty_two_starts_at_once_while_people_fetch_and_collect(people: Path, settings: Any) -> None:
    upstream = make_repository(people / "upstream", FILES)
    git(people, "clone", "--quiet", "upstream", "source")
    source = people / "source"
    done = threading.Event()
    rounds = []

    def keep_busy() -> None:
        while not done.is_set():
            git(upstream, "commit", "--quiet", "--allow-empty", "--message", "On")
            git(source, "fetch", "--quiet")
            git(source, "gc", "--quiet", "--prune=now")
            rounds.append(len(rounds))

    workspaces = [workspace_of(source, settings.STUDIO_HOME, number) for number in range(1, STARTS + 1)]
    with ThreadPoolExecutor(STARTS + 1) as pool:
        person = pool.submit(keep_busy)
        try:
            oids = list(pool.map(work_in, workspaces))
        finally:
            done.set()
        person.result()
    assert rounds, "nobody fetched or collected meanwhile"
    assert len(set(oids)) == STARTS
    for workspace, oid in zip(workspaces, oids, strict=True):
        assert git(workspace.path, "rev-parse", "HEAD") == oid == git(source, "rev-parse", workspace.branch)
        assert git(source, "show", f"{oid}:made.txt") == f"made for {workspace.key}"
    refs = git(source, "for-each-ref", "--format=%(refname)").splitlines()
    mine = [ref for ref in refs if "studio" in ref]
    assert len(mine) == 3 * STARTS, "a leftover ref"
    for left in ("*.lock", "tmp_*", "*.keep"):
        assert not list((source / ".git").rglob(left)), left
    assert not list(settings.STUDIO_HOME.rglob("*.new"))
    assert git(source, "status", "--porcelain") == ""
    git(source, "fsck", "--no-dangling", "--no-progress")


# --- R28 -------------------------------------------------------------------------------------------------------------

CONFLICT = """
    git switch -qc side; echo side > a.txt; git commit -qam side
    git switch -q main; echo mine > a.txt; git commit -qam mine
"""
# name: (what the person did in their repository, why it is refused as a project, why the merge is refused; empty: it works)
STATES: dict[str, tuple[str, str, str]] = {
    "clean": ("true", "", ""),
    "stale-index-lock": ("touch .git/index.lock", "", "index.lock"),
    "stale-ref-lock": ("touch .git/refs/heads/main.lock", "", "main.lock"),
    "dirty-main": ("echo dirty >> a.txt; echo new > staged.txt; git add staged.txt; echo u > u.txt", "", "not committed"),
    "untracked-in-the-way": ("echo mine > made.txt", "", "not in Git"),
    "ignored-in-the-way": ("echo made.txt >> .git/info/exclude; echo mine > made.txt", "", "not in Git"),
    "detached-head": ("git checkout -q --detach; echo dirty >> a.txt", "", ""),
    "unborn-branch": ("git switch -q --orphan fresh; echo new > new.txt", "", ""),
    "no-commit": ("rm -rf .git; git init -q -b main", "no commit yet", ""),
    "target-checked-out-elsewhere": ("git switch -qc own; git worktree add -q ../elsewhere main", "", ""),
    "target-checked-out-twice": ("git worktree add -qf ../elsewhere main", "", "more than one folder"),
    "studio-branch-checked-out": ("git switch -qc studio/DEMO-1-1; echo dirty >> a.txt", "", ""),
    "branch-named-studio": ("git branch studio", "", ""),
    "unmerged-index": (
        "echo stashed > a.txt; git stash -q; echo mine > a.txt; git commit -qam mine; git stash pop -q || true", "", "not committed",
    ),
    "mid-merge": (CONFLICT + "git merge -q side || true", "", "merge is unfinished"),
    "mid-rebase": (CONFLICT + "git rebase -q side || true", "", "rebase is unfinished"),
    "mid-cherry-pick": (CONFLICT + "git cherry-pick side || true", "", "cherry-pick is unfinished"),
    "mid-bisect": ("git commit -q --allow-empty -m x; git bisect start -q HEAD HEAD~1 || true", "", "bisect is unfinished"),
    "shallow": ("git commit -q --allow-empty -m x; git clone -q --depth 1 file://$PWD ../shallow", "shallow", ""),
    "partial": ("git config uploadpack.allowFilter true; git clone -q --filter=blob:none file://$PWD ../partial", "partial", ""),
    "submodule": ("git -c protocol.file.allow=always submodule add -q $PWD inner; git commit -qm sub", "submodules", ""),
    "lfs-pointer": ("echo '*.bin filter=lfs diff=lfs merge=lfs -text' > .gitattributes; git add .; git commit -qm lfs", "LFS", ""),
    "case-fold-names": ("echo 1 > Name.txt; echo 2 > NAME.txt; git add .; git commit -qm names", "", ""),
    "odd-names": ("touch -- '-rf' 'a b' $'new\\nline' $'\\xff.txt' '\"q\"'; git add .; git commit -qm odd", "", ""),
    "links": ("ln -s /etc/passwd out; ln -s nowhere broken; git add .; git commit -qm links", "", ""),
    "huge-file": ("head -c 300000000 /dev/zero > huge.bin; git add .; git commit -qm huge", "", ""),
    "sparse-checkout": ("git sparse-checkout set --no-cone sub", "", ""),
    "split-index": ("git update-index --split-index", "", ""),
    "sha256": ("rm -rf .git; git init -q -b main --object-format=sha256; git add .; git commit -qm one", "", ""),
    "packed-refs-only": ("git pack-refs --all", "", ""),
    "failing-hooks": ("for h in pre-commit post-commit post-checkout pre-merge-commit; do printf '#!/bin/sh\\nexit 1\\n' > .git/hooks/$h; chmod +x .git/hooks/$h; done", "", ""),
    "inside-of-a-repository": ("true", "lies inside the repository", ""),
    "bare": ("git clone -q --bare . ../bare.git", "", ""),
    "linked-worktree": ("git switch -qc own; git worktree add -q ../linked main", "", ""),
}  # fmt: skip
FOLDERS = {
    "shallow": "shallow",
    "partial": "partial",
    "bare": "bare.git",
    "linked-worktree": "linked",
    "inside-of-a-repository": "source/sub",
}
SAMPLE = ("dirty-main", "mid-rebase", "shallow")


@pytest.mark.parametrize("state", rows(STATES, "R28", SAMPLE))
def test_a_repository_in_any_state_works_or_says_why_and_stays_as_it_was(
    people: Path, settings: Any, state: str
) -> None:
    script, no_project, no_merge = STATES[state]
    make_repository(people / "source", FILES)
    identity = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    script = "set -e\n" + textwrap.dedent(script)
    subprocess.run(["bash", "-c", script], cwd=people / "source", check=True, env={**os.environ, **identity})
    project = people / FOLDERS.get(state, "source")
    before = belongings(people)
    oid, refused = attempted(lambda: work_in(workspace_of(project, settings.STUDIO_HOME)))
    assert belongings(people) == before
    assert (no_project in refused) if no_project else not refused, refused
    if refused:
        return
    landed, refused = attempted(lambda: merge(project, oid, "main", "Merge it", PERSON).oid)
    assert (no_merge in refused) if no_merge else not refused, refused
    if refused:
        assert belongings(people) == before
        return
    assert git(project, "rev-parse", "main") == landed
    assert git(project, "show", "main:made.txt") == "made for DEMO-1-1"
    after = belongings(people)
    own = {name: was for name, was in before.items() if ".git/" not in name and not name.endswith(" refs")}
    assert own.items() <= after.items(), "a person's file has changed"


@pytest.mark.fault("R28")
def test_a_read_only_repository_is_refused_with_the_reason(people: Path, settings: Any) -> None:
    """A mount that nothing can write to, since root writes into any folder."""
    source = make_repository(people / "source", FILES)
    code = """
        import sys, django; django.setup()
        from pathlib import Path
        from studio.errors import Refusal
        from sessions.workspaces.git import Workspace, inspect, isolation
        source, folder = Path(sys.argv[1]), Path(sys.argv[2])
        try:
            found = inspect(source, "main")
            box = isolation(found, folder / "workspace", folder / "home", "x", enabled=False)
            Workspace(source, folder / "workspace", "DEMO-1-1", box).create("main")
        except Refusal as refusal:
            print(refusal.message)
    """
    before = belongings(people)
    done = subprocess.run(
        [str(bwrap()), "--dev-bind", "/", "/", "--ro-bind", source, source, sys.executable, "-c", textwrap.dedent(code), source, settings.STUDIO_HOME / "x"],
        capture_output=True, text=True, env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}, check=False,
    )  # fmt: skip
    assert "where it may not write" in done.stdout, done.stdout + done.stderr
    assert belongings(people) == before


@pytest.mark.fault("R28")
def test_a_repository_that_moves_away_and_back_is_refused_meanwhile_and_works_then(
    people: Path, settings: Any
) -> None:
    source = make_repository(people / "source", FILES)
    workspace = workspace_of(source, settings.STUDIO_HOME)
    workspace.create("main")
    (workspace.path / "made.txt").write_text("made\n")
    before = belongings(people)
    source.rename(people / "away")
    with pytest.raises(Refusal, match="does not exist"):
        inspect(source, "main")
    for act in (lambda: workspace.commit("x"), workspace.keep, lambda: workspace.loss("main")):
        with pytest.raises(Refusal):
            act()
    assert (workspace.path / "made.txt").read_text() == "made\n"
    (people / "away").rename(source)
    workspace.export(workspace.commit("Make a file"))
    assert git(source, "show", "studio/DEMO-1-1:made.txt") == "made"
    assert belongings(people) == before
