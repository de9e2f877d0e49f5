"""The crash points of a worker once more, with the clocks that people have: each takes as long as there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import test_crash_points as shortened
from tests.faults.conftest import running
from tests.faults.studio import BUILD, Studio

pytestmark = pytest.mark.timeout(900)

REAL = {
    "STUDIO_BEAT_SECONDS": "10",
    "STUDIO_LEASE_SECONDS": "45",
    "STUDIO_REAP_SECONDS": "5",
    "STUDIO_PROGRESS_SECONDS": "600",
}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    home = tmp_path_factory.mktemp("real") / "home"
    yield from running(Studio(home, STUDIO_FAULTS="1", **REAL))


@pytest.mark.parametrize("point", shortened.points(shortened.BUILDS, set()))
def test_with_real_clocks_the_worker_is_killed_in_a_build(
    studio: Studio, fresh_repository: Path, point: str
) -> None:
    task = studio.file(shortened.project(studio, fresh_repository), "Make a file", BUILD)
    studio.arm(point, nth=2 if point == "part-recorded" else 1)
    studio.execute(task)
    shortened.noticed(studio, task, studio.fired())
    shortened.right_result(studio, task)
