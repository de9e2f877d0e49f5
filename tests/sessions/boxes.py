"""Sandboxes for tests, and a shell in them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.workspaces.sandbox import Completed, Sandbox, availability, sweep

isolated = pytest.mark.skipif(not availability().usable, reason=availability().sentence)


def a_sandbox(home: Path, enabled: bool) -> Iterator[Sandbox]:
    marker = f"test-{os.getpid()}-{time.monotonic_ns()}"
    made = Sandbox(workspace=home / "work/DEMO-1-1", home=home / "home", marker=marker, enabled=enabled)
    yield made
    assert sweep(marker) == []


def sh(sandbox: Sandbox, script: str, **options) -> Completed:
    return sandbox.run(["sh", "-c", script], **{"timeout": 20, **options})


def wait_for(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
