"""OpenCode's event stream, read in a thread of its own. It is a hint: whoever follows it asks `GET` for the truth."""

import json
import queue
import threading
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import SSEError, connect_sse

from sessions.opencode.client import USER, OpenCodeError

READ_SECONDS = 30  # OpenCode sends a heartbeat every 10 s
LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class Event:
    """One event: `type` as OpenCode names it (`message.part.updated`, …) and its `properties`."""

    type: str
    properties: dict[str, Any]


@dataclass(frozen=True)
class Reconnected:
    """The stream had a gap: events between the last one and this are lost."""


class EventStream:
    """`GET /event?directory=`, reconnected until closed; what arrives is in `queue`."""

    def __init__(self, base_url: str, password: str, directory: str) -> None:
        self.queue: queue.Queue[Event | Reconnected] = queue.Queue()
        self._url = base_url.rstrip("/")
        self._auth = httpx.BasicAuth(USER, password)
        self._directory = directory
        self._connected = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read_until_closed, name="opencode-events", daemon=True)

    def open(self, timeout: float = 30) -> None:
        """Start reading, and return when OpenCode confirmed the subscription. Kind timeout when it did not within `timeout` seconds."""
        self._thread.start()
        if not self._connected.wait(timeout):
            self.close()
            raise OpenCodeError("timeout", "GET /event: no connection in time")

    def clear(self) -> None:
        """Forget what has come so far: before a further prompt, so that the last one's errors are not taken for its."""
        while not self.queue.empty():
            self.queue.get_nowait()

    def close(self) -> None:
        """Read no more. The thread ends at the next heartbeat, or when the server goes away."""
        self._closed.set()

    def _read_until_closed(self) -> None:
        pause = 0.1
        while not self._closed.wait(pause if self._connected.is_set() else 0.1):
            try:
                self._read()
                pause = 0.1
            except (httpx.HTTPError, SSEError, ValueError):
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _read(self) -> None:
        """Read one connection to its end (OpenCode closes it when the instance is disposed)."""
        timeout = httpx.Timeout(10, read=READ_SECONDS)
        with (
            httpx.Client(base_url=self._url, auth=self._auth, timeout=timeout, trust_env=False) as http,
            connect_sse(http, "GET", "/event", params={"directory": self._directory}) as source,
        ):
            for frame in source.iter_sse():
                if self._closed.is_set():
                    return
                self._take(json.loads(frame.data))

    def _take(self, frame: Any) -> None:
        kind, properties = (
            (frame.get("type"), frame.get("properties") or {}) if isinstance(frame, dict) else ("", {})
        )
        if not isinstance(kind, str) or not isinstance(properties, dict):
            raise ValueError("This is no event of OpenCode's.")
        if kind == "server.connected":
            if self._connected.is_set():
                self.queue.put(Reconnected())
            self._connected.set()
        elif kind != "server.heartbeat":
            self.queue.put(Event(kind, properties))
