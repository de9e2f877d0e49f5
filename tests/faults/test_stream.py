"""OpenCode's event stream is cut, silenced, doubled, shuffled and spoiled on its way: what is recorded is what OpenCode itself has."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from sessions.opencode.stream import EventStream
from tests.sessions.opencode_run import Agent, Run, assert_equals_opencodes_own_list

LATE_SECONDS = 15
STEPS = [
    {
        "text": "word " * 80,
        "chunk_delay": 0.01,
        "tool": "write",
        "args": {"filePath": "{cwd}/a", "content": "a"},
    },
    {"tool": "bash", "args": {"command": "seq 1 200; sleep 2", "description": "Counts"}},
    {
        "task": {
            "prompt": "Look.",
            "steps": [{"tool": "read", "args": {"filePath": "{cwd}/a"}}, {"text": "Read."}],
        }
    },
    {"reasoning": "Hm.", "text": "All done. " * 20, "chunk_delay": 0.01},
]
Frames = Iterator[bytes]
HUGE = b'{"type":"message.part.updated","properties":{"part":{"id":"prt_x","sessionID":"ses_other","text":"%s"}}}'


class Proxy(ThreadingHTTPServer):
    """Stands before OpenCode's `GET /event`. `fault` is given the frames of a connection, and which connection it is, from 0."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.upstream = upstream
        self.fault: Callable[[Frames, int], Frames] = lambda frames, number: frames
        self.connections = itertools.count()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever reads has gone away."""


class Passing(BaseHTTPRequestHandler):
    server: Proxy

    def log_message(self, format: str, *args: Any) -> None:
        """No log."""

    def do_GET(self) -> None:
        number = next(self.server.connections)
        headers = {"Authorization": self.headers["Authorization"]}
        url = self.server.upstream + self.path
        with httpx.stream("GET", url, headers=headers, timeout=60, trust_env=False) as answer:
            self.send_response(answer.status_code)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for piece in self.server.fault(frames_of(answer), number):
                self.wfile.write(piece)
                self.wfile.flush()


def frames_of(answer: httpx.Response) -> Frames:
    """The events one by one, each with its empty line."""
    rest = b""
    for piece in answer.iter_raw():
        *whole, rest = (rest + piece).split(b"\n\n")
        yield from (frame + b"\n\n" for frame in whole)


# --- the faults ------------------------------------------------------------------------------------------------------


def cut_at(offset: int, *, always: bool = False) -> Callable[[Frames, int], Frames]:
    """The connection ends in the middle of that byte; the first one only, or each."""

    def fault(frames: Frames, number: int) -> Frames:
        sent = 0
        for frame in frames:
            room = offset - sent
            if (number == 0 or always) and len(frame) > room:
                yield frame[:room]
                return
            sent += len(frame)
            yield frame

    return fault


def silent_after(count: int, passes: tuple[bytes, ...] = ()) -> Callable[[Frames, int], Frames]:
    """After so many events nothing comes but the kinds in `passes`; the connection stays."""

    def fault(frames: Frames, number: int) -> Frames:
        for place, frame in enumerate(frames):
            if place < count or any(kind in frame for kind in passes):
                yield frame

    return fault


def doubled(frames: Frames, number: int) -> Frames:
    for frame in frames:
        yield frame
        yield frame if b"server.connected" not in frame else b""


def shuffled(frames: Frames, number: int) -> Frames:
    """Each three events in the reverse order."""
    yield next(frames)
    while three := list(itertools.islice(frames, 3)):
        yield from reversed(three)


def without(*kinds: bytes) -> Callable[[Frames, int], Frames]:
    return lambda frames, number: (frame for frame in frames if not any(kind in frame for kind in kinds))


def with_junk(junk: bytes) -> Callable[[Frames, int], Frames]:
    """The same event that nobody can use, after each tenth."""

    def fault(frames: Frames, number: int) -> Frames:
        for place, frame in enumerate(frames):
            yield frame
            if place % 10 == 5:
                yield b"data: " + junk + b"\n\n"

    return fault


OFFSETS = [120, 500, 1_500, 4_000, 9_000, 16_000, 25_000, 40_000, 60_000, 90_000]
FAULTS: dict[str, Callable[[Frames, int], Frames]] = {
    **{f"cut at byte {offset}": cut_at(offset) for offset in OFFSETS},
    "cut at byte 6000 each time": cut_at(6_000, always=True),
    "silent": silent_after(12),
    "heartbeats only": silent_after(1, (b"server.heartbeat",)),
    "doubled": doubled,
    "reordered": shuffled,
    "without idle": without(b'"session.idle"', b'"session.status"'),
    "without any end of a part": without(b'"message.part.updated"'),
    "an event of 3 MB": with_junk(HUGE % (b"x" * 3_000_000)),
    "invalid UTF-8": with_junk(b'{"type":"message.part.delta","properties":{"delta":"\xff\xfe"}}'),
    "no JSON": with_junk(b"{this is no JSON"),
    "JSON that is no event": with_junk(b'[1, {"type": 5}]'),
    "an event without its parts": with_junk(b'{"type":"message.part.updated","properties":{}}'),
}
SAMPLE: set[str] = set()


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    made = Agent(tmp_path_factory.mktemp("opencode"))
    made.stream.close()
    yield made
    made.close()


@pytest.fixture
def proxy(agent: Agent) -> Iterator[Proxy]:
    made = Proxy(agent.server.base_url)
    yield made
    made.shutdown()
    made.server_close()


def through(agent: Agent, proxy: Proxy) -> Run:
    """A prompt whose events come by the proxy."""
    agent.stream = EventStream(
        f"http://127.0.0.1:{proxy.server_address[1]}", agent.server.password, str(agent.workspace)
    )
    agent.stream.open()
    try:
        return agent.run("Work.", implementation=STEPS)
    finally:
        agent.stream.close()


def seconds_late(agent: Agent, run: Run) -> float:
    """How long after OpenCode's own end the run was seen to have ended."""
    ends = [
        message["info"]["time"]["completed"]
        for message in agent.client.messages(run.session_id)
        if message["info"]["role"] == "assistant"
    ]
    return time.time() - max(ends) / 1000


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.fault("R15", sample=name in SAMPLE)) for name in FAULTS],
)
def test_what_is_recorded_is_what_opencode_has_with_a_stream(agent: Agent, proxy: Proxy, name: str) -> None:
    proxy.fault = FAULTS[name]
    run = through(agent, proxy)
    assert seconds_late(agent, run) <= LATE_SECONDS
    assert run.outcome.is_completed, run.outcome
    assert run.tools() == ["write", "bash", "task", "read"]
    assert_equals_opencodes_own_list(agent, run)
