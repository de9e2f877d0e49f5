"""OpenCode is killed, hangs, runs out of memory, answers nonsense or does not come up: noticed, started again, and no more often than it should."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as studio_settings

from sessions.models import Session
from sessions.opencode import server as servers
from tests.faults.studio import Studio, kill, opencode_of, tool_runs
from tests.running import until
from tests.sessions.conftest import model
from tests.sessions.test_run import carried, scripted

__all__ = ["model"]

pytestmark = pytest.mark.timeout(600)

NOTICED_SECONDS, BACK_SECONDS = 30, 60
MOST_RESTARTS = 5
WRITTEN = [
    {"tool": "write", "args": {"filePath": "{cwd}/new.txt", "content": "new\n"}},
    {"text": "Written."},
]
WAITS = {
    "tool": "bash",
    "args": {"command": "touch started; sleep 600", "description": "Waits", "timeout": 600_000},
}
SCRIPT = {"implementation": [[WAITS], WRITTEN]}


# --- in a running Studio -------------------------------------------------------------------------------------------


FAULTS: dict[str, Callable[[int], None]] = {
    "killed": kill,  # as the kernel does it where memory is short
    "told-to-end": lambda pid: kill(pid, signal.SIGTERM),
    "hanging": lambda pid: kill(pid, signal.SIGSTOP),
}


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, marks=pytest.mark.fault("R14", sample=fault == "killed")) for fault in FAULTS],
)
def test_opencode_is_started_again_and_goes_on_in_the_same_conversation(
    studio: Studio, fresh_repository: Path, fault: str
) -> None:
    task = studio.started(fresh_repository, f"O{list(FAULTS).index(fault)}", SCRIPT)
    tool_runs(studio, task)
    old = opencode_of(studio, task)
    struck_at = time.monotonic()
    FAULTS[fault](old)
    first = studio.wait_ended(studio.sessions(task)[0]["id"], NOTICED_SECONDS)
    assert (first["state"], first["reason"]) == ("interrupted", "server_died")
    left = BACK_SECONDS - (time.monotonic() - struck_at)
    until(lambda: running(studio, task) > first["id"], left, "the next session's prompt")
    assert not Path(f"/proc/{old}").exists()
    studio.wait_for(task, "review")
    second = studio.sessions(task)[1]
    assert second["opencode_session_id"] == first["opencode_session_id"]


def running(studio: Studio, task: int) -> int:
    """The newest of the task's sessions that has reached the agent."""
    query = """
        SELECT MAX(s.id) AS newest FROM agent_sessions_session s JOIN agent_sessions_attempt a ON a.id = s.attempt_id
        WHERE a.task_id = ? AND s.state IN ('running', 'completed')
    """
    return int(studio.row(query, task)["newest"] or 0)


@pytest.mark.fault("R14")
def test_a_start_that_takes_30_s_is_waited_for(studio: Studio, fresh_repository: Path) -> None:
    task = studio.started(fresh_repository, "SLOWLY", {"implementation": WRITTEN})
    pid = until(lambda: opencode_of(studio, task), 200, "OpenCode")
    kill(pid, signal.SIGSTOP)
    time.sleep(30)
    kill(pid, signal.SIGCONT)
    studio.wait_for(task, "review", within=200)
    assert [session["state"] for session in studio.sessions(task)] == ["completed", "completed"]


@pytest.mark.fault("R14")
def test_an_opencode_that_keeps_dying_is_given_up_after_five_restarts(
    studio: Studio, fresh_repository: Path
) -> None:
    task = studio.started(fresh_repository, "DYING", SCRIPT)

    def given_up() -> bool:
        if pid := opencode_of(studio, task):
            kill(pid)
        return studio.sessions(task)[-1]["state"] == "failed"

    until(given_up, 300, "the end of the restarts")
    sessions = studio.sessions(task)
    assert [session["reason"] for session in sessions] == [
        *["server_died"] * MOST_RESTARTS,
        "server_keeps_dying",
    ]
    assert studio.status(task) == "in_progress"
    assert "again and again" in studio.page(f"/tasks/{task}/").text
    until(lambda: not studio.agents(task), 15, "the end of its processes")
    studio.post(f"/tasks/{task}/cancel", expect=200)


# --- in this process: what answers in OpenCode's place cannot be put into a running Studio -------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "spoilt", [pytest.param(spoilt, marks=pytest.mark.fault("R14")) for spoilt in ("401", "garbage")]
)
def test_an_opencode_that_answers_nonsense_is_replaced(
    model: Any, repository: Path, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    settings.STUDIO_SANDBOX = False  # in the sandbox the proxy would not be found
    mode, proxy = tmp_path / "mode", tmp_path / "opencode"
    script = Path(__file__).with_name("opencode_proxy.py")
    proxy.write_text(f'#!/bin/sh\nexec /usr/bin/env python3 {script} {servers.binary()} {mode} "$@"\n')
    proxy.chmod(0o755)
    monkeypatch.setattr(servers, "binary", lambda: proxy)
    task = scripted(repository, SCRIPT, planning=False, ai_review=False)
    with meanwhile(lambda: spoil(task.key, mode, spoilt)) as struck:
        first, second, *_ = carried(task)
    assert (first.state, first.reason, second.state) == ("interrupted", "server_died", "completed")
    assert first.opencode_session_id == second.opencode_session_id
    assert first.ended_at is not None
    assert first.ended_at.timestamp() - struck[0] <= NOTICED_SECONDS
    assert reached_at(second) - struck[0] <= BACK_SECONDS


def in_its_place(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell script where Studio looks for OpenCode."""
    program = folder / "opencode"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(servers, "binary", lambda: program)


def spoil(key: str, mode: Path, how: str) -> float:
    """Once the agent works; until its server has been replaced. When it began, as a Unix time."""
    attempts = Path(studio_settings.STUDIO_HOME) / "attempts"
    until(lambda: list(attempts.glob(f"*-{key}-1/workspace/started")), 200, "the agent's command")
    [written] = attempts.glob(f"*-{key}-1/opencode.json")
    before = written.stat().st_mtime_ns
    began = time.time()
    mode.write_text(how)
    until(lambda: changed(written, before), 120, "a new server's configuration")
    mode.unlink()
    return began


def changed(file: Path, before: int) -> bool:
    return file.exists() and file.stat().st_mtime_ns != before


@contextmanager
def meanwhile(work: Callable[[], float]) -> Iterator[list[float]]:
    """Do it in another thread; its value is in the list afterwards."""
    found: list[float] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    yield found
    thread.join(10)


def reached_at(session: Session) -> float:
    """When the agent had its prompt, as a Unix time."""
    event = session.attempt.task.events.filter(session_id=session.pk, name="session.running").get()
    return float(event.at.timestamp())


@pytest.mark.fault("R14")
@pytest.mark.django_db(transaction=True)
def test_a_port_that_is_taken_makes_it_start_on_another_one(
    model: Any, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_port = servers.free_port
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        ports = iter([squatter.getsockname()[1]])
        monkeypatch.setattr(servers, "free_port", lambda: next(ports, None) or free_port())
        task = scripted(repository, {"implementation": WRITTEN}, planning=False, ai_review=False)
        first, second, *_ = carried(task)
    assert (first.state, first.reason, second.state) == ("interrupted", "server_died", "completed")
    assert task.status == "review"


@pytest.mark.fault("R14")
@pytest.mark.django_db(transaction=True)
def test_an_opencode_that_has_no_memory_to_start_is_started_again(
    model: Any, repository: Path, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STUDIO_SANDBOX = False
    short = f'[ -e {tmp_path}/tried ] || {{ touch {tmp_path}/tried; ulimit -v 500000; }}; exec {servers.binary()} "$@"'
    in_its_place(tmp_path, short, monkeypatch)
    task = scripted(repository, {"implementation": WRITTEN}, planning=False, ai_review=False)
    first, second, *_ = carried(task)
    assert (first.state, first.reason, second.state) == ("interrupted", "server_died", "completed")
    assert "ended while it started" in first.detail


# --- an agent that looks for secrets -----------------------------------------------------------------------------------

LOOKS = """
env; cat /proc/[0-9]*/environ | tr '\\0' '\\n'
find / -xdev -maxdepth 6 \\( -name secret_key -o -name 'studio.sqlite3*' -o -name '.netrc' -o -name '*.pid' \\) -size -100k -exec cat {} +
cat "$HOME"/.* ../../secret_key ../../../secret_key; env; true
"""


@pytest.mark.fault("R39", sample=True)
def test_an_agent_that_looks_for_secrets_finds_none(studio: Studio, fresh_repository: Path) -> None:
    """Whatever it finds is in its transcript: the ninth invariant then looks whether a secret is there."""
    looks = {
        "tool": "bash",
        "args": {"command": LOOKS.replace("\n", "; ").strip("; "), "description": "Looks", "timeout": 60_000},
    }
    script = {"implementation": [looks, *WRITTEN]}
    allowed = {"bash": "allow", "external_directory": "allow"}
    task = studio.started(fresh_repository, "LOOKS", script, permissions=allowed)
    studio.wait_for(task, "review")
    (seen,) = [each for each in studio.activity(studio.sessions(task)[0]["id"]) if each["tool"] == "bash"]
    assert "PATH=" in seen["output"], "it did look"
