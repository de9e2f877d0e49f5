"""Whether an OpenCode server still answers. A server that hangs accepts connections and says nothing, so it is asked all the time."""

import threading
import time
from collections.abc import Callable

from sessions.opencode.client import Client, OpenCodeError

ASK_SECONDS = 3.0  # between two questions
ANSWER_SECONDS = 3.0  # within which a healthy server answers
DOUBT_SECONDS = 12.0  # for the second question: the machine may be short of CPU
SILENT_SECONDS = 20.0  # without an answer it is given up,
BUSY_SECONDS = 120.0  # or after this while it works: on a machine that is short of CPU it is late, not dead
WORKING_SECONDS = 0.1  # of CPU since it was first late: it works


class ServerGone(Exception):
    """OpenCode is given up: its process has ended, or it has not answered for too long."""


class Pulse:
    """Asks one server in a thread of its own, until `stop`. `check` may be called from any thread.

    `spent` says how many seconds of CPU the server has used.
    """

    def __init__(self, client: Client, spent: Callable[[], float]) -> None:
        self._client = client
        self._spent = spent
        self._spent_before = 0.0
        self._is_late = False  # it did not answer in time; else it answered nonsense, or nobody was there
        self._answered_at = time.monotonic()
        self._failures = 0
        self._trouble = ""
        self._stopped = threading.Event()
        threading.Thread(target=self._ask_until_stopped, name="opencode-pulse", daemon=True).start()

    def check(self) -> None:
        """Raises ServerGone when two questions in a row have failed, and the last answer is too long ago."""
        silent = time.monotonic() - self._answered_at
        if self._failures < 2 or silent <= SILENT_SECONDS:
            return
        works = self._is_late and self._spent() - self._spent_before >= WORKING_SECONDS
        if silent > BUSY_SECONDS or not works:
            raise ServerGone(f"OpenCode has given no answer for {silent:.0f} s ({self._trouble}).")

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()

    def _ask_until_stopped(self) -> None:
        while not self._stopped.wait(ASK_SECONDS):
            try:
                self._client.health(DOUBT_SECONDS if self._failures else ANSWER_SECONDS)
            except OpenCodeError as error:
                self._is_late, self._trouble = error.kind == "timeout", str(error)
                if not self._failures:
                    self._spent_before = self._spent()
                self._failures += 1
            else:
                self._failures, self._answered_at = 0, time.monotonic()
        self._client.close()
