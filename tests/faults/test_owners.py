"""One owner at a time: duplicates, zombies, jumping clocks, and fair turns."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sessions import ledger
from sessions.models import Attempt
from tests import factories
from tests.faults.conftest import running
from tests.faults.studio import BUILD, PLAIN, Studio, gone, kill
from tests.faults.test_workers import REACHED_SECONDS, SLOW, at_work, cancel
from tests.running import until

LEASE_SECONDS = 6
TEN_RINGS = "from django_q.tasks import async_task; [async_task('sessions.jobs.run', cluster='runs') for _ in range({})]"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    home = tmp_path_factory.mktemp("faults") / "home"
    yield from running(Studio(home, STUDIO_LEASE_SECONDS=str(LEASE_SECONDS)))


def ring(studio: Studio, times: int) -> None:
    """Put wake-ups into the queue of the long cluster, unasked."""
    studio.manage("shell", "--no-imports", "-c", TEN_RINGS.format(times))


# --- R03: duplicates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tasks",
    [
        pytest.param(2, id="2-tasks", marks=pytest.mark.fault("R03", sample=True)),
        pytest.param(10, id="10-tasks", marks=pytest.mark.fault("R03")),
    ],
)
def test_each_of_ten_deliveries_and_ten_executes_at_once_runs_once(
    studio: Studio, fresh_repository: Path, tasks: int
) -> None:
    project = studio.make_project(fresh_repository, f"TWICE{tasks}", **PLAIN)
    made = [studio.file(project, f"Make {number}", BUILD) for number in range(tasks)]
    ring(studio, 10)  # before there is anything to do
    for task in made:
        with ThreadPoolExecutor(10) as pool:
            answers = list(
                pool.map(lambda _, task=task: studio.api("POST", f"/tasks/{task}/execute"), range(10))
            )
        assert sorted(answer.status_code for answer in answers) == [202] + [409] * 9
        assert len({answer.json()["session_id"] for answer in answers}) == 1
    ring(studio, 10 * tasks)  # while they wait and run
    for task in made:
        studio.wait_for(task, "review", within=REACHED_SECONDS + 30 * tasks)
    studio.wait_quiet()
    before = ran(studio)
    ring(studio, 10)  # after all is done
    queued = "SELECT COUNT(*) AS left FROM django_q_ormq WHERE key = 'runs'"
    # Each delivery has a process of its own, which takes a second on a busy machine.
    until(lambda: not studio.row(queued)["left"], 60 + 20 * tasks, "an empty queue")
    assert ran(studio) == before
    for task in made:
        assert [session["phase"] for session in studio.sessions(task)] == ["implementation", "checks"]


def ran(studio: Studio) -> list[dict[str, Any]]:
    """All sessions, and the fences of all attempts."""
    return studio.rows("SELECT id, state FROM agent_sessions_session") + studio.rows(
        "SELECT id, fence FROM agent_sessions_attempt"
    )


# --- R04: zombies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "killable",
    [
        pytest.param(False, id="that-nobody-can-kill", marks=pytest.mark.fault("R04", sample=True)),
        pytest.param(True, id="of-this-machine", marks=pytest.mark.fault("R04")),
    ],
)
def test_a_worker_that_slept_for_two_leases_can_write_nothing(
    studio: Studio, fresh_repository: Path, killable: bool
) -> None:
    task = studio.started(fresh_repository, "KILLED" if killable else "ZOMBIE", SLOW)
    session = at_work(studio, task)
    zombie = studio.worker_of(task)
    kill(zombie, signal.SIGSTOP)
    try:
        if not killable:  # as if it were on another machine: the watch knows no process to kill
            studio.edit("UPDATE agent_sessions_attempt SET pid = 0 WHERE task_id = ?", task)
        began = time.monotonic()
        until(lambda: studio.sessions(task)[0]["state"] == "interrupted", 60, "the notice")
        until(lambda: time.monotonic() - began > 2 * LEASE_SECONDS, 60, "two leases")
        before = written(studio, session)
    finally:
        if not killable:
            kill(zombie, signal.SIGCONT)
    if killable:
        assert gone(zombie)
    else:
        until(lambda: "was taken over; leaving it" in studio.log("runs"), 60, "the zombie's farewell")
    assert written(studio, session) == before
    second = until(lambda: studio.sessions(task)[1:], 60, "the session that goes on")[0]
    assert second["state"] != "failed", second
    at_work(studio, task)
    assert len(studio.sessions(task)) == 2, "the zombie disturbed its heir"
    cancel(studio, task)


def written(studio: Studio, session: int) -> list[dict[str, Any]]:
    """All that is stored of a session."""
    return studio.rows("SELECT * FROM agent_sessions_session WHERE id = ?", session) + studio.rows(
        "SELECT * FROM agent_sessions_activity WHERE session_id = ? ORDER BY id", session
    )


# --- R08: clocks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", ["-1 hour", "+1 hour", "-1 day", "+1 day"])
@pytest.mark.fault("R08")
def test_a_clock_that_jumped_ends_no_lease_and_runs_nothing_twice(
    studio: Studio, fresh_repository: Path, jump: str
) -> None:
    """The clock is moved by moving every stored time of the attempt, its session and the queue the other way."""
    script = {
        "implementation": [
            {"tool": "bash", "args": {"command": "sleep 15", "description": "Waits"}},
            *BUILD["implementation"],
        ]
    }
    task = studio.started(fresh_repository, f"T{len(studio.checkouts)}", script)
    at_work(studio, task)
    moved = f"strftime('%Y-%m-%d %H:%M:%f', {{}}, '{jump}')"
    for table, names in {
        "agent_sessions_attempt": ("claimed_at", "claimable_at"),
        "agent_sessions_session": ("created_at", "started_at", "active_at"),
        "django_q_ormq": ("lock",),
    }.items():
        changes = ", ".join(f"{name} = {moved.format(name)}" for name in names)
        where = {
            "agent_sessions_attempt": f" WHERE task_id = {task}",
            "agent_sessions_session": " WHERE ended_at IS NULL",
        }
        studio.edit(f"UPDATE {table} SET {changes}{where.get(table, '')}")
    studio.wait_for(task, "review", within=REACHED_SECONDS)
    assert [session["state"] for session in studio.sessions(task)] == ["completed", "completed"]
    assert studio.page(f"/tasks/{task}/").status_code == 200
    for row in studio.rows("SELECT id FROM agent_sessions_session"):
        assert not [
            text
            for text in (studio.page(f"/sessions/{row['id']}/head/").text,)
            if "-" in text.partition("<span>")[2].partition("</span>")[0]
        ]


@pytest.mark.fault("R08")
def test_a_wake_up_from_the_future_keeps_nobody_waiting(studio: Studio, fresh_repository: Path) -> None:
    project = studio.make_project(fresh_repository, "FUTURE", **PLAIN)
    studio.edit("DELETE FROM django_q_ormq WHERE key = 'runs'")
    ring(studio, 0)
    task = studio.file(project, "Wake up", SLOW)
    studio.execute(task)
    studio.edit(
        "UPDATE django_q_ormq SET lock = strftime('%Y-%m-%d %H:%M:%f', lock, '+1 hour') WHERE key = 'runs'"
    )
    until(lambda: studio.worker_of(task), 60, "a worker that takes it")
    cancel(studio, task)


# --- R09: turns ------------------------------------------------------------------------------------------------------


@pytest.mark.fault("R09")
@pytest.mark.django_db(transaction=True)
def test_two_workers_serve_two_hundred_tasks_of_five_projects_by_turns() -> None:
    projects = [factories.make_project(key=f"FAIR{letter}") for letter in "ABCDE"]
    for project in projects:  # all of one project before all of the next
        for _ in range(40):
            factories.make_task(project).execute()
    served: list[tuple[int, int]] = []
    held: list[ledger.Claim] = []
    while Attempt.objects.filter(lease="claimable").exists() or held:
        while len(held) < 2 and (claim := ledger.claim()):
            held.append(claim)
            served.append((claim.attempt.task.project_id, claim.attempt.pk))
        done = held.pop(0)
        session = done.next_session()
        assert session is not None
        session.end("completed")
        assert done.release()
    assert len(served) == len(set(served)) == 200
    for start in range(0, 200, 5):
        assert len({project for project, _ in served[start : start + 5]}) == 5, "one of each project in five"
    for project in projects:
        mine = [pk for owner, pk in served if owner == project.pk]
        assert mine == sorted(mine), "within a project the oldest comes first"
