"""Runs one command and ends all that comes from it: what stands in for bubblewrap where isolation is off.

    python -I -S keeper.py PARENT COMMAND [ARGUMENT …]

As a subreaper it becomes the parent of every orphan below it, so that no double fork, session of its own or cleared
environment hides a process. It ends them all when the command has ended, on SIGTERM, and when the thread that started it
dies; its exit is the command's. Who kills this process itself, by SIGKILL, gets away from it, to its worker (sessions/workspaces/orphans.py).
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
NOT_FOUND = 127  # a command that does not exist, as a shell has it
libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the call above
        sys.exit(1)
    child = os.fork()
    if not child:
        run(command)
    status = watch(child)
    end_all()
    leave(status)


def run(command: list[str]) -> None:
    """In the child: become the command. It dies with its keeper, whatever ends that."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(NOT_FOUND)


def watch(child: int) -> int:
    """Wait for the command's end, reaping orphans meanwhile; its wait status, or SIGTERM when told to stop."""
    while True:
        if signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGTERM:
            return int(signal.SIGTERM)
        while pid := next_zombie():
            _, status = os.waitpid(pid, 0)
            if pid == child:
                return status


def leave(status: int) -> None:
    """Exit as the command did, by its signal too."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


def end_all(seconds: float = 5.0) -> list[int]:
    """Kill and reap all that came from this process; those that are left after so many seconds."""
    give_up_at = time.monotonic() + seconds
    while left := descendants(os.getpid()):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while pid := next_zombie():
            os.waitpid(pid, 0)
        if time.monotonic() > give_up_at:
            return left
        time.sleep(0.02)
    return []


def descendants(ancestor: int) -> list[int]:
    """The processes below one, the nearest first."""
    parents: dict[int, int] = {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
        with contextlib.suppress(OSError):
            # After the program's name, which may itself hold spaces and brackets.
            parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    found = [ancestor]
    for pid in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def next_zombie() -> int:
    """The number of a child that has died and is not reaped yet; 0 where there is none."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return found.si_pid if found else 0


if __name__ == "__main__":
    main()
