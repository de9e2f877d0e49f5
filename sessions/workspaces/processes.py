"""Processes that Studio starts: their output while they run, and finding and ending every one that they left behind."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from studio import keeper

ATTEMPT_VARIABLE = "STUDIO_ATTEMPT"
POLL_SECONDS = 0.1
DRAIN_SECONDS = 1.0

Tick = Callable[[], object]

# Each session of processes has a share of the CPU of its own (autogroup, sched(7)), in which `nice` counts for nothing
# outside; the kernel takes the change from each user ten times a second at most, hence the patience.
GIVE_WAY = """
n=0
while [ -w /proc/self/autogroup ] && [ $n -lt 20 ] && ! echo 7 2>/dev/null >/proc/self/autogroup; do
    n=$((n + 1)); sleep 0.1
done
exec nice -n 7 "$@"
"""


@dataclass(frozen=True)
class Completed:
    """How a command ended. `exit_code` is None when its time ran out; below zero it is the signal that ended it.

    `cut` says that it wrote more than was kept. With both streams in one pipe everything is in `stdout`.
    """

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool
    cut: bool

    @property
    def output(self) -> str:
        """What it wrote, as text; bytes that are no UTF-8 become U+FFFD."""
        return (self.stdout + self.stderr).decode(errors="replace")


def giving_way(argv: Sequence[str]) -> list[str]:
    """The command at a low priority, with all that it starts: where the CPU is short, pages come before agents."""
    return ["/bin/sh", "-c", GIVE_WAY, "sh", *argv]


def keeping(parent: int) -> list[str]:
    """What stands before a command so that all that comes from it ends with it, and with the thread of `parent` that starts it."""
    return [sys.executable, "-I", "-S", keeper.__file__, str(parent)]


def capture(
    process: subprocess.Popen[bytes],
    end: Callable[[], None],
    *,
    timeout: float,
    tick: Tick | None = None,
    limit: int = 200_000,
    head_only: bool = False,
    on_output: Callable[[bytes], object] | None = None,
) -> Completed:
    """Read a process until it ends, calling `tick()` about every 0.1 s.

    `end()` must kill the process with all its children; it is called when `timeout` (seconds) passes and when `tick` or
    `on_output` raises, and then the exception passes. Of each stream `limit` bytes are kept: its two ends, or its head.
    """
    started = time.monotonic()
    kept = {stream: _Kept(limit, head_only) for stream in (process.stdout, process.stderr) if stream}
    timed_out = False
    try:
        with selectors.DefaultSelector() as selector:
            for stream in kept:
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ)
            timed_out = not _follow(process, selector, kept, started + timeout, tick, on_output)
            if timed_out:
                end()
            _drain(selector, kept)
    except BaseException:
        end()
        raise
    finally:
        for stream in kept:
            stream.close()
    none = _Kept(0, True)
    stdout, stderr = (
        kept.get(stream, none) if stream else none for stream in (process.stdout, process.stderr)
    )
    return Completed(
        exit_code=None if timed_out else process.returncode,
        stdout=stdout.value(),
        stderr=stderr.value(),
        seconds=time.monotonic() - started,
        timed_out=timed_out,
        cut=stdout.cut or stderr.cut,
    )


def _follow(
    process: subprocess.Popen[bytes],
    selector: selectors.BaseSelector,
    kept: "dict[IO[bytes], _Kept]",
    deadline: float,
    tick: Tick | None,
    on_output: Callable[[bytes], object] | None,
) -> bool:
    """True when the process ended before the deadline."""
    ticked = 0.0
    while process.poll() is None:
        now = time.monotonic()
        if now > deadline:
            return False
        if tick and now - ticked >= POLL_SECONDS:
            ticked = now
            tick()
        if selector.get_map():
            _read(selector, kept, POLL_SECONDS, on_output)
        else:
            _wait(process, POLL_SECONDS)
    return True


def _read(
    selector: selectors.BaseSelector,
    kept: "dict[IO[bytes], _Kept]",
    seconds: float,
    on_output: Callable[[bytes], object] | None = None,
) -> bool:
    """Take what is there; False when nothing came in time."""
    ready = selector.select(seconds)
    for key, _ in ready:
        chunk = os.read(key.fd, 65536)
        if not chunk:
            selector.unregister(key.fileobj)
            continue
        kept[key.fileobj].add(chunk)  # type: ignore[index]
        if on_output:
            on_output(chunk)
    return bool(ready)


def _drain(selector: selectors.BaseSelector, kept: "dict[IO[bytes], _Kept]") -> None:
    """What was still in the pipes at the end; a stranger that holds one open is not waited for."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while selector.get_map() and time.monotonic() < deadline:
        if not _read(selector, kept, 0.05):
            return


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass


@dataclass
class _Kept:
    """The first `limit` bytes of a stream, or its first and last halves."""

    limit: int
    head_only: bool
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    left_out: int = 0

    @property
    def cut(self) -> bool:
        return self.left_out > 0

    def add(self, chunk: bytes) -> None:
        room = (self.limit if self.head_only else self.limit // 2) - len(self.head)
        self.head += chunk[: max(room, 0)]
        rest = chunk[max(room, 0) :]
        if self.head_only:
            self.left_out += len(rest)
            return
        self.tail += rest
        over = len(self.tail) - self.limit // 2
        if over > 0:
            del self.tail[:over]
            self.left_out += over

    def value(self) -> bytes:
        if self.head_only or not self.cut:
            return bytes(self.head + self.tail)
        return bytes(self.head) + f"\n[… {self.left_out} bytes left out …]\n".encode() + bytes(self.tail)


def marked(marker: str, workspace: Path | None = None, *, variable: str = ATTEMPT_VARIABLE) -> list[int]:
    """The processes of an attempt, wherever they hid: those that carry its marker in their environment, those whose working
    directory lies in `workspace`, and all that share a PID namespace with one of them or descend from one.

    Never this process or one above it. Other people's processes cannot be read and are not found.
    """
    needle = f"{variable}={marker}".encode()
    parents = {pid: _parent(pid) for pid in _pids()}
    found = {pid for pid in parents if needle in _environment(pid) or _is_in(pid, workspace)}
    namespaces = {_namespace(pid) for pid in found} - {_namespace(os.getpid()), ""}
    if namespaces:
        found |= {pid for pid in parents if _namespace(pid) in namespaces}
    grown = -1
    while grown != len(found):
        grown = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return sorted(found - _lineage())


def carriers(prefix: str, *, variable: str = ATTEMPT_VARIABLE) -> dict[str, list[int]]:
    """The marks that begin like this, with the processes that carry each; never this process or one above it."""
    start = f"{variable}={prefix}".encode()
    found: dict[str, list[int]] = {}
    for pid in sorted(set(_pids()) - _lineage()):
        for entry in _environment(pid):
            if entry.startswith(start):
                found.setdefault(entry.partition(b"=")[2].decode(errors="replace"), []).append(pid)
    return found


def sweep(
    marker: str, timeout: float = 5.0, workspace: Path | None = None, *, variable: str = ATTEMPT_VARIABLE
) -> list[int]:
    """SIGKILL everything that `marked` finds until nothing is left; the survivors after `timeout` seconds (none: confirmed gone).

    Gone means two empty looks in a row: a process can fork and end between the listing and the reading of one look.
    A keeper is asked first: it knows of processes that nothing else leads to.
    """
    started = time.monotonic()
    deadline = started + timeout
    empty = 0
    while True:
        left = marked(marker, workspace, variable=variable)
        empty = 0 if left else empty + 1
        if empty == 2 or (left and time.monotonic() > deadline):
            return left
        asking = time.monotonic() < started + timeout / 2
        keepers = [pid for pid in left if asking and _is_keeper(pid)]
        for pid in keepers or left:
            _signal(pid, signal.SIGTERM if keepers else signal.SIGKILL)
        if left:
            time.sleep(0.02)


def _is_keeper(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[1:4] == [b"-I", b"-S", keeper.__file__.encode()]


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:  # no /proc: not Linux
        return []


def _environment(pid: int) -> list[bytes]:
    """Empty for zombies and for what may not be read."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _is_in(pid: int, workspace: Path | None) -> bool:
    if workspace is None:
        return False
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(workspace)
    except OSError:
        return False


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _parent(pid: int) -> int:
    """0 when it is gone or a zombie: what has ended has nothing left to end."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return 0
    return 0 if state in "ZX" else int(parent)


def _lineage() -> set[int]:
    """This process and all above it."""
    line, pid = {0}, os.getpid()
    while pid not in line:
        line.add(pid)
        pid = _parent(pid)
    return line
