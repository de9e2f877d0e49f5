"""The model that agents talk to in these tests, a queued task, and sandboxes."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessions.workspaces.sandbox import Sandbox, availability
from studio.demo_model.server import DemoModel
from tasks.models import Task
from tests.sessions.boxes import a_sandbox, isolated


@pytest.fixture
def model(settings: Any) -> Iterator[DemoModel]:
    """The demo model, served by this process at once and not at a reader's pace."""
    served = DemoModel(0, pace=0)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    settings.STUDIO_DEMO_MODEL_PORT = served.server_address[1]
    yield served
    served.shutdown()
    served.server_close()


@pytest.fixture
def started(task: Task, alice: Any) -> Task:
    """A task whose planning is queued."""
    task.execute(by=alice)
    return task


@pytest.fixture
def studio_home(tmp_path: Path, settings) -> Path:
    settings.STUDIO_HOME = tmp_path / "studio"
    for name in ("work/DEMO-1-1", "work/DEMO-2-1", "home"):
        (settings.STUDIO_HOME / name).mkdir(parents=True)
    (settings.STUDIO_HOME / "secret_key").write_text("the key")
    (settings.STUDIO_HOME / "work/DEMO-2-1/other.txt").write_text("another attempt's")
    return settings.STUDIO_HOME


@pytest.fixture(
    params=[pytest.param(True, id="isolated", marks=isolated), pytest.param(False, id="not-isolated")]
)
def sandbox(request, studio_home: Path) -> Iterator[Sandbox]:
    yield from a_sandbox(studio_home, request.param)


@pytest.fixture
def box(studio_home: Path) -> Iterator[Sandbox]:
    if not availability().usable:
        pytest.skip(availability().sentence)
    yield from a_sandbox(studio_home, True)
