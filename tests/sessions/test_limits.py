"""A project's limit: no more of its tasks are at work at a time, whoever claims, and others take the free workers."""

from contextlib import ExitStack
from typing import Any

import pytest
from django.test import Client
from django_q.models import OrmQ

from sessions import ledger
from sessions.hold import held
from sessions.models import Attempt
from sessions.models.attempt import Lease
from studio.roles import Role
from tasks.models import Membership, Project, Task
from tests import factories
from tests.scripts import Script
from tests.sessions.test_ledger import in_threads

pytestmark = pytest.mark.django_db
THREADS = pytest.mark.django_db(transaction=True)


def queued(project: Project, count: int) -> list[Task]:
    tasks = [factories.make_task(project) for _ in range(count)]
    for task in tasks:
        task.execute()
    return tasks


@pytest.fixture
def limited(project: Project) -> Project:
    """Two at a time."""
    Project.objects.filter(pk=project.pk).update(most_sessions=2)
    return project


@pytest.fixture
def rings(settings: Any) -> Any:
    """How many wake-ups came since it was asked last."""

    def count() -> int:
        deleted, _ = OrmQ.objects.filter(key=settings.LONG_JOBS).delete()
        return int(deleted)

    return count


@THREADS
def test_eight_workers_at_once_never_have_more_than_the_limit(limited: Project) -> None:
    queued(limited, 6)
    for _ in range(3):
        claims = [each for each in in_threads(8, ledger.claim) if isinstance(each, ledger.Claim)]
        assert len(claims) == 2
        assert Attempt.objects.at_work().count() == 2
        for claim in claims:
            claim.finish_stop()


@THREADS
def test_workers_of_six_machines_that_want_six_attempts_at_once_get_two(limited: Project) -> None:
    """No two of them meet at the same attempt: what stops them is the project's row alone."""
    for number, task in enumerate(queued(limited, 6)):
        Attempt.objects.filter(task=task).update(runner=f"machine{number}")
    machines = iter([f"machine{number}" for number in range(6)])
    results = in_threads(6, lambda: ledger.claim(next(machines)))
    assert len([each for each in results if isinstance(each, ledger.Claim)]) == 2
    assert results.count(None) == 4


def test_the_limit_of_one_project_leaves_the_workers_to_another(limited: Project, repository: Any) -> None:
    queued(limited, 4)
    other = queued(factories.make_project(repository, key="OTHER"), 2)
    claims = [ledger.claim() for _ in range(5)]
    keys = sorted(claim.attempt.task.project.key for claim in claims if claim)
    assert keys == ["DEMO", "DEMO", "OTHER", "OTHER"]
    assert len(other) == 2


def test_what_is_held_for_a_merge_counts_for_no_limit_and_no_turn(limited: Project, repository: Any) -> None:
    busy = factories.make_project(repository, key="BUSY")
    factories.make_attempt(factories.make_task(busy), lease=Lease.CLAIMED, owner="0123")
    queued(busy, 1)
    [first] = queued(limited, 1)
    with ExitStack() as holds:
        for _ in range(2):
            attempt = factories.make_attempt(factories.make_task(limited, status="review"))
            holds.enter_context(held(attempt, "merge"))
        claim = ledger.claim()
    assert claim is not None
    assert claim.attempt.task_id == first.pk


def test_the_end_of_one_wakes_a_worker_for_the_next(limited: Project, rings: Any) -> None:
    queued(limited, 3)
    first, second = ledger.claim(), ledger.claim()
    assert first is not None
    assert second is not None
    assert rings() > 0
    first.finish_stop()
    assert rings() == 1
    assert ledger.claim() is not None
    ledger.take_back(Attempt.objects.get(pk=second.attempt.pk), gone=False)
    assert rings() == 1


def test_raising_the_limit_wakes_the_workers(limited: Project, alice: Any, rings: Any, settings: Any) -> None:
    Membership.objects.filter(user=alice).update(role=Role.MAINTAINER)
    script = Script(alice)
    rings()
    changed = script.send("patch", f"/api/projects/{limited.pk}", {"most_sessions": None})
    assert changed.json()["most_sessions"] is None
    assert rings() == settings.STUDIO_CONCURRENCY
    for wrong in (0, -1, 1001, "many"):
        assert (
            script.send("patch", f"/api/projects/{limited.pk}", {"most_sessions": wrong}).status_code == 422
        )


def test_the_settings_page_takes_a_limit_and_says_what_is_none(
    client: Client, limited: Project, admin: Any
) -> None:
    client.force_login(admin)
    page = f"/projects/{limited.key}/settings/"
    assert 'name="most_sessions" value="2"' in client.get(page).content.decode()
    fields = {"name": "Demo", "target_branch": "main", "max_fix_rounds": "3"}
    assert client.post(page, fields | {"most_sessions": "0"}).status_code == 422
    assert client.post(page, fields | {"most_sessions": ""}).status_code == 302
    limited.refresh_from_db()
    assert limited.most_sessions is None


def test_a_card_and_the_api_say_that_the_limit_is_reached(
    client: Client, limited: Project, alice: Any
) -> None:
    last = queued(limited, 3)[-1]
    assert ledger.claim()
    assert ledger.claim()
    client.force_login(alice)
    card = client.get(f"/tasks/{last.pk}/card/").content.decode()
    assert "Waits for its project" in card
    assert "2 of its tasks" in card
    progress = Script(alice).send("get", f"/api/tasks/{last.pk}/execution").json()["progress"]
    assert progress["level"] == "paused"
    assert "limit" in progress["reason"]
