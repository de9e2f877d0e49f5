"""A server process, its configuration and its agents, on the real OpenCode with the demo model."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sessions.opencode import config
from sessions.opencode.client import OpenCodeError
from sessions.opencode.limits import Limits
from sessions.opencode.provider import ProviderProblem, demo, usable_model
from sessions.opencode.server import Server, ServerProblem
from sessions.opencode.status import Status
from sessions.reasons import Reason
from tests.sessions.opencode_run import Agent, launch

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """A builder that must ask before it edits, and may ask questions."""
    agent = Agent(
        tmp_path_factory.mktemp("opencode"), permissions={"edit": "ask", "question": "ask", "webfetch": "ask"}
    )
    yield agent
    agent.close()


def bash(command: str) -> dict[str, Any]:
    return {"tool": "bash", "args": {"command": command, "description": "A command"}}


def write(path: str) -> dict[str, Any]:
    return {"tool": "write", "args": {"filePath": f"{{cwd}}/{path}", "content": "written"}}


def changes(agent: Agent) -> str:
    return subprocess.run(
        ["git", "status", "--short"], cwd=agent.workspace, capture_output=True, text=True, check=True
    ).stdout


def answering(agent: Agent, answer: Callable[[Status], None]) -> Callable[[Status], None]:
    """Answers what waits, once for each request."""
    answered: set[str] = set()

    def on_status(status: Status) -> None:
        waiting = {request.id for request in [*status.permissions, *status.questions]} - answered
        if waiting:
            answered.update(waiting)
            answer(status)

    return on_status


@pytest.mark.parametrize("name", [config.PLAN_AGENT, config.REVIEW_AGENT])
def test_an_agent_that_reads_cannot_write(agent: Agent, name: str) -> None:
    attempts = [
        "touch a",
        "git status && touch a",
        "git status > a",
        "ls $(touch a)",
        "cat README.md | tee a",
        "git diff --output=a",
        "git show HEAD 2>a",
        "rg --pre 'touch a' x",
        "git grep -Otouch durations",
        "git -c core.pager='touch a' --paginate log",
        "cat <(touch a)",
        "python3 -c \"open('a', 'w')\"",
    ]
    phase = "planning" if name == config.PLAN_AGENT else "review"
    steps = [
        {"tools": [bash(command) for command in attempts]},
        {"tools": [write("a"), bash("git log -1"), bash("grep -n def durations/text.py")]},
    ]
    run = agent.run("Read.", agent=name, **{phase: [*steps, {"text": "Read."}]})
    assert run.outcome.is_completed
    states = {part.input.get("command"): part.state for part in run.recorded if part.tool == "bash"}
    assert {states[command] for command in attempts} == {"error"}
    assert (states["git log -1"], states["grep -n def durations/text.py"]) == ("completed", "completed")
    assert changes(agent) == ""
    [*_, request] = agent.received("Read.")
    offered = {tool["function"]["name"] for tool in request["tools"]}
    assert offered.isdisjoint({"write", "edit", "task", "webfetch"})
    assert ("question" in offered) == (name == config.PLAN_AGENT)


def test_the_model_receives_the_agents_prompt_and_the_projects_instructions(agent: Agent) -> None:
    agent.run("Look, please.", agent=config.REVIEW_AGENT)
    system = agent.received("Look, please.")[0]["messages"][0]["content"]
    assert system.startswith("You are Studio's review agent.")
    assert "A test's name is a sentence about what people see." in system, (
        "AGENTS.md, though the project's configuration is off"
    )


def test_no_model_is_in_reach_that_nobody_named(agent: Agent) -> None:
    known = agent.client.providers()
    assert known == {"demo": ["demo"]}
    assert usable_model(agent.provider, known, agent.client) == "demo/demo"
    assert usable_model(replace(agent.provider, model=""), known, agent.client) == "demo/demo", (
        "OpenCode's own choice"
    )
    with pytest.raises(ProviderProblem, match="It offers: demo/demo"):
        usable_model(replace(agent.provider, model="demo/nope"), known, agent.client)
    assert agent.run("Try.", model="opencode/big-pickle").outcome.reason == Reason.MODEL_MISSING


def test_the_start_installs_nothing(agent: Agent) -> None:
    agent.run("Anything.", implementation=[{"text": "Yes."}])
    folder = agent.server.data / "config" / "opencode"
    assert list((folder / "node_modules").iterdir()) == []
    assert not (folder / "package.json").exists()


def test_a_permission_is_told_and_its_answer_lets_the_agent_go_on(agent: Agent) -> None:
    def allow(status: Status) -> None:
        assert (status.activity, status.permissions[0].permission) == ("waiting", "edit")
        agent.client.reply_permission(status.permissions[0].id, "once")

    run = agent.run(
        "Edit.", on_status=answering(agent, allow), implementation=[write("allowed.txt"), {"text": "Done."}]
    )
    assert run.outcome.text == "Done."
    assert (agent.workspace / "allowed.txt").read_text() == "written"
    (agent.workspace / "allowed.txt").unlink()


def test_a_page_to_fetch_is_asked_for_though_opencode_cannot_list_that(agent: Agent) -> None:
    asked: list[str] = []

    def refuse(status: Status) -> None:
        with pytest.raises(OpenCodeError, match="undefined"):
            agent.client.permissions()
        asked.extend(status.permissions[0].patterns)
        agent.client.reply_permission(status.permissions[0].id, "reject", "No.")

    fetch = {"tool": "webfetch", "args": {"url": "http://127.0.0.1:9/page", "format": "text"}}
    steps = [fetch, {"text": "Without it, then."}]
    run = agent.run("Fetch.", on_status=answering(agent, refuse), implementation=steps)
    assert run.outcome.text == "Without it, then."
    assert asked == ["http://127.0.0.1:9/page"]


def test_a_sub_agent_asks_too_and_names_its_own_session(agent: Agent) -> None:
    asked: list[str] = []

    def refuse(status: Status) -> None:
        asked.append(status.permissions[0].session_id)
        agent.client.reply_permission(status.permissions[0].id, "reject", "Not there, please.")

    task = {"task": {"steps": [write("below.txt"), {"text": "I was told not to."}]}}
    run = agent.run(
        "Delegate.", on_status=answering(agent, refuse), implementation=[task, {"text": "So be it."}]
    )
    assert run.outcome.text == "So be it."
    [child] = agent.client.children(run.session_id)
    assert asked == [child["id"]]
    assert not (agent.workspace / "below.txt").exists()
    assert any("Not there, please." in part.output for part in run.recorded if part.depth == 1)


def test_a_bare_rejection_ends_the_run_as_rejected(agent: Agent) -> None:
    def refuse(status: Status) -> None:
        agent.client.reply_permission(status.permissions[0].id, "reject")

    run = agent.run(
        "Edit.", on_status=answering(agent, refuse), implementation=[write("no.txt"), {"text": "Done."}]
    )
    assert run.outcome.reason == Reason.REJECTED


def test_a_question_waits_for_a_person_and_not_for_the_progress_clock(agent: Agent) -> None:
    options = [
        {"label": "sqlite", "description": "One file"},
        {"label": "postgresql", "description": "A server"},
    ]
    question = {"question": "Which one?", "header": "Database", "options": options}
    seen = threading.Event()
    asked: list[str] = []

    def remember(status: Status) -> None:
        if status.questions:
            asked.append(status.questions[0].id)
            assert status.questions[0].questions[0]["question"] == "Which one?"
            threading.Timer(3, answer).start()

    def answer() -> None:
        agent.client.reply_question(asked[0], [["sqlite"]])
        seen.set()

    run = agent.run(
        "Ask.",
        on_status=answering(agent, remember),
        limits=Limits(progress_seconds=2, poll_seconds=1, total_seconds=60),
        implementation=[{"tool": "question", "args": {"questions": [question]}}, {"text": "sqlite it is."}],
    )
    assert seen.is_set()
    assert run.outcome.text == "sqlite it is."


def test_a_server_that_dies_in_the_middle_is_no_success(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    try:

        def kill() -> None:
            if agent.received("Work.") and agent.server.alive():
                agent.server._process.kill()  # type: ignore[union-attr]

        steps = [bash("sleep 2"), {"text": "Done."}]
        run = agent.run(
            "Work.", tick=kill, limits=Limits(server_seconds=2, poll_seconds=1), implementation=steps
        )
        assert (run.outcome.kind, run.outcome.reason) == ("failed", Reason.SERVER_DIED)
        assert not any(part.state in {"pending", "running"} for part in run.recorded)
        assert not agent.server.alive()
    finally:
        agent.close()


def new_server(folder: Path, argv: list[str]) -> Server:
    """A server whose command is another one."""
    provider = demo([])
    built = config.build(provider, workspace=folder, data=folder / "data")
    return Server(
        workspace=folder,
        data=folder / "data",
        provider=provider,
        config=built,
        launch=lambda _, env: launch(argv, env, folder),
    )


def test_a_server_that_ends_while_it_starts_shows_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(ServerProblem, match="ended while it started") as problem:
        new_server(tmp_path, [sys.executable, "-c", "print('no room', flush=True)"]).start(lambda: None)
    assert problem.value.reason == "exited"


def test_a_server_that_never_answers_is_stopped(tmp_path: Path, settings: Any) -> None:
    settings.STUDIO_START_SECONDS = 1
    server = new_server(tmp_path, [sys.executable, "-c", "import time; time.sleep(60)"])
    ticks: list[int] = []
    with pytest.raises(ServerProblem) as problem:
        server.start(lambda: ticks.append(1))
    assert problem.value.reason == "slow"
    assert ticks
    assert not server.alive()


def test_what_tick_raises_stops_the_start(tmp_path: Path) -> None:
    def cancel() -> None:
        raise KeyError("cancelled")

    server = new_server(tmp_path, [sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(KeyError):
        server.start(cancel)
    assert not server.alive()


def test_secrets_are_readable_by_their_owner_only(agent: Agent) -> None:
    files = [agent.server.config_file, agent.server.data / "data" / "opencode" / "auth.json"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert json.loads(files[0].read_text())["autoupdate"] is False
