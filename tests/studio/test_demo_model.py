"""The demo model by itself: what it answers is decided by the request's messages alone."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from sessions.phases.answers_to_comments import read as read_answers
from studio.demo_model import project
from studio.demo_model.server import DemoModel
from studio.demo_model.turn import understand

PLANNER = "You are Studio's planning agent.\n  Working directory: /srv/space"
BUILDER = "You are Studio's implementation agent.\n  Working directory: /srv/space"
REVIEWER = "You are Studio's review agent.\n  Working directory: /srv/space"


@pytest.fixture
def demo() -> Iterator[DemoModel]:
    server = DemoModel(0, pace=0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def body(system: str, *messages: tuple[str, str]) -> dict[str, Any]:
    listed = [{"role": role, "content": text} for role, text in messages]
    return {
        "model": "demo",
        "stream": True,
        "tools": [{}],
        "messages": [{"role": "system", "content": system}, *listed],
    }


def ask(demo: DemoModel, system: str, *messages: tuple[str, str]) -> list[dict[str, Any]]:
    answer = httpx.post(f"{demo.url}/chat/completions", json=body(system, *messages), timeout=10)
    answer.raise_for_status()
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


def calls_of(chunks: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    calls = [call["function"] for delta in deltas for call in delta.get("tool_calls", [])]
    return [(call["name"], json.loads(call["arguments"])) for call in calls]


def write_project(root: Path, **changes: str) -> None:
    for path, text in {**project.files(), **changes}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def run_project_tests(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "unittest", "-q"], cwd=root, capture_output=True, text=True, check=False
    )


def test_the_demo_project_has_exactly_one_failing_test_and_the_scripted_fix_mends_it(tmp_path: Path) -> None:
    write_project(tmp_path)
    assert "FAILED (failures=1)" in run_project_tests(tmp_path).stderr
    write_project(tmp_path, **{project.PACKAGE_FILE: project.PACKAGE.replace(project.BUG, project.FIX)})
    write_project(
        tmp_path,
        **{
            project.PACKAGE_FILE: project.PACKAGE.replace(project.BUG, project.FIX),
            project.TEST_FILE: project.TESTS.replace(
                project.EDGE_TEST_ANCHOR, project.EDGE_TEST_ANCHOR + project.EDGE_TEST
            ),
        },
    )
    assert run_project_tests(tmp_path).returncode == 0


def test_planning_reads_first_and_then_answers_with_a_plan(demo: DemoModel) -> None:
    prompt = ("user", "Plan DEMO-1")
    [(tool, arguments)] = calls_of(ask(demo, PLANNER, prompt))
    assert (tool, arguments["path"]) == ("glob", "/srv/space")
    steps = [
        ("assistant", "…"),
        ("tool", "files"),
        ("assistant", "…"),
        ("tool", "readme"),
        ("assistant", "…"),
        ("tool", project.PACKAGE),
    ]
    plan = text_of(ask(demo, PLANNER, prompt, *steps))
    assert all(
        heading in plan for heading in ("## Summary", "## Files to change", "## Steps", "## Test plan")
    )
    assert "no AI" in plan


def test_a_builders_second_prompt_is_a_fix_and_a_phase_line_says_otherwise() -> None:
    second = [("user", "Do it"), ("assistant", "done"), ("user", "Mend this")]
    assert understand(body(BUILDER, second[0])).phase == "implementation"
    assert understand(body(BUILDER, *second)).phase == "fix"
    again = [("user", "Phase: implementation"), ("user", "Phase: implementation\nGo on where you were.")]
    assert understand(body(BUILDER, *again)).phase == "implementation"


def test_a_review_warns_once_and_approves_when_the_test_is_there(demo: DemoModel) -> None:
    def verdict(tests: str) -> dict[str, Any]:
        steps = [("assistant", ""), ("tool", "diff"), ("assistant", ""), ("tool", tests)]
        text = text_of(ask(demo, REVIEWER, ("user", "Review DEMO-1"), *steps))
        return json.loads(text.removeprefix("```json\n").removesuffix("\n```"))

    numbered = "\n".join(
        f"{number}: {line}" for number, line in enumerate(project.TESTS.splitlines(), start=1)
    )
    first = verdict(numbered)
    assert first["verdict"] == "changes_requested"
    [finding] = first["findings"]
    assert (finding["severity"], finding["path"]) == ("warning", project.TEST_FILE)
    assert "test_nothing_is_zero_seconds" in project.TESTS.splitlines()[finding["line"] - 1]
    assert verdict(numbered + project.EDGE_TEST)["verdict"] == "approved"


def test_a_directive_chooses_the_steps_of_its_phase_and_round(demo: DemoModel) -> None:
    rounds = [[{"verdict": {"verdict": "changes_requested"}}], [{"text": "second round in {cwd}"}]]
    task = "Task DEMO-1\n```demo\n" + json.dumps({"review": rounds}) + "\n```\n"
    assert "changes_requested" in text_of(ask(demo, REVIEWER, ("user", task)))
    assert text_of(ask(demo, REVIEWER, ("user", task + "Round: 2"))) == "second round in /srv/space"


def test_a_fix_answers_the_comments_by_their_numbers(demo: DemoModel) -> None:
    prompt = "Phase: fix\n\nComment 12: a person writes about a.py:3:\n\nWhy?"
    steps = [("assistant", "…"), ("tool", "no tests"), ("assistant", "…"), ("tool", "written")]
    said = text_of(ask(demo, BUILDER, ("user", prompt), *steps))
    assert read_answers(said).keys() == {12}


def test_an_error_lasts_as_many_times_as_it_is_told(demo: DemoModel) -> None:
    task = '```demo {"planning": [{"error": 503, "times": 2, "retry_after": 1, "text": "at last"}]} ```'
    for _ in range(2):
        answer = httpx.post(f"{demo.url}/chat/completions", json=body(PLANNER, ("user", task)))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert text_of(ask(demo, PLANNER, ("user", task))) == "at last"


def test_the_log_shows_what_the_model_received(demo: DemoModel) -> None:
    ask(demo, PLANNER, ("user", "a prompt to find"))
    [entry] = httpx.get(demo.url.replace("/v1", "/_log?n=1")).json()
    assert entry["body"]["messages"][-1]["content"] == "a prompt to find"
    assert entry["turn"]["phase"] == "planning"
    assert httpx.get(demo.url.replace("/v1", "/health")).json() == {"ok": True, "model": "demo", "ai": False}


def test_the_command_serves_until_it_is_terminated() -> None:
    command = [sys.executable, "manage.py", "demo_model", "--port", "0"]
    with subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert httpx.get(url + "/models").json()["data"][0]["id"] == "demo"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
