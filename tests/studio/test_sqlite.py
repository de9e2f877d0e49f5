"""The SQLite backend: writers of one process take turns in order."""

import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.utils import OperationalError

from studio.sqlite.base import Queue
from tasks.models import Project
from tests import factories

pytestmark = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite only")


def test_the_queue_hands_the_turn_on_in_the_order_of_arrival() -> None:
    queue, order = Queue(), []
    assert queue.enter(1)

    def wait(number: int) -> None:
        assert queue.enter(10)
        order.append(number)
        queue.leave()

    threads = []
    for number in range(10):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        while len(queue._waiting) <= number:
            time.sleep(0.001)
    queue.leave()
    for thread in threads:
        thread.join(10)
    assert order == list(range(10))


def test_nobody_else_may_read_the_database(tmp_path: Path) -> None:
    file = tmp_path / "studio.sqlite3"
    for is_new in (True, False):
        wrapper = connection.copy()
        wrapper.settings_dict = {**wrapper.settings_dict, "NAME": str(file)}
        opened = wrapper.get_new_connection(wrapper.get_connection_params())
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute(f"CREATE TABLE t{int(is_new)} (x)")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        assert set(modes.values()) == {0o600}, modes
        assert f"{file.name}-wal" in modes
        opened.close()
        file.chmod(0o644)  # as one that an earlier Studio made


def test_a_turn_that_does_not_come_in_time_is_given_up_and_lost_to_nobody() -> None:
    queue = Queue()
    assert queue.enter(1)
    assert not queue.enter(0.01)
    queue.leave()
    assert queue.enter(0.01)


@pytest.mark.django_db(transaction=True)
def test_twenty_threads_that_read_and_then_write_lose_nothing(project: Project) -> None:
    def file() -> None:
        try:
            for _ in range(5):
                factories.make_task(project)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=file) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(project.tasks.values_list("number", flat=True)) == list(range(1, 101))


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_fails_or_is_rolled_back_hands_the_turn_on(project: Project) -> None:
    def fail() -> None:
        with transaction.atomic():
            factories.make_task(project)
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            fail()
    factories.make_task(project)
    assert project.tasks.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_lock_that_another_program_keeps_ends_in_an_error_and_then_in_success(project: Project) -> None:
    connection.settings_dict["OPTIONS"]["timeout"] = 0.3
    other: Any = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"):
            factories.make_task(project)
        other.execute("ROLLBACK")
        factories.make_task(project)
    finally:
        connection.settings_dict["OPTIONS"]["timeout"] = 20
        other.close()
    assert project.tasks.count() == 1
