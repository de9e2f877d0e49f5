"""Run by the agent in its workspace: `python3 kinds.py MARK` starts a process of every kind that stays behind, and waits.

Each carries `KIND=MARK-<kind>` in its environment; `cleared` has none, is in no folder of the agent's, and has MARK in its command line.
"""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = sys.argv[1]
SLEEP = ["sleep", "86400"]
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def named(kind: str) -> dict[str, str]:
    return {**os.environ, "KIND": f"{MARK}-{kind}"}


def start(kind: str, *command: str, **more) -> subprocess.Popen:
    return subprocess.Popen([*(command or SLEEP)], env=named(kind), **QUIET, **more)


def become(environment: dict[str, str], *command: str) -> None:
    """A daemon as the textbook has it: two forks, a session of its own, the root as its folder."""
    if os.fork():
        return
    os.setsid()
    if not os.fork():
        os.chdir("/")
        for number in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        os.execvpe(command[0], command, environment)
    os._exit(0)


start("plain")
start("background", "sh", "-c", "sleep 86400 & wait")
start("nohup", "nohup", *SLEEP)
start("setsid", start_new_session=True)
start("stubborn", "sh", "-c", "trap '' TERM HUP INT; sleep 86400")
os.kill(start("stopped").pid, signal.SIGSTOP)
start("server", sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1", start_new_session=True)
if not pty.fork()[0]:
    os.execvpe(SLEEP[0], SLEEP, named("pty"))
become(named("daemon"), *SLEEP)
become({}, "sleep", f"86400.{MARK}")
if "rebel" in sys.argv:  # it kills its keeper, and nothing leads to it any more
    pid = os.getpid()
    while b"keeper.py" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(pid, signal.SIGKILL)
time.sleep(86400)
