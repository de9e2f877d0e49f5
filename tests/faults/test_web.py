"""Web processes are killed: the socket that they share stays, the others answer, and pages hear what happens in any of them."""

import http.client
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.faults import conftest
from tests.faults.studio import Studio, kill
from tests.running import until
from tests.studio.live_site import Socket

WEB = ("web", "web_2")
CALLERS = 8
CROWD = 20


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A Studio with two web processes, whatever this machine has."""
    folder = tmp_path_factory.mktemp("web")
    yield from conftest.running(Studio(folder / "home", STUDIO_WEB_PROCESSES=str(len(WEB))))


def server_of(studio: Studio, port: int) -> str:
    """The web process that accepted the connection from this port; empty while none did."""
    ends = (f"0100007F:{studio.port:04X}", f"0100007F:{port:04X}")
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    links = {f"socket:[{row[9]}]" for row in rows if (row[1], row[2]) == ends}
    for name in WEB:
        with suppress(OSError):
            for descriptor in Path(f"/proc/{studio.child(name)}/fd").iterdir():
                with suppress(OSError):
                    if os.readlink(descriptor) in links:
                        return name
    return ""


def connections(studio: Studio, number: int) -> list[http.client.HTTPConnection]:
    """So many that were opened at the same moment, and stay."""
    opened = [http.client.HTTPConnection("127.0.0.1", studio.port, timeout=30) for _ in range(number)]
    together = threading.Barrier(number)

    def call(connection: http.client.HTTPConnection) -> None:
        together.wait()
        connection.request("GET", "/healthz")
        connection.getresponse().read()

    threads = [threading.Thread(target=call, args=(each,)) for each in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return opened


def both_serve(studio: Studio) -> None:
    """Wait until each of the two has accepted something."""

    def served() -> bool:
        opened = connections(studio, CALLERS)
        found = {server_of(studio, each.sock.getsockname()[1]) for each in opened}
        for each in opened:
            each.close()
        return found == set(WEB)

    until(served, 60, "an answer from each web process")


class Callers:
    """Call again and again, each time on a new connection, while a block runs. What is lost and what is refused is kept apart."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.heard: Counter[str] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        while not self._stop.is_set():
            try:
                self.heard[str(httpx.get(f"{self.studio.url}/healthz", timeout=30).status_code)] += 1
            except httpx.HTTPError as error:  # a refused connection is a ConnectError
                self.heard[type(error).__name__] += 1


@pytest.mark.fault("R13", sample=True)
def test_while_a_web_process_is_killed_the_other_answers_and_no_connection_is_refused(studio: Studio) -> None:
    for name, number in (("web", signal.SIGKILL), ("web_2", signal.SIGTERM)):
        both_serve(studio)
        before = studio.child(name)
        with Callers(studio) as callers:
            until(lambda callers=callers: callers.heard["200"] > CALLERS, 30, "the first answers")
            kill(before, number)
            at_the_kill = callers.heard["200"]
            until(
                lambda callers=callers, at=at_the_kill: callers.heard["200"] > at + 5 * CALLERS,
                30,
                "answers of the other one",
            )
            until(
                lambda name=name, before=before: studio.child(name) not in (0, before), 15, f"another {name}"
            )
        lost = {word: count for word, count in callers.heard.items() if word != "200"}
        assert not lost.keys() & {"ConnectError", "ConnectTimeout", "ReadTimeout"}, lost
        assert sum(lost.values()) <= CALLERS, lost  # what the dead one was just answering
        assert any(f"{name} stopped (" in line for line in studio.said)


@pytest.mark.fault("R13")
def test_callers_wait_while_every_web_process_is_dead(studio: Studio) -> None:
    both_serve(studio)
    before = [studio.child(name) for name in WEB]
    for pid in before:
        kill(pid)
    assert httpx.get(f"{studio.url}/healthz", timeout=30).status_code == 200
    assert not {studio.child(name) for name in WEB} & set(before)


@pytest.mark.fault("R19", sample=True)
def test_a_page_hears_what_is_done_through_another_web_process(
    studio: Studio, fresh_repository: Path
) -> None:
    project = studio.make_project(fresh_repository, "BOTH")
    both_serve(studio)
    studio.page("/")  # signs in
    cookie = "; ".join(f"{name}={value}" for name, value in studio.cookies.items())
    opened = connections(studio, CALLERS)
    calls = {server_of(studio, each.sock.getsockname()[1]): each for each in opened}
    sockets: dict[str, Socket] = {}
    while sockets.keys() != set(WEB):
        socket = Socket(studio, cookie=cookie)
        sockets.setdefault(server_of(studio, socket.stream.getsockname()[1]), socket)
    for number, (here, there) in enumerate([("web", "web_2"), ("web_2", "web")]):
        sockets[here].follow(**{f"project_{project}": 0})
        title = f"Filed through {there}, {number}"
        calls[there].request(
            "POST",
            "/api/tasks",
            json.dumps({"project": project, "title": title}),
            {"Authorization": f"Bearer {studio.token}", "Content-Type": "application/json"},
        )
        answer = calls[there].getresponse()
        assert answer.status == 201, answer.read()
        answer.read()
        sockets[here].until(lambda frame, title=title: title in json.dumps(frame))
    for each in [*opened, *sockets.values()]:
        each.close()


@pytest.mark.fault("R30")
def test_callers_who_come_at_once_and_stay_are_spread_over_the_web_processes(studio: Studio) -> None:
    both_serve(studio)
    for _ in range(5):
        opened = connections(studio, CROWD)
        spread = Counter(server_of(studio, each.sock.getsockname()[1]) for each in opened)
        for each in opened:
            each.close()
        assert min(spread[name] for name in WEB) >= CROWD / 10, spread
