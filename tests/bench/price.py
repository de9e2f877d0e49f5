"""What a task costs by Studio, beside the same prompt by the smallest script: by turns, one at a time, nothing else running."""

import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from tests import factories
from tests.bench import FOLDER, script
from tests.bench.report import section
from tests.running import Studio

PAIRS = 5
POLL_SECONDS = 0.05
DEADLINE_SECONDS = 180
TASK = {
    "implementation": [
        {"tool": "read", "args": {"filePath": "{cwd}/README.md"}},
        {"tool": "write", "args": {"filePath": "{cwd}/hello.txt", "content": "Hello\n"}},
        {"tool": "bash", "args": {"command": "cat hello.txt", "description": "Looks"}},
        {"text": "Wrote hello.txt."},
    ]
}


def measure(studio: Studio) -> dict[str, bool]:
    """Print the figures. There is no promise: what is acceptable depends on how long the agent works."""
    repository = factories.make_repository(FOLDER / "price")
    project = studio.make_project(repository, "PRICE", planning=False, ai_review=False, checks=[])
    ours, bare, parts = [], [], []
    prompt = ""
    for number in range(PAIRS + 1):  # the first pair warms up, and tells what Studio's prompt is
        task = studio.file(project, "Write hello.txt", TASK)
        seconds = by_studio(studio, task)
        prompt = prompt or prompt_of(studio, f"PRICE-{number + 1}")
        bare_seconds = by_script(studio, repository, prompt, number)
        if number:
            ours.append(seconds)
            bare.append(bare_seconds)
            parts.append(parts_of(studio.sessions(task)))
    section("Price of a task: no planning, no review, no checks, a model without pauses, seconds", [
        ("", "median", "each"),
        ("Studio, execute to review", median(ours), each(ours)),
        ("script, clone to idle", median(bare), each(bare)),
        ("ratio of the medians", median(ours) / median(bare)),
        ("difference", median(ours) - median(bare)),
        *((f"Studio: {name}", median(part[name] for part in parts)) for name in parts[0]),
    ])  # fmt: skip
    return {}


def by_studio(studio: Studio, task: int) -> float:
    """From the call of `execute` until the task is in review."""
    auth = {"Authorization": f"Bearer {studio.token}"}
    path = f"/api/tasks/{task}"
    with httpx.Client(base_url=studio.url, headers=auth, timeout=30) as client:
        started = time.monotonic()
        client.post(f"{path}/execute").raise_for_status()
        while client.get(path).raise_for_status().json()["status"] != "review":
            passed = time.monotonic() - started
            assert passed < DEADLINE_SECONDS, f"{studio.sessions(task)}\n{studio.log('runs')}"
            time.sleep(POLL_SECONDS)
        return time.monotonic() - started


def by_script(studio: Studio, repository: Path, prompt: str, number: int) -> float:
    workspace = FOLDER / f"script-{number}"
    started = time.monotonic()
    script.run(repository, workspace, FOLDER / "script-data", prompt, int(studio.demo_url.rpartition(":")[2]))
    seconds = time.monotonic() - started
    assert (workspace / "hello.txt").read_text() == "Hello\n"
    return seconds


def prompt_of(studio: Studio, key: str) -> str:
    """Studio's own prompt for that task, as it reached the model."""
    log = httpx.get(f"{studio.demo_url}/_log?n=50", timeout=30).json()
    return next(
        str(entry["turn"]["prompt"])
        for entry in log
        if entry["turn"]["phase"] == "implementation" and entry["turn"]["task_key"] == key
    )


def parts_of(sessions: list[dict[str, Any]]) -> dict[str, float]:
    """Where Studio's time goes, by its own times of its two sessions."""
    change, checks = sessions
    at = {
        f"{name} {moment}": datetime.fromisoformat(session[f"{moment}_at"])
        for name, session in (("change", change), ("checks", checks))
        for moment in ("created", "started", "ended")
    }
    return {
        "waiting for a worker": (at["change started"] - at["change created"]).total_seconds(),
        "workspace, server, agent, commit": (at["change ended"] - at["change started"]).total_seconds(),
        "checks (none), second commit": (at["checks ended"] - at["checks created"]).total_seconds(),
    }


def each(seconds: list[float]) -> str:
    return "of " + " ".join(f"{value:.2f}" for value in seconds)
