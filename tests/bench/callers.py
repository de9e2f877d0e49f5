"""Many callers at once, each with a connection of its own that it keeps."""

import http.client
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.running import Studio


@dataclass(frozen=True)
class Answer:
    """One call: what was called, the HTTP status, how long it took in milliseconds, and the body."""

    name: str
    status: int
    milliseconds: float
    body: bytes


class Caller:
    """Calls, and keeps what was answered. Not httpx: of the measured time as little as possible shall be the client's own."""

    def __init__(self, studio: Studio) -> None:
        self.answers: list[Answer] = []
        self._every = self._due = 0.0
        self._connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {studio.token}"}

    def pace(self, seconds: float, *, first: float) -> None:
        """From now on begin a call every `seconds`, the first one in `first` seconds."""
        self._every, self._due = seconds, time.monotonic() + first

    def call(self, name: str, method: str, path: str) -> Answer:
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due += self._every
        started = time.perf_counter()
        self._connection.request(method, path, headers=self._headers)
        reply = self._connection.getresponse()
        body = reply.read()
        answer = Answer(name, reply.status, (time.perf_counter() - started) * 1000, body)
        self.answers.append(answer)
        return answer

    def close(self) -> None:
        self._connection.close()


def together(studio: Studio, work: Callable[[Caller, Any], None], shares: list[Any]) -> list[Answer]:
    """One caller for each share, all let loose at the same moment; all that was answered."""
    barrier = threading.Barrier(len(shares))

    def run(share: Any) -> list[Answer]:
        caller = Caller(studio)
        try:
            barrier.wait(60)
            work(caller, share)
            return caller.answers
        finally:
            caller.close()

    with ThreadPoolExecutor(len(shares)) as pool:
        return [answer for answers in pool.map(run, shares) for answer in answers]
