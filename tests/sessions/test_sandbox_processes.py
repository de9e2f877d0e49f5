"""What runs in the sandbox, against real processes: its result, and that nothing of it stays behind."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from django.conf import settings

from sessions.workspaces.processes import ATTEMPT_VARIABLE, giving_way
from sessions.workspaces.sandbox import Sandbox, marked, sweep
from tests.sessions.boxes import sh, wait_for


class Stop(Exception):
    """What a tick raises when a person cancels."""


# --- running ---------------------------------------------------------------------------------------------------------


def test_a_run_gives_exit_code_output_and_time(sandbox: Sandbox) -> None:
    done = sh(sandbox, "cat; echo out; echo err >&2; exit 3", input=b"in\n")
    assert (done.exit_code, done.output, done.timed_out) == (3, "in\nout\nerr\n", False)
    apart = sh(sandbox, "echo out; echo err >&2", separate=True)
    assert (apart.stdout, apart.stderr) == (b"out\n", b"err\n")


def test_of_long_output_the_ends_are_kept(sandbox: Sandbox) -> None:
    heard: list[bytes] = []
    done = sh(sandbox, "echo first; seq 200000; echo last", max_output=2000, on_output=heard.append)
    assert done.cut
    assert len(done.stdout) < 2100
    assert done.output.startswith("first\n1\n")
    assert done.output.endswith("last\n")
    assert "bytes left out" in done.output
    assert sum(map(len, heard)) > 1_000_000


def test_a_run_out_of_time_is_ended_with_all_its_children(sandbox: Sandbox) -> None:
    done = sh(sandbox, "(setsid sleep 300 &) ; echo started; sleep 300", timeout=1)
    assert (done.exit_code, done.timed_out) == (None, True)
    assert "started" in done.output
    assert done.seconds < 8
    assert marked(sandbox.marker) == []


def test_what_a_tick_raises_ends_the_whole_tree_and_passes(sandbox: Sandbox) -> None:
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(time.monotonic())
        if len(ticks) == 5:
            raise Stop

    started = time.monotonic()
    with pytest.raises(Stop):
        sh(sandbox, "trap '' TERM INT HUP; (setsid nohup sleep 300 &) ; sleep 300", tick=tick)
    assert time.monotonic() - started < 6
    assert max(later - earlier for earlier, later in pairwise(ticks)) < 0.3
    assert marked(sandbox.marker) == []


def test_a_child_that_keeps_the_output_open_does_not_hold_the_run(sandbox: Sandbox) -> None:
    done = sh(sandbox, "nohup sleep 300 & echo done")
    assert done.exit_code == 0
    assert done.seconds < 5


# --- what is left behind -----------------------------------------------------------------------------------------------

STUBBORN = """
trap '' TERM INT HUP
(trap '' TERM; sleep 300) &
nohup sleep 300 >/dev/null 2>&1 &
setsid sleep 300 >/dev/null 2>&1 &
(setsid sh -c '(sleep 300 &) ; cd /; sleep 300' >/dev/null 2>&1 &)
echo ready
sleep 300
"""


def test_everything_is_gone_after_the_process_is_killed_where_isolated(box: Sandbox) -> None:
    process = box.popen(["sh", "-c", STUBBORN], network=False, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    wait_for(lambda: len(marked(box.marker)) >= 7)
    process.kill()
    process.wait(5)
    process.stdout.close()
    wait_for(lambda: not marked(box.marker), 3)


def test_everything_is_gone_after_studios_own_process_is_killed(box: Sandbox, studio_home: Path) -> None:
    """SIGKILL of the process that started it, as the out-of-memory killer would: nobody is left to clean up."""
    code = f"""
import os, subprocess, sys
from pathlib import Path
from sessions.workspaces.sandbox import Sandbox
box = Sandbox(workspace=Path({str(box.workspace)!r}), home=Path({str(box.home)!r}), marker={box.marker!r})
process = box.popen(["sh", "-c", {STUBBORN!r}], network=True, stdout=subprocess.PIPE)
print(process.stdout.readline().decode(), flush=True)
process.wait()
"""
    job = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        env={**os.environ, "STUDIO_HOME": str(studio_home), "DJANGO_SETTINGS_MODULE": "studio.settings"},
        stdout=subprocess.PIPE,
    )
    assert job.stdout
    assert job.stdout.readline() == b"ready\n"
    wait_for(lambda: len(marked(box.marker)) >= 7)
    job.send_signal(signal.SIGKILL)
    job.wait(5)
    job.stdout.close()
    wait_for(lambda: not marked(box.marker), 3)


def test_a_sweep_ends_and_confirms_whatever_was_left_behind(sandbox: Sandbox) -> None:
    process = sandbox.popen(["sh", "-c", STUBBORN], network=False, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    wait_for(lambda: len(marked(sandbox.marker)) >= 6)
    assert sandbox.sweep() == []
    assert marked(sandbox.marker) == []
    process.stdout.close()
    process.wait(5)


def test_a_sweep_finds_children_that_dropped_the_marker(sandbox: Sandbox) -> None:
    process = sandbox.popen(
        ["sh", "-c", "env -i sleep 300 & cd /; env -i sh -c 'echo ready; sleep 300'"],
        network=False,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    assert len(marked(sandbox.marker)) >= 3
    assert sandbox.sweep() == []
    process.stdout.close()
    process.wait(5)


def test_a_daemon_that_clears_its_environment_and_leaves_its_folder_ends_with_the_run(
    sandbox: Sandbox,
) -> None:
    """Nothing but its descent leads to it, and as an orphan it has no ancestor but the sandbox or the keeper."""
    seconds = 300 + time.monotonic_ns() % 10**6 / 10**7
    script = f"cd /; (setsid env -i sleep {seconds} >/dev/null 2>&1 &); sleep 300"
    process = sandbox.popen(["sh", "-c", script], network=False)
    wait_for(lambda: sleeping(seconds))
    process.terminate()
    wait_for(lambda: not sleeping(seconds), 5)
    process.wait(5)


def sleeping(seconds: float) -> bool:
    wanted = f"sleep\0{seconds}\0".encode()
    return any(command_of(process) == wanted for process in Path("/proc").glob("[0-9]*"))


def command_of(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""


def test_the_exit_code_and_the_signal_of_a_command_pass(sandbox: Sandbox) -> None:
    assert sh(sandbox, "exit 7").exit_code == 7
    assert sh(sandbox, "kill -9 $$").exit_code in {-9, 137}
    assert sandbox.run(["no-such-program"], timeout=10).exit_code in {1, 127}


def test_a_sweep_finds_a_process_by_its_folder(studio_home: Path) -> None:
    workspace = studio_home / "work/DEMO-1-1"
    stray = subprocess.Popen(["sleep", "300"], cwd=workspace)
    assert marked("nobody", workspace) == [stray.pid]
    assert sweep("nobody", 5, workspace) == []
    assert stray.wait(5) == -signal.SIGKILL


def test_a_sweep_leaves_others_and_itself_alone(studio_home: Path, monkeypatch) -> None:
    bystander = subprocess.Popen(
        ["sleep", "300"], env={ATTEMPT_VARIABLE: "swept-not", "PATH": os.environ["PATH"]}
    )
    code = (
        "from sessions.workspaces.processes import marked, sweep; import os, subprocess\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        "assert marked('swept') == [child.pid], marked('swept')\n"
        "print(sweep('swept'), child.wait(5))"
    )
    environment = {**os.environ, ATTEMPT_VARIABLE: "swept", "STUDIO_HOME": str(studio_home)}
    try:
        own = subprocess.run(
            [sys.executable, "-c", code],
            cwd=settings.BASE_DIR,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert own.stdout.split() == ["[]", "-9"], own.stderr
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait(5)


def test_what_gives_way_runs_at_a_low_priority_with_all_that_it_starts(sandbox: Sandbox) -> None:
    told = sandbox.run(
        giving_way(["sh", "-c", "cat /proc/self/autogroup; nice; exit 3"]), timeout=20, separate=True
    )
    assert told.exit_code == 3, told.output
    *group, nice = told.stdout.decode().split("\n")[:-1]
    assert nice == "7"
    if Path("/proc/self/autogroup").exists():
        assert group[0].endswith(" nice 7")
