"""A phase that may only read: what it changed in the workspace all the same is put back in every ending."""

from pathlib import Path
from typing import Any

import pytest

from sessions import ledger, run
from sessions.halts import Paused, Stopped
from sessions.models import Attempt
from sessions.phases.bench import Bench
from sessions.phases.reading import put_back, unchanged
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


class WorkerDied(BaseException):
    """Nothing that stands below this point is done."""


@pytest.fixture
def bench(repository: Path) -> Bench:
    """The bench of a task whose agent is about to read."""
    factories.make_task(factories.make_project(repository)).execute()
    return claimed()


def claimed() -> Bench:
    claim = ledger.claim()
    assert claim is not None
    assert claim.next_session() is not None
    return Bench(claim)


def meddle(bench: Bench, ending: BaseException) -> None:
    """The phase changes a file, deletes one and makes one, and ends so."""

    def phase() -> None:
        with unchanged(bench):
            files = bench.workspace.path
            (files / "README.md").write_text("meddled\n")
            (files / "sample.py").unlink()
            (files / "new.txt").write_text("new\n")
            raise ending

    with pytest.raises(type(ending)):
        phase()


def assert_untouched(bench: Bench, repository: Path) -> None:
    files = bench.workspace.path
    assert sorted(each.name for each in files.iterdir()) == [".git", "README.md", "sample.py"]
    assert (files / "README.md").read_bytes() == (repository / "README.md").read_bytes()
    assert Attempt.objects.get(pk=bench.attempt.pk).read_only_tree == ""


@pytest.mark.parametrize("ending", [Paused(), Stopped()], ids=lambda each: type(each).__name__)
def test_what_a_reader_changed_is_put_back_when_it_is_interrupted(
    bench: Bench, repository: Path, ending: Any
) -> None:
    meddle(bench, ending)
    assert run.close(bench)
    assert_untouched(bench, repository)


def test_what_a_reader_changed_is_put_back_by_who_goes_on_after_its_worker_died(
    bench: Bench, repository: Path
) -> None:
    meddle(bench, WorkerDied())
    ledger.take_back(bench.attempt, gone=True, detail="killed")
    following = claimed()
    assert (following.workspace.path / "new.txt").exists()
    assert put_back(following, following.claim.tick)
    assert_untouched(following, repository)
    assert not put_back(following, following.claim.tick), "it is done once"


def test_a_workspace_that_was_made_anew_has_nothing_to_put_back(bench: Bench, repository: Path) -> None:
    meddle(bench, WorkerDied())
    bench.workspace.path.rename(repository.parent / "gone")
    ledger.take_back(bench.attempt, gone=True, detail="killed")
    following = claimed()
    assert not put_back(following, following.claim.tick)
    assert_untouched(following, repository)
