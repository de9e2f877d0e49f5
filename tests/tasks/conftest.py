"""Who works on tasks in these tests: alice, in her browser and by script."""

from typing import Any

import pytest
from django.test import Client

from tests.scripts import Script


@pytest.fixture
def member(client: Client, alice: Any) -> Client:
    """Her browser."""
    client.force_login(alice)
    return client


@pytest.fixture
def script(project: Any, alice: Any) -> Script:
    """A script of hers, who is a member."""
    return Script(alice)
