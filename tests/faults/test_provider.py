"""The model's provider fails in every way there is: the right reason or the right recovery, few requests, and nothing failed in numbers."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.demo_model.reply import Reply
from studio.demo_model.server import DemoModel
from tests.faults.conftest import running
from tests.faults.studio import BUILD, PLAIN, WRITES, Studio
from tests.running import until

LIMITED = {"error": 429, "message": "Too many requests"}
OVERFLOW = {"error": 400, "code": "context_length_exceeded", "message": "context_length_exceeded"}
WITHIN_SECONDS = 240  # a busy machine takes 40 s to start an OpenCode
CLOCKS = {
    "STUDIO_QUIET_SECONDS": "4",
    "STUDIO_STALLED_SECONDS": "8",
    "STUDIO_PROGRESS_SECONDS": "16",
    "STUDIO_PROVIDER_PAUSE_SECONDS": "1",
    "STUDIO_RETRY_SECONDS": "15",
}


class Model(DemoModel):
    """A provider of the test's own, which can be down."""

    def __init__(self) -> None:
        super().__init__(0, pace=0)
        self.is_down = self.is_full = False
        self.asked: list[float] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def reply_to(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        self.asked.append(time.time())
        if self.is_down:
            return Reply(error=503, error_message="Out of service")
        if self.is_full:
            return Reply(error=400, error_code=OVERFLOW["code"], error_message=OVERFLOW["message"])
        return super().reply_to(body, headers)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("provider")
    limit = {"context": 128_000, "output": 8192}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": model.url, "apiKey": "k"},
        "models": {"demo": {"name": "Demo", "tool_call": True, "limit": limit}},
    }
    file = folder / "opencode.json"
    file.write_text(json.dumps({"model": "acme/demo", "provider": {"acme": provider}}))
    yield from running(Studio(folder / "home", STUDIO_OPENCODE_CONFIG=str(file), **CLOCKS))


@pytest.fixture(autouse=True)
def healthy(studio: Studio, model: Model) -> Iterator[None]:
    """Each test begins with a provider that answers, and without what the last one met."""
    model.is_down = model.is_full = False
    yield
    model.is_down = model.is_full = False
    code = "from sessions.models import Breaker; Breaker.objects.all().delete()"
    studio.manage("shell", "--no-imports", "-c", code)


def failing(fault: dict[str, Any]) -> dict[str, Any]:
    return {"implementation": [WRITES | fault, {"text": "Written."}]}


def begin(studio: Studio, repository: Path, key: str, fault: dict[str, Any]) -> tuple[int, int]:
    task = studio.started(repository, key, failing(fault))
    return task, int(studio.sessions(task)[0]["id"])


PASSES: dict[str, tuple[dict[str, Any], int]] = {  # and the most requests that it may take
    "429 with Retry-After": (LIMITED | {"times": 1, "retry_after": 2}, 8),
    "429 without": (LIMITED | {"times": 1}, 8),
    "500 twice": ({"error": 500, "times": 2}, 9),
    "529 once": ({"error": 529, "times": 1}, 8),
    "dropped once": ({"drop": True, "times": 1}, 8),
    "dropped in the middle": ({"drop_mid": True, "times": 1, "text": "Well, I "}, 8),
    "no DONE once": ({"no_done": True, "times": 1, "text": "Well, I "}, 9),
    "context overflow once": (OVERFLOW | {"times": 1}, 10),
}
ENDS: dict[str, tuple[dict[str, Any], str, int]] = {
    "401": ({"error": 401}, "provider_login", 4),
    "400": ({"error": 400}, "provider_refused", 4),
    "402": ({"error": 402, "message": "Payment required"}, "provider_quota", 6),
    "400 as a limit": ({"error": 400, "message": "Rate limit exceeded"}, "provider_limited", 8),
    "429 for ever": (LIMITED, "provider_limited", 12),
    "500 for ever": ({"error": 500}, "provider_error", 12),
    "malformed": ({"malformed": True}, "malformed_answer", 4),
    "hangs before the first byte": ({"hang": True}, "stalled", 4),
    "hangs after it": ({"hang_mid": True, "text": "Well, "}, "stalled", 4),
    "context overflow for ever": (OVERFLOW, "context_overflow", 12),
}
GOES_ON = ("provider_limited", "provider_error", "provider_quota")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.fault("R16")) for name in PASSES],
)
def test_a_fault_of_the_provider_that_passes_is_got_over(
    studio: Studio, model: Model, fresh_repository: Path, name: str
) -> None:
    fault, most = PASSES[name]
    asked = len(model.asked)
    task, _ = begin(studio, fresh_repository, f"PASS{list(PASSES).index(name)}", fault)
    studio.wait_for(task, "review", within=WITHIN_SECONDS)
    assert len(model.asked) - asked <= most
    assert {session["state"] for session in studio.sessions(task)} <= {"completed", "interrupted"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.fault("R16")) for name in ENDS])
def test_a_fault_of_the_provider_that_lasts_has_its_name(
    studio: Studio, model: Model, fresh_repository: Path, name: str
) -> None:
    fault, reason, most = ENDS[name]
    asked = len(model.asked)
    model.is_full = fault is OVERFLOW  # also for the summary with which OpenCode would make room
    task, session = begin(studio, fresh_repository, f"ENDS{list(ENDS).index(name)}", fault)
    ended = studio.wait_ended(session, within=WITHIN_SECONDS)
    assert (ended["state"], ended["reason"]) == ("interrupted" if reason in GOES_ON else "failed", reason)
    assert len(model.asked) - asked <= most
    studio.api("POST", f"/tasks/{task}/cancel")
    until(lambda: studio.status(task) == "cancelled", 20, "the cancellation")


@pytest.mark.fault("R16")
def test_while_nothing_comes_the_page_says_quiet_then_stalled_then_that_it_was_stopped(
    studio: Studio, fresh_repository: Path
) -> None:
    task, session = begin(studio, fresh_repository, "QUIET", {"hang": True})
    for level in ("quiet", "stalled"):
        progress = until(
            lambda level=level: (
                found
                if (found := studio.get(f"/tasks/{task}/execution")["progress"] or {}).get("level") == level
                else None
            ),
            WITHIN_SECONDS,
            level,
        )
        assert progress["stops_at"] > progress["since"]
        assert f"{level.capitalize()}" in studio.page(f"/tasks/{task}/").text
    assert studio.wait_ended(session, within=WITHIN_SECONDS)["reason"] == "stalled"
    names = [event["name"] for event in studio.get(f"/tasks/{task}/events")["items"]]
    assert names.count("session.stalled") == 1
    studio.api("POST", f"/tasks/{task}/cancel")


@pytest.mark.fault("R17")
def test_a_provider_that_is_down_pauses_its_queue_and_all_finish_when_it_is_back(
    studio: Studio, model: Model, fresh_repository: Path
) -> None:
    project = studio.make_project(fresh_repository, "DOWN", **PLAIN)
    tasks = [studio.file(project, f"Make file {number}", BUILD) for number in range(12)]
    model.is_down = True
    asked = len(model.asked)
    for task in tasks:
        studio.post(f"/tasks/{task}/execute")
    until(
        lambda: studio.rows("SELECT 1 FROM agent_sessions_breaker WHERE state <> 'closed'"),
        WITHIN_SECONDS,
        "the pause",
    )
    assert "The provider acme is paused." in studio.page("/projects/DOWN/").text
    time.sleep(20)  # of an outage, in which it is tried at a distance that grows
    model.is_down = False
    assert len(model.asked) - asked <= 60, "few requests"
    for task in tasks:
        until(lambda task=task: studio.status(task) == "review", WITHIN_SECONDS, f"the end of task {task}")
    ended = studio.rows(
        "SELECT s.state, s.reason FROM agent_sessions_session s JOIN agent_sessions_attempt a ON a.id = s.attempt_id "
        f"WHERE a.task_id IN {tuple(tasks)}"
    )
    assert not [row for row in ended if row["state"] == "failed"]
    paused = studio.rows(
        "SELECT id FROM tasks_event WHERE name = 'provider.paused' AND project_id = ?", project
    )
    assert len(paused) == 1
