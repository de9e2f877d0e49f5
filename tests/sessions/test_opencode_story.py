"""The demo's whole story on the real OpenCode: plan, implement, review, fix, review."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sessions.opencode import config
from tests.sessions.opencode_run import Agent

pytestmark = pytest.mark.real


THEIRS = {
    "agent": {
        "theirs": {"description": "x", "prompt": "x"},
        config.REVIEW_AGENT: {"permission": {"edit": "allow"}},
    }
}


def verdict_of(text: str) -> dict[str, Any]:
    verdict: dict[str, Any] = json.loads(text.removeprefix("```json\n").removesuffix("\n```"))
    return verdict


def passes(workspace: Path) -> bool:
    return (
        subprocess.run(
            [sys.executable, "-m", "unittest", "-q"], cwd=workspace, capture_output=True, check=False
        ).returncode
        == 0
    )


def test_a_task_goes_from_a_plan_to_an_approved_change(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "opencode.json").write_text(json.dumps(THEIRS))
    agent = Agent(tmp_path)
    try:
        assert "theirs" not in agent.client.agents(), "a project's configuration is off unless it is trusted"
        assert not passes(agent.workspace)
        plan = agent.run("Phase: planning\nDEMO-7: zero seconds", agent=config.PLAN_AGENT)
        assert "## Files to change" in plan.outcome.text

        build = agent.run("Phase: implementation\nDEMO-7: zero seconds")
        assert passes(agent.workspace)

        first = verdict_of(
            agent.run("Phase: review\nRound: 1\nDEMO-7", agent=config.REVIEW_AGENT).outcome.text
        )
        assert first["verdict"] == "changes_requested"
        [finding] = first["findings"]
        lines = (agent.workspace / finding["path"]).read_text().splitlines()
        assert "test_nothing_is_zero_seconds" in lines[finding["line"] - 1]

        fix = agent.run("Phase: fix\nRound: 1\nDEMO-7: no test for whole hours", session_id=build.session_id)
        assert fix.tools() == ["read", "edit", "bash"]
        assert "test_whole_hours" in (agent.workspace / finding["path"]).read_text()
        assert passes(agent.workspace)

        second = verdict_of(
            agent.run("Phase: review\nRound: 2\nDEMO-7", agent=config.REVIEW_AGENT).outcome.text
        )
        assert (second["verdict"], second["findings"]) == ("approved", [])

        more = agent.run("Phase: fix\nRound: 2\nDEMO-7: a person's comment", session_id=build.session_id)
        assert more.tools() == ["read", "write"]
        assert (agent.workspace / "notes" / "DEMO-7-fix-2.md").exists()

        again = agent.run("Phase: implementation\nDEMO-8: nothing left to mend")
        assert "write" in again.tools()
        assert (agent.workspace / "notes" / "DEMO-8.md").exists()
    finally:
        agent.close()


def test_a_trusted_projects_configuration_is_read_and_cannot_change_our_agents(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "opencode.json").write_text(json.dumps(THEIRS))
    agent = Agent(tmp_path, is_trusted=True)
    try:
        assert "theirs" in agent.client.agents()
        steps = [{"tool": "write", "args": {"filePath": "{cwd}/a", "content": "x"}}, {"text": "Read."}]
        run = agent.run("Look here.", agent=config.REVIEW_AGENT, review=steps)
        assert run.outcome.text == "Read."
        assert not (agent.workspace / "a").exists()
        [system, *_] = agent.received("Look here.")[0]["messages"]
        assert system["content"].count("A test's name is a sentence") == 1
    finally:
        agent.close()
