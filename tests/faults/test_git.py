"""Workspaces on repositories in every state that people leave them in, thirty-two at once, and removed in every state that agents leave."""

import hashlib
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from sessions import cleanup, landing, places, removal
from sessions.models import Attempt
from sessions.workspaces.git import Workspace, inspect, isolation
from sessions.workspaces.merge import merge
from sessions.workspaces.sandbox import availability, bwrap
from studio.errors import Refusal
from tasks.models import Task
from tests import factories
from tests.factories import git, make_repository

STARTS = 32
PERSON = ("Person", "person@example.org")
FILES = {"a.txt": "one\ntwo\nthree\n", "sub/b.txt": "b\n", ".gitignore": "*.log\n"}
# Where git keeps what Studio may add to: objects, and refs, which `belongings` asks git for.
ADDED_TO = re.compile(
    r"(^|/)(\.git|[^/]+\.git)/(objects|refs|packed-refs|logs/refs/heads/studio|logs/refs/studio)(/|$)"
)


@pytest.fixture(autouse=True)
def _data_folder(tmp_path: Path, settings: Any) -> None:
    settings.STUDIO_HOME = tmp_path / "studio"
    settings.STUDIO_HOME.mkdir()


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """The folder of all that belongs to people."""
    (tmp_path / "people").mkdir()
    return tmp_path / "people"


def belongings(people: Path) -> dict[str, str]:
    """All that people have: every file by content and mode, index, HEAD, config, hooks, reflogs, and refs that are not Studio's."""
    found = {}
    for path in sorted(people.rglob("*")):
        name = path.relative_to(people).as_posix()
        if path.is_dir() and not path.is_symlink():
            if (path / "HEAD").is_file() and (path / "objects").is_dir():
                refs = git(path, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
                own = [ref for ref in refs if not ref.startswith(("refs/studio/", "refs/heads/studio/"))]
                found[f"{name} refs"] = "\n".join(own)
        elif not ADDED_TO.search(name):
            content = (
                os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
            )
            found[name] = f"{path.lstat().st_mode} {content}"
    return found


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


def attempted(act: Callable[[], Any]) -> tuple[Any, str]:
    """What an act returns, and the sentence that refused it."""
    try:
        return act(), ""
    except Refusal as refusal:
        return None, refusal.message


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


def rows(names: Any, number: str, sample: tuple[str, ...]) -> list[Any]:
    return [
        pytest.param(name, marks=pytest.mark.fault(number, sample=name in sample), id=name) for name in names
    ]


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


# --- R29 -------------------------------------------------------------------------------------------------------------

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
