"""Processes whose parents are gone and that nothing marks any more: a worker becomes the parent of its jobs' own."""

import contextlib
import os
import signal
import time

from studio.keeper import PR_SET_CHILD_SUBREAPER, descendants, libc


def adopt() -> None:
    """From here on this process, not init, is the parent of every orphan below it. It is for a worker, which has one job at a time."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)


class Brood:
    """All that comes to be below this process from now on: what it starts, and after `adopt` also the orphans of that."""

    def __init__(self) -> None:
        self._before = set(descendants(os.getpid()))

    def end(self, seconds: float = 5.0) -> list[int]:
        """Kill and reap it; what is left after so many seconds. Only for when nothing of it is to go on."""
        give_up_at = time.monotonic() + seconds
        while left := sorted(set(descendants(os.getpid())) - self._before):
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):  # not this process's own child (yet)
                    os.waitpid(pid, os.WNOHANG)
            if time.monotonic() > give_up_at:
                return left
            time.sleep(0.02)
        return []
