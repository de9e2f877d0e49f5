"""The cast: alice may work, bob may look, charlie sees nothing, admin may do everything."""

from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.running import fresh_repository, postgresql_url, studio

__all__ = ["fresh_repository", "postgresql_url", "studio"]

collect_ignore = ["faults"]  # they have a command of their own, `make faults`


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts a whole Studio comes first: those that run side by side then end together."""
    items.sort(key=lambda item: "studio" not in getattr(item, "fixturenames", ()))


@pytest.fixture
def alice(db: None) -> Any:
    """A member of the projects that are made after her."""
    return factories.make_user("alice")


@pytest.fixture
def bob(db: None) -> Any:
    """A viewer of the projects that are made after him."""
    return factories.make_user("bob")


@pytest.fixture
def charlie(db: None) -> Any:
    """In no project."""
    return factories.make_user("charlie")


@pytest.fixture
def admin(db: None) -> Any:
    """A superuser."""
    return factories.make_user("admin", is_staff=True, is_superuser=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit."""
    return factories.make_repository(tmp_path / "sample")


@pytest.fixture
def project(alice: Any, bob: Any, charlie: Any, repository: Path) -> Any:
    """A project of that repository, which alice and bob are in."""
    return factories.make_project(repository, key="DEMO")


@pytest.fixture
def task(project: Any) -> Any:
    """A task to do."""
    return factories.make_task(project)
