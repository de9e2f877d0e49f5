"""Repositories of git and of jj that workspaces are made from, and what tests of workspaces share."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.workspaces.git import Workspace, inspect, isolation
from sessions.workspaces.jj import trouble
from sessions.workspaces.sandbox import availability
from tests.factories import git, make_repository

ISOLATED = availability().usable
FILES = {"a.txt": "one\ntwo\nthree\n", "sub/b.txt": "b\n", ".gitignore": "*.log\n"}
needs_jj = pytest.mark.skipif(bool(trouble()), reason=trouble() or "jj is here")
# A test that takes `kind` runs on git, on jj beside git, and on jj with its git repository inside.
KINDS = ["git", pytest.param("jj beside git", marks=needs_jj), pytest.param("jj alone", marks=needs_jj)]
JJS = KINDS[1:]


@pytest.fixture(autouse=True)
def _data_folder(tmp_path: Path, settings) -> None:
    settings.STUDIO_HOME = tmp_path / "studio"
    settings.STUDIO_HOME.mkdir()


@pytest.fixture
def kind() -> str:
    """What the source is a repository of; `pytest.mark.parametrize("kind", KINDS)` runs a test on each."""
    return "git"


@pytest.fixture
def source(tmp_path: Path, kind: str) -> Path:
    """A person's repository with the branch main."""
    return make_source(tmp_path / "source", kind)


@pytest.fixture
def workspace(source: Path, tmp_path: Path) -> Iterator[Workspace]:
    """The workspace of an attempt on it."""
    made = a_workspace(source, tmp_path)
    made.create("main")
    yield made
    assert made.sandbox.sweep() == []


def make_source(folder: Path, kind: str, files: dict[str, str] | None = None) -> Path:
    """A repository of that kind with one commit on main."""
    if kind != "jj alone":
        make_repository(folder, files or FILES)
    if kind == "jj beside git":
        jj(folder, "git", "init", "--colocate")
    elif kind == "jj alone":
        folder.mkdir()
        jj(folder, "git", "init", "--no-colocate")
        for name, text in (files or FILES).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        jj(folder, "commit", "--message", "First")
        jj(folder, "bookmark", "create", "main", "-r", "@-")
    return folder


def jj(folder: Path, *words: str) -> str:
    """What a person does with jj, in their name."""
    who = ("--config", "user.name=Test", "--config", "user.email=test@example.org")
    done = subprocess.run(
        [shutil.which("jj") or "jj", "--no-pager", "--color=never", "--quiet", *who, *words],
        cwd=folder, check=False, capture_output=True, text=True, env={**os.environ, "JJ_CONFIG": "/dev/null"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def store(source: Path) -> Path:
    """Where git reads the repository: the folder itself, or what jj keeps inside."""
    return source if (source / ".git").exists() else source / ".jj/repo/store/git"


def tip(source: Path, branch: str = "main") -> str:
    """The commit that a branch or bookmark stands on, as its own tool says."""
    if (source / ".jj").exists():
        return jj(source, "--ignore-working-copy", "log", "--no-graph", "-r", branch, "-T", "commit_id")
    return git(source, "rev-parse", branch)


def commit(source: Path, files: dict[str, str], message: str = "Later") -> str:
    """A person's next commit on main; its id."""
    for name, text in files.items():
        (source / name).write_text(text)
    if (source / ".jj").exists():
        jj(source, "commit", "--message", message)
        jj(source, "bookmark", "set", "main", "-r", "@-")
    else:
        git(source, "add", "--all")
        git(source, "commit", "--quiet", "--allow-empty", "--message", message)
    return tip(source)


def work(source: Path, files: dict[str, str] | None = None, base: str = "") -> str:
    """A commit as an attempt leaves it in the source: known to git alone."""
    stream = f"commit refs/studio/attempts/DEMO-1-1\ncommitter Studio <studio@localhost> 1000000000 +0000\ndata 4\nwork\nfrom {base or tip(source)}\n"
    for name, text in (files or {"new.txt": "new\n"}).items():
        stream += f"M 100644 inline {name}\ndata {len(text)}\n{text}\n"
    command = ["git", "fast-import", "--quiet", "--force"]
    subprocess.run(command, cwd=store(source), input=stream, text=True, check=True, capture_output=True)
    return git(store(source), "rev-parse", "refs/studio/attempts/DEMO-1-1")


def files_of(source: Path) -> str:
    """A hash of everything that the person sees in their folder."""
    inside = {".git", ".jj"}
    seen = [each for each in source.iterdir() if each.name not in inside]
    return " ".join(
        sorted(f"{each.name} {each.read_text() if each.is_file() else fingerprint(each)}" for each in seen)
    )


def a_workspace(source: Path, tmp_path: Path, key: str = "DEMO-1-1", enabled: bool = ISOLATED) -> Workspace:
    """A workspace that is not made yet."""
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
    """The files of a diff, with what happened to each."""
    return {file.path: file.status for file in found.files}
