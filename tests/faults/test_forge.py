"""A process dies while it asks a forge: there is one pull request all the same, and Studio knows it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import git
from tests.faults.conftest import running
from tests.faults.studio import BUILD, PLAIN, Studio
from tests.running import until
from tests.sessions.forge import Forge

NOTICED_SECONDS = 60
TOKEN = "tok-9f86d081884c7d659a2f"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    yield from running(Studio(tmp_path_factory.mktemp("faults") / "home", STUDIO_FAULTS="1"))


@pytest.mark.fault("R01")
def test_the_job_is_killed_once_the_forge_has_opened_the_pull_request(
    studio: Studio, fresh_repository: Path, tmp_path: Path
) -> None:
    forge = Forge("github", tmp_path / "forge", TOKEN)
    git(fresh_repository, "remote", "add", "origin", forge.url)
    git(fresh_repository, "push", "-q", "origin", "HEAD:refs/heads/main")
    made = studio.make_project(fresh_repository, "FORGE", **PLAIN)
    given = studio.api("PUT", f"/projects/{made}/remote", {"forge": "github", "token": TOKEN})
    assert given.status_code == 200, given.text
    task = studio.file(made, "Make a file", BUILD)
    studio.execute(task)
    studio.wait_for(task, "review")
    studio.arm("pull-request-opened")
    studio.post(f"/tasks/{task}/push")
    studio.fired()
    known = "SELECT number FROM agent_sessions_pullrequest WHERE number IS NOT NULL AND work = 'idle'"
    until(lambda: studio.rows(known), NOTICED_SECONDS, "the pull request's row")
    assert studio.get(f"/tasks/{task}/pull-request")["state"] == "open"
    assert len(forge.pulls) == 1
    forge.shutdown()
    forge.server_close()
