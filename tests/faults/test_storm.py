"""Ten minutes in which some process of Studio is killed every few seconds, and then the reckoning."""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import running, seed
from tests.faults.studio import PLAIN, Studio
from tests.running import until

TASKS = 20
STORM_SECONDS = float(os.environ.get("FAULTS_STORM_SECONDS") or 600)
DRAIN_SECONDS = 900
WORK = {
    "implementation": [
        {"tool": "write", "args": {"filePath": "{cwd}/made.txt", "content": "made\n"}},
        *({"tool": "bash", "args": {"command": "sleep 15", "description": "Waits"}} for _ in range(3)),
        {"text": "Done."},
    ]
}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    yield from running(Studio(tmp_path_factory.mktemp("faults") / "home"))


@pytest.mark.timeout(STORM_SECONDS + DRAIN_SECONDS + 300)
@pytest.mark.fault("R02")
def test_twenty_executions_survive_a_storm_of_kills(studio: Studio, fresh_repository: Path) -> None:
    chance = random.Random(seed())
    project = studio.make_project(fresh_repository, "STORM", **PLAIN)
    tasks = [studio.file(project, f"Task {number}", WORK) for number in range(TASKS)]
    for task in tasks:
        studio.execute(task)
    struck: Counter[str] = Counter()
    ends_at = time.monotonic() + STORM_SECONDS
    while time.monotonic() < ends_at:
        time.sleep(chance.uniform(5, 15))  # the storm's own rhythm; nothing is waited for
        struck[strike(studio, chance)] += 1
    ended = drain(studio, tasks)
    print(f"killed: {dict(struck)}; ended: {dict(Counter(ended.values()))}")
    assert sum(struck.values()) > STORM_SECONDS / 20
    for task in tasks:
        sessions = studio.sessions(task)
        assert all(session["reason"] for session in sessions if session["state"] in ("failed", "interrupted"))
        done = [session["phase"] for session in sessions if session["state"] == "completed"]
        assert sorted(done) == sorted(set(done)), f"task {task} did something twice: {done}"
        if ended[task] == "review":
            assert [file["path"] for file in studio.get(f"/tasks/{task}/diff")["files"]] == ["made.txt"]


def strike(studio: Studio, chance: random.Random) -> str:
    """SIGKILL one process of Studio's by chance; its kind."""
    supervisor = studio.process.pid
    kinds: dict[str, list[int]] = {
        name: [studio.child(name)] for name in ("web", "short", "watchdog", "demo_model")
    }
    tagged = studio.tagged()
    cluster = studio.child("runs")
    below = [pid for pid in studio.family(cluster) if pid not in tagged] if cluster else []
    kinds |= {
        "runs": [cluster],
        "sentinel": below[:1],
        "of the cluster": below[1:],
        "of an agent": list(tagged),
    }
    kind = chance.choice(sorted(kinds))
    alive = [pid for pid in kinds[kind] if pid > 1 and pid != supervisor]
    if not alive:
        return "nothing"
    try:
        os.kill(chance.choice(alive), 9)
    except ProcessLookupError:
        return "nothing"
    return kind


def drain(studio: Studio, tasks: list[int]) -> dict[int, str]:
    """Wait until each has ended: in review, or with the named reason why a person is called."""

    def ends() -> dict[int, str]:
        found = {}
        for task in tasks:
            rows: list[dict[str, Any]] = studio.sessions(task)
            last = rows[-1]
            if studio.status(task) == "review":
                found[task] = "review"
            elif last["state"] in ("failed", "interrupted") and not studio.worker_of(task):
                found[task] = last["reason"]
        return found if len(found) == len(tasks) else {}

    ended: dict[int, str] = until(ends, DRAIN_SECONDS, "the end of every task")
    assert "unknown" not in ended.values()
    assert "" not in ended.values()
    return ended
