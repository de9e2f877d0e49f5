"""A limit, a move, and both kinds of pause, on the real parts: a worker, OpenCode, the watchdog."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.running import Studio, until
from tests.test_journey import runs, script, writes

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


def test_a_limit_a_move_and_two_pauses_hold_on_the_real_studio(
    studio: Studio, fresh_repository: Path
) -> None:
    project = studio.make_project(fresh_repository, "LINE", planning=False, ai_review=False, most_sessions=1)
    first, second, third = (file(studio, project, name) for name in ("a", "b", "c"))
    until(lambda: line(studio, "at_work") == [first], 180, "the first")
    assert line(studio, "held") == [second, third]
    assert studio.post(f"/projects/{project}/pause", {"reason": "A look"}, expect=200)["at_work"] == 1
    studio.post(f"/tasks/{third}/move", {"to": "top"}, expect=200)

    until(lambda: not line(studio, "at_work"), 180, "the end of the first one's session")
    built, checks = studio.sessions(first)
    assert (built["state"], checks["phase"], checks["state"]) == ("completed", "checks", "queued")
    [pause] = [each for each in studio.get("/queue")["pauses"] if each["project"] == project]
    assert pause["drained"]
    assert line(studio, "held") == [first, third, second]

    resume(studio, project)
    until(lambda: line(studio, "at_work") == [third], 180, "the one that was moved")
    session = studio.sessions(third)[0]["id"]
    until(lambda: any(entry["tool"] == "bash" for entry in studio.activity(session)), 180, "its command")
    studio.post(f"/projects/{project}/pause", {"running": "interrupt"}, expect=200)
    until(lambda: not line(studio, "at_work"), 180, "the interruption")
    cut, following = studio.sessions(third)
    assert (cut["state"], cut["reason"], following["state"]) == ("interrupted", "paused", "queued")
    assert following["opencode_session_id"] == cut["opencode_session_id"]
    assert line(studio, "held") == [third, second]

    resume(studio, project)
    until(lambda: line(studio, "at_work") == [third], 180, "what was interrupted")
    assert studio.status(first) == "review"
    sessions = [session for task in (first, third) for session in studio.sessions(task)]
    times = sorted((each["started_at"], each["ended_at"]) for each in sessions if each["ended_at"])
    assert all(ended <= started for (_, ended), (started, _) in itertools.pairwise(times)), times
    for task in (second, third):
        studio.api("POST", f"/tasks/{task}/cancel")
        until(lambda task=task: studio.status(task) == "cancelled", 180, "the cancellation")


def file(studio: Studio, project: int, name: str) -> int:
    """A started task that takes two seconds; its id."""
    work = [runs("sleep 2"), writes(f"{name}.txt", name), {"text": "Done."}]
    task = studio.file(project, name, script("", implementation=work))
    studio.post(f"/tasks/{task}/execute")
    return task


def line(studio: Studio, part: str) -> list[Any]:
    """The ids of the project's tasks in that part of the queue."""
    return [entry["task_id"] for entry in studio.get("/queue")[part] if entry["key"].startswith("LINE-")]


def resume(studio: Studio, project: int) -> None:
    assert studio.api("POST", f"/projects/{project}/resume").status_code == 204
