"""Django's SQLite backend with fair turns for writers.

SQLite lets waiting writers sleep for up to 100 ms and takes whoever wakes first: under load some wait for seconds while
others pass. Here the threads of a process stand in a queue, and the one in front asks for the lock every few milliseconds.
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


queues: dict[str, Queue] = {}
os.register_at_fork(after_in_child=queues.clear)  # a turn that another thread held stays with the parent


def keep_private(file: str) -> None:
    """SQLite gives the files beside it, `-wal` and `-shm`, the mode of the database."""
    if not file.startswith((":", "file:")):
        with contextlib.suppress(OSError):  # opening it says what is wrong
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            os.chmod(file, 0o600)


class DatabaseWrapper(base.DatabaseWrapper):
    """Only transactions queue: they are begun as IMMEDIATE, so that each one writes."""

    _queue: Queue | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Open the file, which only its owner may read: agents of another Studio on this machine run as the same person, or another."""
        keep_private(str(self.settings_dict["NAME"]))
        return super().get_new_connection(conn_params)

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
            super()._close()  # type: ignore[misc]
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._queue is not None:
            self._queue.leave()
            self._queue = None
