"""A process dies between any two steps (studio/crash.py): the task still ends in its right result, in the promised time."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from studio.crash import POINTS
from tests import factories
from tests.faults.conftest import running
from tests.faults.studio import BUILD, PLAIN, WRITES, Studio, kill
from tests.running import until

NOTICED_SECONDS = 60
RESULT_SECONDS = (
    300  # from the crash to the right result; no promise, a busy machine starts OpenCode twice in it
)

PLAN = [{"text": "## Summary\n\nMake the file."}]
APPROVED = [{"verdict": {"verdict": "approved", "summary": "Good.", "findings": []}}]
WAITS = {
    "implementation": [
        WRITES,
        {"tool": "bash", "args": {"command": "sleep 20", "description": "Waits"}},
        {"text": "Done."},
    ]
}

# Where the point is passed in the plain build, and where OpenCode runs then.
BUILDS = [
    "claimed", "session-starting", "workspace-made", "server-launched", "server-up", "conversation-made", "prompt-noted",
    "prompt-sent", "part-recorded", "idle-seen", "activity-settled", "before-commit", "committed", "exported",
    "head-recorded", "session-queued",
    "between-phases", "check-begun", "check-run", "checks-run", "before-close", "before-release", "released",
]  # fmt: skip
WITHOUT_OPENCODE = {"claimed", "session-starting", "workspace-made", "before-release", "released"}
MERGES = ["merge-begun", "landing-pinned", "merge-landed"]
SAMPLE = {
    "execute-committed", "claimed", "committed", "before-release", "reap-killed", "stop-cleared",
}  # fmt: skip


def points(names: list[str], sample: set[str] = SAMPLE) -> list[Any]:
    """A case for each name; those of the sample are marked as such."""
    return [pytest.param(name, marks=pytest.mark.fault("R01", sample=name in sample)) for name in names]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    yield from running(Studio(tmp_path_factory.mktemp("faults") / "home", STUDIO_FAULTS="1"))


@pytest.fixture(autouse=True)
def disarmed(studio: Studio) -> Iterator[None]:
    """Whatever a test leaves armed kills nobody later."""
    yield
    (studio.home / "run" / "crash").unlink(missing_ok=True)


def project(studio: Studio, repository: Path, **fields: Any) -> int:
    key = f"C{len(studio.checkouts) + 1}"
    return studio.make_project(repository, key, **(PLAIN | fields))


def right_result(studio: Studio, task: int, status: str = "review") -> None:
    """The task comes to its state with one finished implementation, one run of the checks and the one file; by hand where a reason says so."""
    deadline = time.monotonic() + RESULT_SECONDS

    def arrived() -> bool:
        last = studio.rows(
            "SELECT s.id, s.state, s.reason FROM agent_sessions_session s JOIN agent_sessions_attempt a ON a.id = s.attempt_id WHERE a.task_id = ? ORDER BY s.id DESC",
            task,
        )[0]
        if last["state"] == "failed":
            assert last["reason"] in ("server_died", "agent_start"), f"{last}\n{studio.log('runs')}"
            studio.insist(f"/tasks/{task}/retry")
        return (
            bool(studio.rows("SELECT id FROM tasks_task WHERE id = ? AND status = ?", task, status))
            and last["state"] == "completed"
        )

    try:
        until(arrived, RESULT_SECONDS, f"{status} of task {task}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{studio.story()}\n{studio.log('runs')}") from None
    done = [session["phase"] for session in studio.sessions(task) if session["state"] == "completed"]
    assert sorted(done) == sorted(set(done)), f"something was done twice: {done}"
    assert {"implementation", "checks"} <= set(done)
    files = studio.get(f"/tasks/{task}/diff")["files"]
    assert [(file["path"], file["status"], file["additions"]) for file in files] == [("made.txt", "added", 1)]
    assert time.monotonic() < deadline


def noticed(studio: Studio, task: int, dead: int) -> None:
    """Nothing says that the dead process still has the task, a minute later at most."""
    until(lambda: studio.worker_of(task) != dead, NOTICED_SECONDS, "the watch's notice")


# --- the process that comes by dies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("point", points(BUILDS))
def test_the_worker_is_killed_in_a_build(studio: Studio, fresh_repository: Path, point: str) -> None:
    task = studio.file(project(studio, fresh_repository), "Make a file", BUILD)
    studio.arm(point, nth=2 if point == "part-recorded" else 1)
    studio.execute(task)
    noticed(studio, task, studio.fired())
    right_result(studio, task)


@pytest.mark.fault("R01")
def test_the_worker_is_killed_with_a_workspace_set_up(studio: Studio, fresh_repository: Path) -> None:
    made = project(studio, fresh_repository, setup_command="echo set up with $PROJECT_TOKEN")
    task = studio.file(made, "Make a file", BUILD)
    studio.arm("set-up")
    studio.execute(task)
    noticed(studio, task, studio.fired())
    right_result(studio, task)


@pytest.mark.parametrize("point", points(["attempt-started", "execute-committed"]))
def test_the_web_process_is_killed_while_it_starts_an_execution(
    studio: Studio, fresh_repository: Path, point: str
) -> None:
    task = studio.file(project(studio, fresh_repository), "Make a file", BUILD)
    studio.arm(point)
    with pytest.raises(httpx.TransportError):
        studio.api("POST", f"/tasks/{task}/execute")
    studio.execute(task)
    right_result(studio, task)
    assert len(studio.sessions(task)) == 2, "one implementation, one run of the checks"


@pytest.mark.fault("R01")
def test_the_worker_is_killed_with_a_plan_in_its_hand(studio: Studio, fresh_repository: Path) -> None:
    task = studio.file(
        project(studio, fresh_repository, planning=True, plan_approval=False),
        "Plan it",
        BUILD | {"planning": PLAN},
    )
    studio.arm("plan-answered")
    studio.execute(task)
    noticed(studio, task, studio.fired())
    right_result(studio, task)
    assert studio.get(f"/tasks/{task}/plan")["version"] == 1


@pytest.mark.fault("R01")
def test_the_worker_is_killed_with_a_verdict_in_its_hand(studio: Studio, fresh_repository: Path) -> None:
    task = studio.file(
        project(studio, fresh_repository, ai_review=True), "Review it", BUILD | {"review": APPROVED}
    )
    studio.arm("verdict-read")
    studio.execute(task)
    noticed(studio, task, studio.fired())
    right_result(studio, task)


@pytest.mark.fault("R01")
def test_the_worker_is_killed_before_it_can_say_why_it_failed(studio: Studio, fresh_repository: Path) -> None:
    refused = {"implementation": [{"error": 400, "message": "No."}] * 9}
    task = studio.file(project(studio, fresh_repository), "Fail", refused)
    studio.arm("failure-named")
    studio.execute(task)
    noticed(studio, task, studio.fired())
    until(lambda: studio.sessions(task)[-1]["state"] == "failed", RESULT_SECONDS, "the failure")
    assert studio.sessions(task)[-1]["reason"] == "provider_refused"
    assert [session["state"] for session in studio.sessions(task)] == ["interrupted", "failed"]


@pytest.mark.parametrize("point", points(["cancel-committed", "stop-seen", "stop-cleared"]))
def test_a_process_is_killed_while_a_task_is_cancelled(
    studio: Studio, fresh_repository: Path, point: str
) -> None:
    task = studio.file(project(studio, fresh_repository), "Stop it", WAITS)
    session = studio.execute(task)
    until(lambda: studio.activity(session), 150, "the agent at work")
    studio.arm(point)
    with_answer = POINTS[point] != "web"
    if with_answer:
        studio.post(f"/tasks/{task}/cancel")
    else:
        with pytest.raises(httpx.TransportError):
            studio.api("POST", f"/tasks/{task}/cancel")
    studio.fired()
    cancelled = "SELECT id FROM tasks_task WHERE id = ? AND status = 'cancelled'"
    until(lambda: studio.rows(cancelled, task), 15, "the cancellation")
    assert not studio.agents(task)
    assert studio.wait_ended(session)["state"] == "cancelled"


@pytest.mark.parametrize("point", points(MERGES))
def test_the_web_process_is_killed_in_a_persons_merge(
    studio: Studio, fresh_repository: Path, point: str
) -> None:
    task = studio.file(project(studio, fresh_repository), "Merge it", BUILD)
    studio.execute(task)
    right_result(studio, task)
    studio.may_change(fresh_repository)
    studio.arm(point)
    with pytest.raises(httpx.TransportError):
        studio.api("POST", f"/tasks/{task}/merge")
    merged = studio.insist(f"/tasks/{task}/merge")
    assert merged.status_code == 200, merged.text
    assert_landed_once(fresh_repository)
    assert studio.status(task) == "done"


@pytest.mark.parametrize("point", points(MERGES))
def test_the_worker_is_killed_in_a_merge_of_its_own(
    studio: Studio, fresh_repository: Path, point: str
) -> None:
    task = studio.file(project(studio, fresh_repository, human_review=False), "Merge it", BUILD)
    studio.may_change(fresh_repository)
    studio.arm(point)
    studio.execute(task)
    noticed(studio, task, studio.fired())
    until(lambda: studio.status(task) == "done", RESULT_SECONDS, "the merge")
    assert_landed_once(fresh_repository)


def assert_landed_once(repository: Path) -> None:
    assert (repository / "made.txt").read_text() == "made\n"
    assert factories.git(repository, "status", "--porcelain") == ""
    assert len(factories.git(repository, "log", "--merges", "--format=%H").split()) == 1


@pytest.mark.fault("R01")
def test_the_worker_is_killed_while_studio_stops(studio: Studio, fresh_repository: Path) -> None:
    task = studio.file(project(studio, fresh_repository), "Go on", WAITS)
    until(lambda: studio.activity(studio.execute(task)), 150, "the agent at work")
    studio.arm("drain-cleared")
    studio.stop()
    studio.fired(within=1)
    assert not studio.processes()
    studio.start()
    right_result(studio, task)
    assert studio.sessions(task)[0]["state"] == "interrupted"


@pytest.mark.parametrize("point", points(["reap-begun", "reap-killed", "taken-back"]))
def test_the_watchdog_is_killed_while_it_takes_a_task_back(
    studio: Studio, fresh_repository: Path, point: str
) -> None:
    task = studio.file(project(studio, fresh_repository), "Go on", BUILD)
    studio.arm("prompt-sent", then=point)
    studio.execute(task)
    noticed(studio, task, studio.fired())
    studio.fired(nth=2)
    right_result(studio, task)


@pytest.mark.fault("R01")
def test_the_watchdog_is_killed_while_it_rings_for_a_cluster_that_sleeps(
    studio: Studio, fresh_repository: Path
) -> None:
    task = studio.file(project(studio, fresh_repository), "Wait", BUILD)
    cluster = studio.child("runs")
    os.killpg(cluster, signal.SIGSTOP)
    try:
        studio.arm("ringing-again")
        studio.execute(task)
        studio.fired()
    finally:
        os.killpg(cluster, signal.SIGCONT)
    right_result(studio, task)


# --- another dies while the worker stands at the point -----------------------------------------------------------------


@pytest.mark.parametrize(
    "point", points([name for name in BUILDS if name not in WITHOUT_OPENCODE], {"part-recorded"})
)
def test_opencode_is_killed_in_a_build(studio: Studio, fresh_repository: Path, point: str) -> None:
    while_it_stands(studio, fresh_repository, point, lambda task: kill(studio.opencode(task)))


@pytest.mark.parametrize("point", points(BUILDS, {"head-recorded"}))
def test_the_web_process_is_killed_in_a_build(studio: Studio, fresh_repository: Path, point: str) -> None:
    while_it_stands(studio, fresh_repository, point, lambda task: kill(studio.child("web")))


def while_it_stands(studio: Studio, repository: Path, point: str, strike: Callable[[int], None]) -> None:
    """Stop the worker at the point, strike, and let it go on."""
    task = studio.file(project(studio, repository), "Make a file", BUILD)
    studio.arm(point, "stop", nth=2 if point == "part-recorded" else 1)
    studio.execute(task)
    worker = studio.fired()
    try:
        strike(task)
    finally:
        kill(worker, signal.SIGCONT)
    until(lambda: studio.insist(f"/tasks/{task}/execute"), NOTICED_SECONDS, "an answer")
    right_result(studio, task)


@pytest.mark.fault("R01", sample=True)
def test_every_point_has_its_test() -> None:
    """Of the list in studio/crash.py none is left out here."""
    others = {
        "attempt-started",
        "execute-committed",
        "set-up",
        "plan-answered",
        "verdict-read",
        "failure-named",
        "message-heard",  # in tests/sessions/test_follow_ups_told.py
        "cancel-committed",
        "stop-seen",
        "stop-cleared",
        "drain-cleared",
        "park-cleared",  # in test_requests.py
        "pull-request-opened",  # in test_forge.py
        "reap-begun",
        "reap-killed",
        "taken-back",
        "ringing-again",
    }
    assert {*BUILDS, *MERGES, *others} == set(POINTS)
