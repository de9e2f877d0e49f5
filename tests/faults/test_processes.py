"""A run ends, is killed or loses its agent: everything that it started is gone, in nine kinds of child, with the sandbox and without."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.faults import invariants
from tests.faults.conftest import running
from tests.faults.studio import Studio, kill, opencode_of
from tests.running import until

GONE_SECONDS = 15
DEADLINE_SECONDS = 60
KINDS = {"plain", "background", "nohup", "setsid", "daemon", "stubborn", "stopped", "pty", "server"}
CLEARED = "cleared"  # a tenth: no environment, no folder
GOES_ON = [
    {"tool": "write", "args": {"filePath": "{cwd}/made.txt", "content": "made\n"}},
    {"text": "Written."},
]

pytestmark = pytest.mark.timeout(500)


@pytest.fixture(scope="module")
def studios(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Studio]]:
    """Studios by whether the agent is isolated, started when first asked for."""
    begun: dict[str, tuple[Iterator[Studio], Studio]] = {}

    def get(isolation: str) -> Studio:
        if isolation not in begun:
            home = tmp_path_factory.mktemp(isolation) / "home"
            sandbox = "on" if isolation == "isolated" else "off"
            made = running(Studio(home, STUDIO_SANDBOX=sandbox, STUDIO_SESSION_SECONDS=str(DEADLINE_SECONDS)))
            begun[isolation] = made, next(made)
        return begun[isolation][1]

    yield get
    for made, _ in begun.values():
        next(made, None)


def alive(mark: str) -> dict[int, str]:
    """The processes of one run's kinds, by what they carry."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "environ").read_bytes().split(b"\0")
            kind = next((word for word in words if word.startswith(f"KIND={mark}-".encode())), b"")
            if kind:
                found[int(folder.name)] = kind.decode().rpartition("-")[2]
            elif (folder / "cmdline").read_bytes() == f"sleep\x0086400.{mark}\x00".encode():
                found[int(folder.name)] = CLEARED
    return found


def begin(studio: Studio, folder: Path, key: str, mark: str, *more: str) -> int:
    """A task whose agent starts every kind of child; returns when all of them run."""
    source = Path(__file__).with_name("kinds.py").read_text()
    repository = factories.make_repository(folder / "repository", {"kinds.py": source})
    command = " ".join(["python3", "kinds.py", mark, *more])
    first = {"tool": "bash", "args": {"command": command, "description": "Starts them", "timeout": 600_000}}
    task = studio.started(repository, key, {"implementation": [[first], GOES_ON]})
    if not more:
        until(lambda: {*alive(mark).values()} == {*KINDS, CLEARED}, 200, "one of every kind")
    return task


def cancel(studio: Studio, task: int) -> None:
    studio.post(f"/tasks/{task}/cancel")


def wait_for_the_deadline(studio: Studio, task: int) -> None:
    studio.wait_ended(studio.sessions(task)[0]["id"], DEADLINE_SECONDS + 30)


FAULTS: dict[str, tuple[Callable[[Studio, int], Any], str, str]] = {
    "cancel": (cancel, "cancelled", "cancelled"),
    "deadline": (wait_for_the_deadline, "failed", "deadline"),
    "worker-SIGKILL": (lambda studio, task: kill(studio.worker_of(task)), "interrupted", "worker_died"),
    "opencode-SIGKILL": (lambda studio, task: kill(opencode_of(studio, task)), "interrupted", "server_died"),
    "opencode-SIGTERM": (
        lambda studio, task: kill(opencode_of(studio, task), signal.SIGTERM),
        "interrupted",
        "server_died",
    ),
}
CASES = [
    pytest.param(
        isolation,
        fault,
        id=f"{fault}-{isolation}",
        marks=pytest.mark.fault("R10", sample=(isolation, fault) == ("isolated", "cancel")),
    )
    for isolation in ("isolated", "open")
    for fault in FAULTS
]


@pytest.mark.parametrize(("isolation", "fault"), CASES)
def test_all_nine_kinds_of_child_are_gone_within_15_s(
    studios: Callable[[str], Studio], tmp_path: Path, isolation: str, fault: str
) -> None:
    studio = studios(isolation)
    mark = str(time.time_ns())[-9:]
    task = begin(studio, tmp_path, f"K{mark}", mark)
    inflict, state, reason = FAULTS[fault]
    inflict(studio, task)
    deadline = time.monotonic() + GONE_SECONDS
    while (left := alive(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left, f"survivors by kind: {sorted(left.values())}"
    first = studio.wait_ended(studio.sessions(task)[0]["id"], 30)
    assert (first["state"], first["reason"]) == (state, reason)
    if state == "interrupted":
        studio.wait_for(task, "review", within=120)
        assert studio.sessions(task)[1]["opencode_session_id"] == first["opencode_session_id"]
    invariants.check(studio)


@pytest.mark.fault("R10")
def test_without_a_sandbox_a_process_that_kills_its_keeper_and_hides_is_ended_too(
    studios: Callable[[str], Studio], tmp_path: Path
) -> None:
    """Its worker has become the parent of what it left. Who kills that worker too gets away: docs/security.md, what is not met."""
    studio = studios("open")
    mark = str(time.time_ns())[-9:]
    try:
        task = begin(studio, tmp_path, f"K{mark}", mark, "rebel")
        until(lambda: studio.sessions(task)[0]["ended_at"], 90, "the end of its keeper")
        deadline = time.monotonic() + GONE_SECONDS
        while (left := alive(mark)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left, f"survivors by kind: {sorted(left.values())}"
    finally:
        for pid in alive(mark):
            kill(pid)
