"""Stopping a run, at every state, and stopping Studio, or any process of it, while runs go on."""

import contextlib
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import factories
from tests.faults.conftest import running
from tests.faults.studio import Studio, kill, opencode_of, tool_runs
from tests.running import until

pytestmark = pytest.mark.timeout(600)

USUAL_SECONDS, LONGEST_SECONDS = 3.0, 15.0  # a cancel: p95 and p100
EXIT_SECONDS = 8.0
SLEEPS = {"sleep": 600, "text": "Slept."}  # the model's answer comes after that
WRITES = {"tool": "write", "args": {"filePath": "{cwd}/made.txt", "content": "made\n"}}
WRITTEN = [WRITES, {"text": "Written."}]
PLAN = [{"text": "## Summary\n\nA plan."}]
WAITS = {"tool": "bash", "args": {"command": "sleep 600", "description": "Waits", "timeout": 600_000}}
RED = {"name": "red", "command": "exit 1", "timeout": 20, "required": True}
SLOW_CHECK = {"name": "slow", "command": "sleep 600", "timeout": 700, "required": True}
MANY_FILES = {f"folder/{number}.txt": f"{number}\n" for number in range(3000)}
keys = (f"S{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """With one worker, so that a second run has to wait."""
    yield from running(Studio(tmp_path_factory.mktemp("stopping") / "home", STUDIO_CONCURRENCY="1"))


# --- R11: cancel ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """A task that is brought to a state: by this script and these fields of its project, until `there(studio, task)`."""

    there: Callable[[Studio, int], Any]
    script: dict[str, Any]
    fields: dict[str, Any]
    stops: bool = True  # an agent is at work, so that the answer is "stopping"


def moment(
    there: Callable[[Studio, int], Any],
    script: dict[str, Any] | None = None,
    *,
    stops: bool = True,
    **fields: Any,
) -> Moment:
    return Moment(there, {"implementation": WRITTEN} | (script or {}), fields, stops)


def session_is(phase: str, *states: str) -> Callable[[Studio, int], bool]:
    """Whether the task's newest session is one of that phase, in one of those states."""
    query = """
        SELECT s.phase, s.state FROM agent_sessions_session s JOIN agent_sessions_attempt a ON a.id = s.attempt_id
        WHERE a.task_id = ? ORDER BY s.id DESC LIMIT 1
    """

    def there(studio: Studio, task: int) -> bool:
        return [(row["phase"], row["state"]) for row in studio.rows(query, task)] in [
            [(phase, state)] for state in states
        ]

    return there


def status_is(status: str) -> Callable[[Studio, int], bool]:
    """Whether the task rests in that state."""
    return lambda studio, task: status_of(studio, task) == status and not studio.worker_of(task)


def workspace_is_being_made(studio: Studio, task: int) -> bool:
    attempt = studio.row("SELECT id FROM agent_sessions_attempt WHERE task_id = ?", task)["id"]
    return any((studio.home / "attempts").glob(f"{attempt}-*/workspace.new"))


def server_starts(studio: Studio, task: int) -> bool:
    return bool(opencode_of(studio, task))


MOMENTS = {
    "queued": moment(session_is("implementation", "queued"), stops=False),
    "starting": moment(session_is("implementation", "starting")),
    "workspace-being-made": moment(workspace_is_being_made),
    "server-starting": moment(server_starts),
    "planning": moment(session_is("planning", "running"), {"planning": [SLEEPS]}, planning=True),
    "waiting-for-a-person": moment(
        session_is("implementation", "waiting"), {"implementation": [WAITS]}, permissions={"bash": "ask"}
    ),
    "in-a-check": moment(session_is("checks", "running"), checks=[SLOW_CHECK]),
    "in-review": moment(session_is("review", "running"), {"review": [SLEEPS]}, ai_review=True),
    "in-fix": moment(session_is("fix", "running"), {"fix": [SLEEPS]}, checks=[RED]),
    "between-phases": moment(session_is("checks", "queued", "starting")),
    "planning-review": moment(status_is("planning_review"), {"planning": PLAN}, stops=False, planning=True),
    "review": moment(status_is("review"), stops=False),
}
SECONDS: dict[str, float] = {}


def cancelled_in(studio: Studio, name: str, folder: Path) -> float:
    """Bring a task to the state, cancel it twice, and see it cancelled with nothing left; the seconds that took."""
    if name not in SECONDS:
        chosen = MOMENTS[name]
        files = MANY_FILES if name == "workspace-being-made" else None
        repository = factories.make_repository(folder / f"repository-{name}", files)
        ahead = busy(studio, folder) if name == "queued" else 0
        task = studio.started(repository, next(keys), chosen.script, **chosen.fields)
        wait_closely(lambda: chosen.there(studio, task), name)
        SECONDS[name] = cancel_twice(studio, task, chosen.stops)
        if ahead:
            cancel_twice(studio, ahead, stops=True)
    return SECONDS[name]


def busy(studio: Studio, folder: Path) -> int:
    """A task that has the one worker."""
    task = studio.started(
        factories.make_repository(folder / "ahead"), next(keys), {"implementation": [WAITS]}
    )
    tool_runs(studio, task)
    return task


def wait_closely(condition: Callable[[], Any], what: str, within: float = 200) -> None:
    """Like `until`, for what lasts a moment only."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"waited {within:g} s for {what}"
        time.sleep(0.005)


def cancel_twice(studio: Studio, task: int, stops: bool) -> float:
    """The seconds from the first cancel until the task is cancelled and nothing of it runs."""
    started = time.monotonic()
    first = studio.post(f"/tasks/{task}/cancel", expect=202 if stops else 200)
    second = studio.api("POST", f"/tasks/{task}/cancel")
    if second.is_success:
        assert second.json() == first, "said twice, the same answer"
    else:
        assert (second.status_code, second.json()["error"]) == (409, "conflict")
        assert "cancelled" in second.json()["message"]
    status = "SELECT status FROM tasks_task WHERE id = ?"
    told = {row["status"] for row in studio.rows(status, task)}
    while told != {"cancelled"}:
        assert time.monotonic() - started < 60, told
        time.sleep(0.02)
        told = {row["status"] for row in studio.rows(status, task)}
        assert "done" not in told
    taken = time.monotonic() - started
    assert not studio.agents(task)
    assert (
        len(studio.rows("SELECT id FROM tasks_event WHERE task_id = ? AND name = 'task.stopping'", task)) <= 1
    )
    return taken


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.fault("R11", sample=name == "in-a-check")) for name in MOMENTS],
)
def test_a_cancel_stops_everything_within_15_s(studio: Studio, tmp_path: Path, name: str) -> None:
    assert cancelled_in(studio, name, tmp_path) <= LONGEST_SECONDS


@pytest.mark.fault("R11")
def test_at_the_95th_percentile_of_all_states_a_cancel_takes_3_s(studio: Studio, tmp_path: Path) -> None:
    taken = sorted(cancelled_in(studio, name, tmp_path) for name in MOMENTS)
    assert taken[int(len(taken) * 0.95) - 1] <= USUAL_SECONDS, {
        name: round(SECONDS[name], 1) for name in SECONDS
    }


@pytest.mark.fault("R11")
def test_the_page_says_stopping_at_once(studio: Studio, fresh_repository: Path) -> None:
    task = studio.started(fresh_repository, next(keys), {"implementation": [WAITS]})
    tool_runs(studio, task)
    worker = studio.worker_of(task)
    kill(worker, signal.SIGSTOP)  # so that it cannot be quicker than the look at the page
    try:
        studio.post(f"/tasks/{task}/cancel")
        assert "Stopping…" in studio.page(f"/tasks/{task}/").text
    finally:
        kill(worker, signal.SIGCONT)
    until(lambda: studio.status(task) == "cancelled", 30, "the cancellation")


# --- R12: stopping Studio ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.fault("R12")),
        pytest.param(signal.SIGINT, id="Ctrl-C", marks=pytest.mark.fault("R12")),
    ],
)
def test_studio_stops_in_8_s_with_four_running_and_goes_on_with_them(
    make_studio: Callable[..., Studio], tmp_path: Path, number: int
) -> None:
    studio = make_studio(STUDIO_CONCURRENCY="4")
    repository = factories.make_repository(tmp_path / "repository")
    first = [WRITES, WAITS]
    script = {"implementation": [first, [{"text": "Went on."}]]}
    tasks = [studio.started(repository, f"D{each}", script) for each in range(4)]
    for task in tasks:
        tool_runs(studio, task)
    before = {task: studio.sessions(task)[0] for task in tasks}
    entries = {task: ids(studio, before[task]["id"]) for task in tasks}
    taken, beats = stopped_in(studio, number)
    ended = studio.rows("SELECT state, reason FROM agent_sessions_session WHERE ended_at IS NOT NULL")
    assert [(row["state"], row["reason"]) for row in ended] == [("interrupted", "studio_stopped")] * 4
    assert all((folder / "workspace/made.txt").exists() for folder in (studio.home / "attempts").iterdir())
    quiet = [key for key, (held, raised) in beats.items() if held > 3 and not raised]
    assert not quiet, f"no beat during the drain: {beats}"
    assert taken <= EXIT_SECONDS, f"{taken:.1f} s"
    studio.start()
    for task in tasks:
        studio.wait_for(task, "review", within=200)
        old, new = studio.sessions(task)[:2]
        assert old["opencode_session_id"] == new["opencode_session_id"] == before[task]["opencode_session_id"]
        assert ids(studio, old["id"])[: len(entries[task])] == entries[task]
        assert not set(ids(studio, old["id"])) & set(ids(studio, new["id"]))


def ids(studio: Studio, session: int) -> list[int]:
    return [entry["id"] for entry in studio.activity(session)]


def stopped_in(studio: Studio, number: int) -> tuple[float, dict[int, tuple[float, int]]]:
    """Signal it; the seconds until it was gone, and for each attempt how long it was held and how often it beat meanwhile."""
    query = "SELECT id, beat FROM agent_sessions_attempt WHERE lease = 'claimed'"
    first = {row["id"]: row["beat"] for row in studio.rows(query)}
    beats: dict[int, tuple[float, int]] = {}
    started = time.monotonic()
    studio.process.send_signal(number)
    while studio.is_up and time.monotonic() - started < 30:
        for row in studio.rows(query):
            beats[row["id"]] = time.monotonic() - started, row["beat"] - first[row["id"]]
        time.sleep(0.05)
    taken = time.monotonic() - started
    studio.process.wait(10)
    return taken, beats


# --- R13: a rolling restart ----------------------------------------------------------------------------------------


@pytest.mark.fault("R13")
def test_each_process_is_killed_in_turn_and_no_run_is_lost(
    make_studio: Callable[..., Studio], tmp_path: Path
) -> None:
    studio = make_studio(STUDIO_CONCURRENCY="5")
    repository = factories.make_repository(tmp_path / "repository")
    work = [
        WRITES,
        {"tool": "bash", "args": {"command": "sleep 30", "description": "Works"}},
        {"text": "Written."},
    ]
    tasks = [studio.started(repository, f"R{each}", {"implementation": [work, WRITTEN]}) for each in range(5)]
    for task in tasks:
        tool_runs(studio, task)
    names = [file.stem for file in sorted((studio.home / "run").glob("*.pid")) if file.stem != "demo_model"]
    assert {"web", "runs", "short", "watchdog"} <= set(names)
    with Client(studio) as client:
        for name in names:
            restart(studio, name)
        for task in tasks:
            studio_waits(studio, task)
    assert client.asked > 20
    assert not client.refused, f"not mended by asking again: {client.refused}"


def restart(studio: Studio, name: str) -> None:
    """Kill a process of the supervisor's, and wait until it is there again."""
    pid = studio.child(name)
    kill(pid)
    until(lambda: studio.child(name) not in (0, pid), 30, f"the new {name}")
    until(lambda: answers(studio), 60, "an answer")


def answers(studio: Studio) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{studio.url}/healthz", timeout=5).is_success
    return False


def studio_waits(studio: Studio, task: int) -> None:
    """`wait_for` of a Studio that may not answer for a moment."""
    until(lambda: status_of(studio, task) == "review", 300, f"task {task} in review")


def status_of(studio: Studio, task: int) -> str:
    return str(studio.row("SELECT status FROM tasks_task WHERE id = ?", task)["status"])


class Client(threading.Thread):
    """Asks five times a second, and asks again for 20 s when there is no answer; what was answered with an error stays in `refused`."""

    def __init__(self, studio: Studio) -> None:
        super().__init__(daemon=True)
        self.studio = studio
        self.asked = 0
        self.refused: list[str] = []
        self.ended = threading.Event()

    def __enter__(self) -> "Client":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join(60)

    def run(self) -> None:
        while not self.ended.wait(0.2):
            self.asked += 1
            if trouble := self.ask():
                self.refused.append(trouble)

    def ask(self) -> str:
        deadline = time.monotonic() + 20
        while True:
            try:
                answer = self.studio.api("GET", "/tasks?limit=5")
                return "" if answer.is_success else f"{answer.status_code} {answer.text[:200]}"
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    return repr(error)
            time.sleep(0.5)
