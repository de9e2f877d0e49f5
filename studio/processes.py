"""Which process is which: a pid alone may be another process by now, a pid with its start time is not."""

import os
import signal
import time
from pathlib import Path


def started(pid: int) -> int:
    """When the process started, in clock ticks since boot (proc(5), stat field 22); 0 when there is none or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def is_alive(pid: int, start: int) -> bool:
    """Whether that very process still runs."""
    return pid > 0 and start > 0 and started(pid) == start


def kill(pid: int, start: int, *, within: float = 5) -> bool:
    """SIGKILL that very process and wait up to `within` seconds; True when it is gone. Never kills the caller."""
    deadline = time.monotonic() + within
    while is_alive(pid, start):
        if pid == os.getpid() or time.monotonic() > deadline:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return True
