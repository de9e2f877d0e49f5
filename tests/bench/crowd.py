"""Many executions at once: how long they take together, what they hold of the memory, and whether each ends right."""

import time
from collections.abc import Iterator
from typing import Any

from tests import factories
from tests.bench import FOLDER
from tests.bench.memory import Peak
from tests.bench.report import section
from tests.bench.studio import counted, database_errors, states
from tests.running import Studio

DEADLINE_SECONDS = 900
POLL_SECONDS = 0.5


def measure(studio: Studio, size: int) -> dict[str, bool]:
    """Print the figures; which promises were kept."""
    repository = factories.make_repository(FOLDER / "crowd")
    project = studio.make_project(repository, "CROWD", plan_approval=False)
    tasks = [studio.file(project, f"Write file {number}", script(number)) for number in range(size)]
    with Peak(studio) as peak:
        started = time.monotonic()
        for task in tasks:
            studio.post(f"/tasks/{task}/execute")
        most, finished = follow(studio, tasks)
        seconds = time.monotonic() - started
    sessions = [session for task in tasks for session in studio.sessions(task)]
    failed = [session for session in sessions if session["state"] != "completed"]
    errors = database_errors(studio)
    right = sum(is_right(studio, task, number) for number, task in enumerate(tasks))
    section(f"Load: {size} executions at once, each with plan, change, check and review, a model without pauses", [
        ("wall time", f"{seconds:.1f} s, the first in review after {min(finished, default=seconds):.1f} s"),
        ("running at once", f"{most} at most"),
        ("peak memory", f"{peak.total:.0f} MiB in {peak.processes} processes, OpenCode {peak.opencode:.0f} MiB of it "
         f"({peak.samples} samples of PSS)"),
        ("database errors", len(errors), *errors[:3]),
        ("sessions", counted(session["state"] for session in sessions)),
        ("failures", counted(f"{session['phase']}: {session['reason']}" for session in failed)),
        ("tasks", states(studio, tasks)),
        ("right results", f"{right} of {size}"),
    ])  # fmt: skip
    return {
        "every execution came to its review": len(finished) == size,
        "every session completed": not failed,
        "every workspace holds its own change and nothing else": right == size,
        "no database error under load": not errors,
    }


def follow(studio: Studio, tasks: list[int]) -> tuple[int, list[float]]:
    """Until all are in review or the time is over: how many ran at once at most, and after how many seconds each was there."""
    started = time.monotonic()
    most, finished = 0, dict[int, float]()
    while len(finished) < len(tasks) and time.monotonic() - started < DEADLINE_SECONDS:
        live = studio.get("/sessions?live=true&limit=500")["items"]
        most = max(most, sum(session["state"] != "queued" for session in live))
        for task in in_review(studio, [task for task in tasks if task not in finished]):
            finished[task] = time.monotonic() - started
        if not live:
            break  # nothing runs any more: who is not in review by now will not come there
        time.sleep(POLL_SECONDS)
    return most, list(finished.values())


def in_review(studio: Studio, tasks: list[int]) -> Iterator[int]:
    return (task for task in tasks if studio.status(task) == "review")


def script(number: int) -> dict[str, Any]:
    """A little of everything that an agent does."""
    name = f"file-{number}.txt"
    return {
        "planning": [
            {"tool": "read", "args": {"filePath": "{cwd}/README.md"}},
            {"text": f"## Summary\n\nWrite {name}."},
        ],
        "implementation": [
            {"reasoning": "First I write it. " * 20, **write(name, "draft\n")},
            {"tool": "bash", "args": {"command": f"wc -l {name} && git status --short", "description": "Looks"}},
            {"tool": "read", "args": {"filePath": f"{{cwd}}/{name}"}},
            write(name, f"{name}\n"),
            {"text": f"Wrote {name}. " * 20},
        ],
        "review": [{"verdict": {"verdict": "approved", "summary": "Good.", "findings": []}}],
    }  # fmt: skip


def write(name: str, text: str) -> dict[str, Any]:
    return {"tool": "write", "args": {"filePath": f"{{cwd}}/{name}", "content": text}}


def is_right(studio: Studio, task: int, number: int) -> bool:
    """Its one file is what changed."""
    answer = studio.api("GET", f"/tasks/{task}/diff")
    return answer.is_success and [file["path"] for file in answer.json()["files"]] == [f"file-{number}.txt"]
