"""The model that agents talk to in these tests."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from studio.demo_model.server import DemoModel


@pytest.fixture
def model(settings: Any) -> Iterator[DemoModel]:
    """The demo model, served by this process at once and not at a reader's pace."""
    served = DemoModel(0, pace=0)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    settings.STUDIO_DEMO_MODEL_PORT = served.server_address[1]
    yield served
    served.shutdown()
    served.server_close()
