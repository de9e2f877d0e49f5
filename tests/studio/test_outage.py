"""A database that cannot be used for a while: people hear so, workers wait, and all goes on by itself."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.urls import reverse

from sessions import ledger, watch
from sessions.models import Attempt
from studio import database
from studio.models import ApiToken
from tasks.models import Task
from tests.scripts import Script, assert_error

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite only"),
]


class Lock:
    """Another program that keeps the right to write."""

    def __init__(self) -> None:
        self.other: Any = sqlite3.connect(
            connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False
        )
        self.other.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        if self.other.in_transaction:
            self.other.execute("ROLLBACK")


@pytest.fixture
def lock(task: Task, alice: Any) -> Iterator[Any]:
    """Takes the lock when it is called; Studio waits for it a moment only."""
    connection.settings_dict["OPTIONS"]["timeout"] = 0.1
    connection.close()
    made: list[Lock] = []

    def take() -> Lock:
        made.append(Lock())
        return made[-1]

    yield take
    for each in made:
        each.end()
        each.other.close()
    connection.settings_dict["OPTIONS"]["timeout"] = 20
    connection.close()


def test_a_person_gets_a_page_that_says_so_and_nothing_is_changed(
    client: Any, task: Task, alice: Any, lock: Any
) -> None:
    client.raise_request_exception = False
    client.force_login(alice)
    address = reverse("tasks:execute", args=[task.pk])
    held = lock()
    page = client.post(address)
    assert (page.status_code, page["Retry-After"]) == (503, "2")
    assert "Try again in a moment" in page.content.decode()
    part = client.post(address, headers={"HX-Request": "true"})
    assert (part.status_code, part["HX-Retarget"]) == (503, "#toasts")
    assert "<html" not in part.content.decode()
    held.end()
    assert client.post(address).status_code == 302


def test_a_script_gets_503_in_the_usual_shape(task: Task, alice: Any, lock: Any) -> None:
    script = Script(alice)
    script.get("/api/tasks")  # notes that the token was used
    held = lock()
    assert_error(script.post(f"/api/tasks/{task.pk}/execute"), 503, "busy")
    held.end()
    assert script.post(f"/api/tasks/{task.pk}/execute").status_code == 202


def test_a_script_reads_while_the_use_of_its_token_cannot_be_noted(alice: Any, lock: Any) -> None:
    script = Script(alice)
    held = lock()
    connection.settings_dict["OPTIONS"]["timeout"] = 5
    connection.close()
    begun = time.monotonic()
    assert script.get("/api/tasks").status_code == 200
    assert time.monotonic() - begun < 2.5, "it waited for the lock"
    assert ApiToken.objects.get(user=alice).used_at is None
    held.end()
    assert script.get("/api/tasks").status_code == 200
    assert ApiToken.objects.get(user=alice).used_at is not None
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (5000,), "writes wait as before"


def test_an_outage_before_any_view_is_503_too(client: Any, alice: Any, lock: Any, settings: Any) -> None:
    """Whoever is signed in stands in the database as well: the middleware that asks is no view."""
    client.raise_request_exception = False
    client.force_login(alice)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_session RENAME TO away")
    try:
        assert client.get(reverse("tasks:home")).status_code == 503
        assert_error(client.get("/api/tasks"), 503, "busy")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO django_session")


def test_a_full_disk_is_told_as_such() -> None:
    refusal = database.refusal(OperationalError("database or disk is full"))
    assert (refusal.status, refusal.code) == (507, "disk_full")


def test_a_workers_write_waits_for_the_database(task: Task, alice: Any, lock: Any) -> None:
    task.execute(by=alice)
    claim = ledger.claim()
    assert claim is not None
    held = lock()
    threading.Timer(1, held.end).start()
    with claim.record():
        claim.attempt.record(base_oid="f" * 40)
    assert Attempt.objects.get(task=task).base_oid == "f" * 40


def test_a_write_is_given_up_after_a_while(task: Task, alice: Any, lock: Any, settings: Any) -> None:
    settings.STUDIO_DATABASE_SECONDS = 0.3
    task.execute(by=alice)
    claim = ledger.claim()
    assert claim is not None
    lock()
    with pytest.raises(OperationalError, match="locked"), claim.record():
        pytest.fail("nothing can be written")


def test_an_agent_goes_on_while_its_worker_cannot_beat(
    task: Task, alice: Any, lock: Any, settings: Any
) -> None:
    settings.STUDIO_BEAT_SECONDS = 0
    task.execute(by=alice)
    claim = ledger.claim()
    assert claim is not None
    before = Attempt.objects.get(task=task).beat
    held = lock()
    claim.tick()
    assert claim.beat()  # as while what it started is ended
    held.end()
    claim.tick()
    assert Attempt.objects.get(task=task).beat == before + 1


def test_an_owner_who_cannot_beat_is_not_taken_for_dead(
    task: Task, alice: Any, lock: Any, settings: Any
) -> None:
    settings.STUDIO_LEASE_SECONDS = 0.3
    task.execute(by=alice)
    assert ledger.claim() is not None
    eyes = watch.Watch()
    eyes.round()
    held = lock()
    for _ in range(4):  # 0.1 s each
        with pytest.raises(OperationalError):
            eyes.round()
    held.end()
    eyes.round()
    assert Attempt.objects.get(task=task).lease == "claimed"
