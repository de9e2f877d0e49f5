"""Workers and the cluster's other processes are killed: noticed, served again, poison stopped."""

from pathlib import Path

import pytest

from tests.faults.studio import Studio, kill
from tests.running import until

SLOW = {
    "implementation": [
        {"tool": "bash", "args": {"command": "sleep 30", "description": "Waits"}},
        {"text": "Done."},
    ]
}
NOTICED_SECONDS = 60


def agent_works(studio: Studio, task: int) -> None:
    """Wait until the agent runs its command."""
    tools = "SELECT a.id FROM agent_sessions_activity a JOIN agent_sessions_session s ON s.id = a.session_id JOIN agent_sessions_attempt t ON t.id = s.attempt_id WHERE t.task_id = ? AND a.tool = 'bash'"
    until(lambda: studio.rows(tools, task), 60, "the agent's command")


@pytest.mark.fault("R06", sample=True)
def test_a_dead_worker_is_shown_within_a_minute(studio: Studio, fresh_repository: Path) -> None:
    task = studio.started(fresh_repository, "DEAD", SLOW)
    first = studio.sessions(task)[0]["id"]
    agent_works(studio, task)
    kill(studio.worker_of(task))
    until(
        lambda: "interrupted" in studio.page(f"/sessions/{first}/head/").text,
        NOTICED_SECONDS,
        "the word on the page",
    )
    studio.post(f"/tasks/{task}/cancel", expect=202 if studio.worker_of(task) else 200)
    until(lambda: studio.status(task) == "cancelled", 20, "the cancellation")
