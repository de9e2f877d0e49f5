"""The frame of the fault tests: which run in which lane, the Studio that they break, the invariants after each, the report."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import invariants, report
from tests.faults.studio import Studio

TEST_SECONDS = 900  # against hangs only: each wait has its own deadline
LANE = os.environ.get(
    "FAULTS_LANE", ""
)  # sample or full by `make faults`; else whatever pytest was asked for


# --- the Studio ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A Studio for the tests of a module, started again where one left it dead. A module overrides it for other settings."""
    yield from running(Studio(tmp_path_factory.mktemp("faults") / "home"))


@pytest.fixture
def make_studio(tmp_path: Path) -> Iterator[Callable[..., Studio]]:
    """Starts a Studio of the test's own, with settings as keywords; it is checked and stopped at the end."""
    made: list[Iterator[Studio]] = []

    def make(name: str = "own", **environment: str) -> Studio:
        started = running(Studio(tmp_path / name, **environment))
        made.append(started)
        return next(started)

    yield make
    for started in made:
        next(started, None)


def running(studio: Studio) -> Iterator[Studio]:
    """Start it; afterwards check it, stop it, and see that nothing is left of it."""
    try:
        studio.start()
        yield studio
        invariants.check(studio)
    finally:
        if studio.is_up:
            studio.stop()
    assert not studio.processes()


@pytest.fixture
def people(tmp_path: Path, settings: Any) -> Path:
    """The folder of all that belongs to people, beside an empty data folder of Studio's."""
    settings.STUDIO_HOME = tmp_path / "studio"
    settings.STUDIO_HOME.mkdir()
    (tmp_path / "people").mkdir()
    return tmp_path / "people"


@pytest.fixture(autouse=True)
def invariants_hold(request: pytest.FixtureRequest) -> Iterator[None]:
    """The Studio runs before each test, and the invariants hold after it."""
    if "studio" not in request.fixturenames:
        yield
        return
    studio: Studio = request.getfixturevalue("studio")
    if not studio.is_up:
        studio.start()
    earlier = set(studio.seen)
    yield
    invariants.check(studio)
    ends = {reason for pk, (_, reason, _) in studio.seen.items() if pk not in earlier and reason}
    request.node.user_properties.append((report.REASONS, sorted(ends)))


# --- the lanes -----------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    if LANE:
        config.pluginmanager.register(report.Report(LANE), "faults-report")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The sample in the order of the files; all of them module by module, in an order that the seed makes."""
    for item in items:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))
    if LANE == "sample":
        kept = [item for item in items if _mark(item).kwargs.get("sample")]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
    elif LANE == "full":
        items[:] = _shuffled(items, random.Random(seed()))


def _mark(item: pytest.Item) -> Any:
    return item.get_closest_marker("fault") or pytest.fail(f"{item.nodeid} has no number: @pytest.mark.fault")


def _shuffled(items: list[pytest.Item], chance: random.Random) -> list[pytest.Item]:
    modules: dict[Any, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.getparent(pytest.Module), []).append(item)
    order = list(modules.values())
    chance.shuffle(order)
    for members in order:
        chance.shuffle(members)
    return [item for members in order for item in members]


def seed() -> int:
    """Of the order, and of every chance that a test takes."""
    return int(os.environ.get("FAULTS_SEED") or 1)


def pytest_report_header() -> str:
    return f"faults: lane {LANE or 'by hand'}, seed {seed()} (make faults FULL=1 SEED={seed()})"
