"""Named points at which a test lets a process of Studio die or stand still. Nothing happens at them unless STUDIO_FAULTS is on.

A test arms one by writing `NAME NTH HOW` into the file `run/crash` of the data folder: the NTH time that a process comes
by, it is killed (`kill`) or stopped (`stop`). It happens once, and whoever is started in its place goes on; the pid is
then a line of `run/crashed`. Of several lines each is armed by the one before it, without a moment between them.
"""

import os
import signal
from collections import Counter

from django.conf import settings
from django.core import checks

ARMED = settings.STUDIO_HOME / "run" / "crash"
FIRED = settings.STUDIO_HOME / "run" / "crashed"
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}

# The process that comes by: web answers people, worker carries an attempt, short does short jobs, watchdog takes attempts
# back. A merge is landed by a person (web) or by the policy (worker).
POINTS = {
    "attempt-started": "web",  # nothing is committed yet
    "execute-committed": "web",  # nothing is answered yet
    "cancel-committed": "web",
    "merge-begun": "web",  # nothing has moved yet
    "landing-pinned": "web",  # its commits are named, and no branch has moved
    "merge-landed": "web",  # the branch has moved, and the database does not know
    "claimed": "worker",
    "session-starting": "worker",
    "workspace-made": "worker",
    "set-up": "worker",  # its setup has run, and no row says so
    "server-launched": "worker",  # it does not answer yet
    "server-up": "worker",
    "conversation-made": "worker",
    "prompt-noted": "worker",
    "prompt-sent": "worker",
    "message-heard": "worker",  # OpenCode has a follow-up, and no row says so
    "part-recorded": "worker",
    "idle-seen": "worker",
    "activity-settled": "worker",
    "before-commit": "worker",
    "committed": "worker",
    "exported": "worker",
    "head-recorded": "worker",  # the last before a phase's final write
    "plan-answered": "worker",
    "check-begun": "worker",
    "check-run": "worker",
    "checks-run": "worker",
    "verdict-read": "worker",
    "session-queued": "worker",  # the end of one phase and the start of the next, not committed yet
    "between-phases": "worker",
    "failure-named": "worker",
    "before-close": "worker",
    "before-release": "worker",
    "released": "worker",
    "stop-seen": "worker",
    "stop-cleared": "worker",  # its processes are gone, and nothing is written
    "drain-cleared": "worker",
    "park-cleared": "worker",  # nobody has answered a request of the agent's
    "pull-request-opened": "short",  # the forge has it, and no row says so
    "reap-begun": "watchdog",
    "reap-killed": "watchdog",
    "taken-back": "watchdog",
    "ringing-again": "watchdog",
}

_passed: Counter[tuple[str, int]] = Counter()


def point(name: str) -> None:
    """Come by the point `name`."""
    if settings.STUDIO_FAULTS:
        _pass(name)


def _pass(name: str) -> None:
    try:
        armed, nth, how = ARMED.read_text().splitlines()[0].split()
        written = ARMED.stat().st_mtime_ns
    except (OSError, ValueError, IndexError):  # nothing is armed, or another process was here first
        return
    if armed == name:
        _passed[name, written] += 1
        if _passed[name, written] >= int(nth):
            _fire(how)


def _fire(how: str) -> None:
    draft = FIRED.with_name(f"crashed.{os.getpid()}")
    try:
        ARMED.rename(draft)
    except FileNotFoundError:
        return
    _, *rest = draft.read_text().splitlines(keepends=True)
    with FIRED.open("a") as fired:
        fired.write(f"{os.getpid()}\n")
    draft.write_text("".join(rest))
    if rest:
        draft.rename(ARMED)
    else:
        draft.unlink()
    os.kill(os.getpid(), SIGNALS[how])


@checks.register(checks.Tags.security, deploy=True)
def faults_are_for_tests(**_: object) -> list[checks.CheckMessage]:
    """A Studio that people use must not be breakable by a file."""
    if not settings.STUDIO_FAULTS:
        return []
    return [checks.Error("STUDIO_FAULTS is on: a file in the data folder can kill Studio.", id="studio.E001")]
