"""PostgreSQL hands out ids before commit: what commits late must still be read, and what never comes must not block."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from studio.live.tail import EventTail
from tests.studio.live_site import wait_for

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def tail(task: Any) -> EventTail:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer")
    tail = EventTail()
    wait_for(tail.start)
    return tail


@contextmanager
def open_transaction(task: Any, *, commit: bool) -> Iterator[None]:
    """Another connection that has written an event, and ends its transaction when the block ends."""
    written, leave = threading.Event(), threading.Event()

    def write() -> None:
        try:
            with transaction.atomic():
                task.note("task.late")
                written.set()
                leave.wait(20)
                transaction.set_rollback(not commit)
        finally:
            connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    assert written.wait(20)
    try:
        yield
    finally:
        leave.set()
        thread.join()


def read(tail: EventTail, count: int) -> list[str]:
    names: list[str] = []
    wait_for(lambda: names.extend(event.name for event in tail.read()) or len(names) >= count)
    return names


def test_an_event_that_commits_late_is_read_in_its_order(tail: EventTail, task: Any) -> None:
    with open_transaction(task, commit=True):
        task.note("task.early")
        for _ in range(5):
            assert list(tail.read()) == []
    assert read(tail, 2) == ["task.late", "task.early"]


def test_an_event_that_was_rolled_back_holds_up_nothing_for_long(tail: EventTail, task: Any) -> None:
    with open_transaction(task, commit=False):
        task.note("task.early")
        assert list(tail.read()) == []
    assert read(tail, 1) == ["task.early"]


def test_the_start_waits_for_what_was_open_before_it(tail: EventTail, task: Any) -> None:
    later = EventTail()
    with open_transaction(task, commit=True):
        task.note("task.early")
        for _ in range(5):
            assert not later.start()
    wait_for(later.start)
    assert list(later.read()) == []
