"""How soon `execute` answers twenty callers while five executions run, beside a view that does nothing."""

import json
import time
from typing import Any

from tests import factories
from tests.bench import FOLDER
from tests.bench.callers import Answer, Caller, together
from tests.bench.report import percentile, section
from tests.bench.studio import counted, database_errors, exceptions, states
from tests.running import Studio, until

EXECUTIONS = 5
CALLERS = 20
FLAT_OUT_EACH = 10  # tasks of each caller, in each round
PACED_EACH = 6
WARM_UP_EACH = 2
PACE = 1.0  # seconds from one call of a caller's to its next, where it is paced
PROMISED = 500  # milliseconds
NOTHING, STARTED, REFUSED = "nothing", "execute 202", "execute 409"


def measure(studio: Studio) -> dict[str, bool]:
    """Print the figures; which promises were kept."""
    repository = factories.make_repository(FOLDER / "answers")
    project = studio.make_project(repository, "ANSW", planning=False, ai_review=False, checks=[])
    waiting = [
        studio.file(project, f"Task {number}")
        for number in range(CALLERS * (WARM_UP_EACH + PACED_EACH + FLAT_OUT_EACH))
    ]
    running = start_executions(studio, project)

    warm, flat = CALLERS * WARM_UP_EACH, CALLERS * (WARM_UP_EACH + PACED_EACH)
    together(studio, call, shares(waiting[:warm]))
    before = written(studio, running)
    paced = together(studio, call_paced, list(enumerate(shares(waiting[warm:flat]))))
    started = time.monotonic()
    answers = together(studio, call, shares(waiting[flat:]))
    seconds = time.monotonic() - started
    after = written(studio, running)
    still_running = sum(studio.get(f"/tasks/{task}/execution")["state"] == "running" for task in running)

    cancel(studio, waiting)  # first those that wait: a worker that is free would begin with them
    cancel(studio, running)
    until(
        lambda: states(studio, running) == f"{EXECUTIONS} cancelled", 60, "the end of the running executions"
    )

    errors = database_errors(studio)
    section(f"Answers: {CALLERS} callers, each a call every {PACE:g} s, milliseconds", figures(paced))
    title = f"Answers: {CALLERS} callers without a pause, {seconds:.1f} s, milliseconds"
    section(
        title,
        [
            *figures(answers),
            ("executions running", f"{still_running} of {EXECUTIONS} at the end, {after - before} entries written"),
            ("calls", f"{len(answers) / seconds:.0f} a second"),
            ("wrong answers", counted(f"{each.name} got {each.status}" for each in unexpected(paced + answers)), *exceptions(studio)),
            ("tasks afterwards", states(studio, waiting + running)),
            ("database errors", len(errors), *errors[:3]),
        ],
    )  # fmt: skip
    return {
        f"p99 below {PROMISED} ms for {CALLERS} paced callers (202)": p99(paced, STARTED) < PROMISED,
        f"p99 below {PROMISED} ms for {CALLERS} paced callers (409)": p99(paced, REFUSED) < PROMISED,
        f"p99 below {PROMISED} ms for {CALLERS} callers without a pause (202)": p99(answers, STARTED) < PROMISED,
        f"p99 below {PROMISED} ms for {CALLERS} callers without a pause (409)": p99(answers, REFUSED) < PROMISED,
        "every answer was the right one": not unexpected(paced + answers),
        f"{EXECUTIONS} executions ran all the while": still_running == EXECUTIONS,
        "no database error while answering": not errors,
    }  # fmt: skip


def start_executions(studio: Studio, project: int) -> list[int]:
    """Executions that run for longer than the bench, writing all the time; returns when each has begun to."""
    tasks = [studio.file(project, f"Slow {number}", slow_script()) for number in range(EXECUTIONS)]
    for task in tasks:
        studio.post(f"/tasks/{task}/execute")
    for task in tasks:
        session = studio.sessions(task)[0]["id"]
        until(lambda session=session: len(studio.activity(session)) > 5, 120, f"activity of task {task}")
    return tasks


def slow_script() -> dict[str, Any]:
    """An agent that thinks aloud, piece by piece, and runs a command, hundreds of times. No two commands are the same: OpenCode
    would take that for a loop."""
    steps = [
        {
            "reasoning": f"Step {number}. " + "One piece after another. " * 10,
            "chunk_delay": 0.2,
            "tool": "bash",
            "args": {"command": f"seq {number} {number + 50}", "description": "Counts"},
        }
        for number in range(120)
    ]
    return {"implementation": steps}


def call(caller: Caller, tasks: list[int]) -> None:
    """By turns: nothing, a task's first execute, nothing, the same once more."""
    for task in tasks:
        caller.call(NOTHING, "GET", "/healthz")
        first = caller.call(STARTED, "POST", f"/api/tasks/{task}/execute")
        caller.call(NOTHING, "GET", "/healthz")
        second = caller.call(REFUSED, "POST", f"/api/tasks/{task}/execute")
        if (first.status, second.status) == (202, 409):
            assert json.loads(first.body)["session_id"] == json.loads(second.body)["session_id"]


def call_paced(caller: Caller, share: tuple[int, list[int]]) -> None:
    """The same, as people and scripts do it: a call every PACE seconds, the callers spread over that time."""
    number, tasks = share
    caller.pace(PACE, first=PACE * number / CALLERS)
    call(caller, tasks)


def cancel(studio: Studio, tasks: list[int]) -> None:
    """One after another, and again where it failed: this is not measured, and shall not crowd the database."""
    for task in tasks:
        until(
            lambda task=task: studio.api("POST", f"/tasks/{task}/cancel").status_code in (200, 202, 409),
            60,
            f"the cancellation of task {task}",
        )


def shares(tasks: list[int]) -> list[list[int]]:
    return [share for share in (tasks[start::CALLERS] for start in range(CALLERS)) if share]


def written(studio: Studio, tasks: list[int]) -> int:
    return sum(len(studio.activity(session["id"])) for task in tasks for session in studio.sessions(task))


def figures(answers: list[Answer]) -> list[tuple[object, ...]]:
    """p50, p99, the longest and their number by kind; the ratio is to the view that does nothing."""
    rows: list[tuple[object, ...]] = [("", "p50", "p99", "max", "n", "p50 and p99 beside nothing")]
    for name in (NOTHING, STARTED, REFUSED):
        times = [answer.milliseconds for answer in answers if answer.name == name]
        middle, high = percentile(times, 50), percentile(times, 99)
        ratio = f"{middle / percentile_of(answers, NOTHING, 50):.1f} x, {high / p99(answers, NOTHING):.1f} x"
        shown = (f"{value:.1f}" for value in (middle, high, max(times)))
        rows.append((name, *shown, len(times), "GET /healthz" if name == NOTHING else ratio))
    return rows


def percentile_of(answers: list[Answer], name: str, percent: float) -> float:
    return percentile((answer.milliseconds for answer in answers if answer.name == name), percent)


def p99(answers: list[Answer], name: str) -> float:
    return percentile_of(answers, name, 99)


def unexpected(answers: list[Answer]) -> list[Answer]:
    right = {NOTHING: 200, STARTED: 202, REFUSED: 409}
    return [answer for answer in answers if answer.status != right[answer.name]]
