"""Django's SQLite backend with fair turns for writers, and connections that are used again.

SQLite lets waiting writers sleep for up to 100 ms and takes whoever wakes first: under load some wait for seconds while
others pass. Here the threads of a process stand in a queue, and the one in front asks for the lock every few milliseconds.

A request has a thread of its own, and with it a connection of its own: to open one costs more than most queries do, since
Django registers its functions on it. So a connection that is closed in good order waits for the next thread.
"""

import contextlib
import os
import threading
import time
from collections import deque
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

ASK_SECONDS = 0.002
MOST_IDLE = 32


class Queue:
    """A lock that is given in the order in which it was asked for."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    def enter(self, timeout: float) -> bool:
        """Wait for one's turn; False where it does not come within `timeout` seconds."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        if turn.wait(timeout):
            return True
        with self._guard:
            if turn.is_set():  # it came in this very moment
                return True
            self._waiting.remove(turn)
        return False

    def leave(self) -> None:
        """Hand the turn on."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False


class Idle:
    """Open connections that no thread uses, by the file that they are open on."""

    def __init__(self) -> None:
        self._free: deque[tuple[object, Any]] = deque()
        self._left_behind: list[Any] = []

    def take(self, file: object) -> Any | None:
        """A connection to that file, or None."""
        with contextlib.suppress(IndexError):
            while self._free:
                opened_on, connection = self._free.pop()
                if opened_on == file:
                    return connection
                connection.close()  # the file was replaced
        return None

    def keep(self, file: object, connection: Any) -> bool:
        """Whether there was room for it."""
        if len(self._free) >= MOST_IDLE:
            return False
        self._free.append((file, connection))
        return True

    def leave_behind(self) -> None:
        """In a new process: SQLite forbids even to close what another process opened."""
        self._left_behind.extend(self._free)
        self._free.clear()


def _identity(name: object) -> tuple[int, int] | None:
    """Of the database's file; None where there is none yet, as for a database in memory."""
    try:
        found = os.stat(str(name))
    except OSError:
        return None
    return found.st_dev, found.st_ino


idle = Idle()
queues: dict[str, Queue] = {}
os.register_at_fork(after_in_child=queues.clear)  # a turn that another thread held stays with the parent
os.register_at_fork(after_in_child=idle.leave_behind)


class DatabaseWrapper(base.DatabaseWrapper):
    """Only transactions queue: they are begun as IMMEDIATE, so that each one writes. What is closed in good order waits in `idle`."""

    _queue: Queue | None = None
    _file: tuple[int, int] | None = None  # what the connection is open on; a restored backup is another file

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """One that waits, or a new one."""
        self._file = _identity(self.settings_dict["NAME"])
        waiting = idle.take(self._file) if self._file else None
        return waiting or super().get_new_connection(conn_params)

    def _start_transaction_under_autocommit(self) -> None:
        timeout = float(self.settings_dict["OPTIONS"].get("timeout", 5))
        deadline = time.monotonic() + timeout
        queue = queues.setdefault(str(self.settings_dict["NAME"]), Queue())
        if not queue.enter(timeout):
            raise OperationalError("database is locked: other threads of this process kept it")
        try:
            self._begin(deadline, timeout)
        except BaseException:
            queue.leave()
            raise
        self._queue = queue

    def _begin(self, deadline: float, timeout: float) -> None:
        with self.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 0")
            try:
                while not self._has_begun(cursor, deadline):
                    time.sleep(ASK_SECONDS)
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")

    def _has_begun(self, cursor: Any, deadline: float) -> bool:
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            return False
        return True

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self._leave()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._leave()

    def _close(self) -> None:
        try:
            usable = self._file and not self.errors_occurred and not self.connection.in_transaction
            if not usable or not idle.keep(self._file, self.connection):
                super()._close()  # type: ignore[misc]
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._queue is not None:
            self._queue.leave()
            self._queue = None
