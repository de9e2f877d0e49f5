"""What is missing is told in one sentence, before anything is installed or made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from studio import preflight


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=settings.BASE_DIR,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def check(what: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "studio.preflight", what, **environment)


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH of one folder, with everything that Studio needs; a test takes away what it wants to miss."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("node", "npm"):
        make_tool(folder, name, "true")
    make_tool(folder, "git", "echo git version 2.39.5")
    return folder


def make_tool(folder: Path, name: str, does: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{does}\n")
    (folder / name).chmod(0o755)


def test_nothing_is_said_where_every_tool_is_there(tools: Path) -> None:
    done = check("tools", PATH=str(tools))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["node", "npm", "git"])
def test_a_missing_tool_is_named(tools: Path, name: str) -> None:
    (tools / name).unlink()
    assert_refused(check("tools", PATH=str(tools)), f"{name} is not on the PATH", "install it")


@pytest.mark.parametrize(
    ("version", "status"), [("1.9.1", 1), ("2.37.7", 1), ("2.38.0", 0), ("2.39.2 (Apple Git-143)", 0)]
)
def test_git_must_be_new_enough(tools: Path, version: str, status: int) -> None:
    make_tool(tools, "git", f"echo 'git version {version}'")
    assert check("tools", PATH=str(tools)).returncode == status


def test_a_python_without_venv_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        preflight.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else name
    )
    with pytest.raises(preflight.Missing, match=r"lacks ensurepip.*apt install python3\.\d+-venv"):
        preflight.check_venv()


def test_another_system_than_linux_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(preflight.Missing, match="Linux only"):
        preflight.check_system()


@pytest.mark.parametrize("python", ["exit 1", None], ids=["old", "missing"])
def test_make_asks_for_a_newer_python_before_anything_else(tmp_path: Path, python: str | None) -> None:
    if python:
        make_tool(tmp_path, "python3", python)
    done = run("/usr/bin/make", "--silent", "preflight", PATH=str(tmp_path), SHELL="/bin/sh")
    sentence, *rest = done.stderr.splitlines()
    assert done.returncode != 0
    assert sentence.startswith("Studio needs Python 3.11 or newer")
    assert all(line.startswith("make") for line in rest)


@pytest.mark.parametrize("port", ["http", "0", "70000", "-1"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    assert_refused(check("home", STUDIO_HOME=str(tmp_path), STUDIO_PORT=port), "STUDIO_PORT", port)


def test_a_data_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_refused(
        check("home", STUDIO_HOME=str(tmp_path / "file" / "studio")), "Not a directory", "STUDIO_HOME"
    )


def test_a_data_folder_that_cannot_be_written_is_refused() -> None:
    assert_refused(check("home", STUDIO_HOME="/proc/self"), "cannot write its data folder", "STUDIO_HOME")


@pytest.mark.parametrize("mark", [".git", ".jj"])
def test_a_data_folder_in_a_repository_is_refused_and_not_made(tmp_path: Path, mark: str) -> None:
    (tmp_path / mark).mkdir()
    home = tmp_path / "a" / "b"
    assert_refused(check("home", STUDIO_HOME=str(home)), f"inside the repository {tmp_path}")
    assert not home.parent.exists()


def test_a_data_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "studio"
    assert check("home", STUDIO_HOME=str(home)).returncode == 0
    assert home.stat().st_mode & 0o777 == 0o700
    assert list(home.iterdir()) == []


def test_an_old_sqlite_is_mentioned() -> None:
    assert "3.40.1" in next(preflight.notes("3.40.1", sandbox_wanted=True))
    assert not [note for note in preflight.notes("3.51.3", sandbox_wanted=True) if "SQLite" in note]


def test_without_namespaces_only_the_demo_model_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tool(tmp_path, "bwrap", "echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    [note] = preflight.notes("", sandbox_wanted=True)
    assert "No permissions to create new namespace" in note
    assert "real provider is refused unless STUDIO_SANDBOX=off" in note


def test_a_sandbox_that_was_switched_off_is_mentioned() -> None:
    [note] = preflight.notes("", sandbox_wanted=False)
    assert "STUDIO_SANDBOX=off" in note


MOUNTS = """22 1 254:0 / / rw,relatime - ext4 /dev/root rw
40 22 0:50 / /srv rw - nfs4 server:/srv rw
41 40 8:1 / /srv/local\\040disk rw - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("home", "kind"),
    [
        ("/home/studio", "ext4"),
        ("/srv/studio", "nfs4"),
        ("/srv/local disk/studio", "xfs"),
        ("/srvother", "ext4"),
    ],
)
def test_sqlite_on_a_network_file_system_is_refused(
    home: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert preflight.file_system(Path(home), str(mounts)) == kind
    if kind != "nfs4":
        preflight.check_local(Path(home), str(mounts))
        return
    with pytest.raises(preflight.Missing, match="network file system"):
        preflight.check_local(Path(home), str(mounts))
    monkeypatch.setenv("DATABASE_URL", "postgresql://somewhere")
    preflight.check_local(Path(home), str(mounts))
