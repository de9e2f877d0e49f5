"""Workers and the cluster's other processes are killed: noticed, served again, and poison is stopped."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import running
from tests.faults.studio import BUILD, PLAIN, Studio, kill
from tests.running import until

SLOW = {
    "implementation": [
        {"tool": "bash", "args": {"command": "sleep 60", "description": "Waits"}},
        {"text": "Done."},
    ]
}
SERVED_SECONDS = NOTICED_SECONDS = 60
REACHED_SECONDS = 150  # for a busy machine to get a test to where its fault begins
SAID = {"worker": "ready for work at", "monitor": "monitoring at", "pusher": "pushing tasks at"}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    home = tmp_path_factory.mktemp("faults") / "home"
    yield from running(Studio(home, STUDIO_FAULTS="1", STUDIO_CONCURRENCY="2"))


def at_work(studio: Studio, task: int) -> int:
    """Wait until the agent runs its command; the session."""
    tools = (
        "SELECT s.id FROM agent_sessions_activity a JOIN agent_sessions_session s ON s.id = a.session_id "
        "JOIN agent_sessions_attempt t ON t.id = s.attempt_id WHERE t.task_id = ? AND a.tool = 'bash'"
    )
    return int(until(lambda: studio.rows(tools, task), REACHED_SECONDS, "the agent's command")[-1]["id"])


def cancel(studio: Studio, task: int) -> None:
    """Cancel it, and wait until it is."""
    studio.insist(f"/tasks/{task}/cancel")
    until(lambda: studio.status(task) == "cancelled", 30, "the cancellation")


# --- R05: the cluster's processes ------------------------------------------------------------------------------------


def process_of(studio: Studio, role: str) -> int:
    """A process of the cluster `runs`; a worker or the like by what it said in the log last, while it lives."""
    master = studio.child("runs")
    family = studio.family(master) if master else []
    if role == "master":
        return master
    if role == "sentinel":
        return family[0] if family else 0
    log = (studio.home / "logs" / "runs.log").read_text(errors="replace")
    told = [int(pid) for pid in re.findall(rf"{SAID[role]} (\d+)", log)]
    return next((pid for pid in reversed(told) if pid in family), 0)


ROLES = [
    pytest.param(
        role, turn, id=f"{role}-{turn}", marks=pytest.mark.fault("R05", sample=(role, turn) == ("worker", 1))
    )
    for role, turns in {"worker": 10, "monitor": 2, "pusher": 2, "sentinel": 2, "master": 2}.items()
    for turn in range(1, turns + 1)
]


@pytest.mark.parametrize(("role", "turn"), ROLES)
def test_work_is_taken_again_within_a_minute_after_a_process_of_the_cluster_is_killed(
    studio: Studio, fresh_repository: Path, role: str, turn: int
) -> None:
    task = studio.file(
        studio.make_project(fresh_repository, f"W{len(studio.checkouts)}", **PLAIN), "Serve", SLOW
    )
    kill(until(lambda: process_of(studio, role), REACHED_SECONDS, f"the {role}"))
    studio.execute(task)
    until(lambda: studio.worker_of(task), SERVED_SECONDS, "a worker that takes it")
    at_work(studio, task)
    cancel(studio, task)


# --- R06: detection --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "how"),
    [
        pytest.param(signal.SIGKILL, "killed", id="killed", marks=pytest.mark.fault("R06", sample=True)),
        pytest.param(signal.SIGSTOP, "stopped", id="stopped", marks=pytest.mark.fault("R06")),
    ],
)
def test_a_worker_that_is_gone_is_shown_within_a_minute(
    studio: Studio, fresh_repository: Path, number: int, how: str
) -> None:
    task = studio.started(fresh_repository, f"D{how[:2].upper()}", SLOW)
    assert_shown(studio, task, number)
    cancel(studio, task)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, id="killed", marks=pytest.mark.fault("R06")),
        pytest.param(signal.SIGSTOP, id="stopped", marks=pytest.mark.fault("R06")),
    ],
)
def test_with_the_clocks_that_people_have_it_is_shown_within_a_minute_too(
    make_studio: Any, fresh_repository: Path, number: int
) -> None:
    clocks = {"STUDIO_BEAT_SECONDS": "10", "STUDIO_LEASE_SECONDS": "45", "STUDIO_REAP_SECONDS": "5"}
    studio = make_studio(**clocks)
    task = studio.started(fresh_repository, "REAL", SLOW)
    assert_shown(studio, task, number)
    cancel(studio, task)


def assert_shown(studio: Studio, task: int, number: int) -> None:
    session = at_work(studio, task)
    kill(studio.worker_of(task), number)
    page = f"/sessions/{session}/head/"
    until(lambda: "interrupted" in studio.page(page).text, NOTICED_SECONDS, "the word on the page")


# --- R07: poison -----------------------------------------------------------------------------------------------------


@pytest.mark.fault("R07")
def test_a_task_that_kills_its_worker_stops_after_three_tries_and_others_go_on(
    studio: Studio, fresh_repository: Path
) -> None:
    project = studio.make_project(fresh_repository, "POISON", **PLAIN)
    poison, other = (studio.file(project, title, BUILD) for title in ("Poison", "Other"))
    studio.execute(poison)
    killed = 0
    for attempt in range(3):
        # The next claim may follow so soon that nobody sees the time between: the worker is another one.
        killed = until(
            lambda dead=killed: (worker := studio.worker_of(poison)) != dead and worker,
            REACHED_SECONDS,
            f"claim {attempt + 1}",
        )
        kill(killed)
    session = studio.sessions(poison)[-1]["id"]
    last = studio.wait_ended(session)
    assert (last["state"], last["reason"]) == ("interrupted", "tries_used_up"), last
    studio.execute(other)
    assert studio.wait_for(other, "review", within=REACHED_SECONDS) == "review"
    assert studio.worker_of(poison) == 0
    assert studio.execute(poison) != session, "a person may start it again"
    assert studio.wait_for(poison, "review", within=REACHED_SECONDS) == "review"
