"""A Studio of its own for the tests of live: a data folder, the real daphne, and another process that writes."""

import base64
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = """
from tests.settings import *
ROOT_URLCONF = "live_site_urls"
LOGIN_URL = "/sign-in/"
TEMPLATES[0]["DIRS"] = [{templates!r}]
"""

URLS = """
from django.contrib.staticfiles.views import serve
from django.http import JsonResponse
from django.shortcuts import render
from django.urls import path
from sessions.live import catch_up
from sessions.models import Session
from studio.live.cursor import events_so_far

def page(request, pk):
    session = Session.objects.get(pk=pk)
    return render(request, "page.html", {"session": session, "cursor": events_so_far()})

def part(request):
    from tasks.models import Event
    return render(request, "part.html", {"events": Event.objects.count()})

urlpatterns = [
    path("sessions/<int:pk>/catch-up/", catch_up),
    path("api/sessions/<int:pk>/activity", lambda request, pk: JsonResponse({"django": pk})),
    path("page/<int:pk>/", page),
    path("part/", part),
    path("static/<path:path>", serve, {"insecure": True}),
]
"""

ENTRY = """<li id="activity-{{ entry.pk }}" data-rev="{{ entry.rev }}" data-seq="{{ entry.seq }}">
{% if entry.kind == "tool" %}<details><summary>output</summary><p>{{ entry.text }}</p></details>{% else %}{{ entry.text }}{% endif %}</li>"""
CARD = '<article class="card" id="task-{{ task.pk }}" data-rev="{{ rev }}">{{ task.title }}</article>'

SERVE = """
import json, os
from daphne.cli import CommandLineInterface
import django
django.setup()
from studio.live import consumer, streams, wire
for name, value in json.loads(os.environ["LIVE_CONSTANTS"]).items():
    for module in (consumer, streams, wire):
        if hasattr(module, name):
            setattr(module, name, value)
CommandLineInterface().run(["-b", "127.0.0.1", "-p", os.environ["STUDIO_PORT"], "studio.asgi:application"])
"""

HAND = """
import json, sys, traceback
import django
django.setup()
from django.test import Client
from sessions.models import *
from studio.models import ApiToken
from tasks.models import *
from tests import factories
for line in sys.stdin:
    scope = globals()
    try:
        exec(json.loads(line), scope)
        answer = {"answer": scope.pop("answer", None)}
    except Exception:
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
"""

_migrated: bytes | None = None


class Site:
    """`do` runs code in the writing process, which may set `answer`."""

    def __init__(self, folder: Path, constants: dict[str, float]) -> None:
        (folder / "live_site_settings.py").write_text(SETTINGS.format(templates=str(folder / "templates")))
        (folder / "live_site_urls.py").write_text(URLS)
        for name, text in (("sessions/_entry.html", ENTRY), ("tasks/_card.html", CARD)):
            self._template(folder, name, text)
        self.folder = folder
        self.port = free_port()
        self.environment = os.environ | {
            "STUDIO_HOME": str(folder / "home"),
            "STUDIO_PORT": str(self.port),
            "DJANGO_SETTINGS_MODULE": "live_site_settings",
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
            "LIVE_CONSTANTS": json.dumps(constants),
        }
        self.server = ""
        if self.environment.get("STUDIO_TEST_ON") == "postgresql":
            self.server = self.environment["STUDIO_TEST_DATABASE_URL"]
            own = f"{self.server.rpartition('/')[0]}/live_{self.port}"
            self.environment |= {"DATABASE_URL": own, "STUDIO_TEST_DATABASE_URL": own}
        self._database()
        self.hand = self._start("-c", HAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.web = self._start("-c", SERVE)

    def _database(self) -> None:
        """A migrated database, migrated once in a run of the tests."""
        global _migrated
        migrate = [sys.executable, "-m", "django", "migrate", "-v0", "--skip-checks"]
        if self.server:
            self._on_server(f"CREATE DATABASE live_{self.port}")
            subprocess.run(migrate, cwd=ROOT, env=self.environment, check=True)
            return
        own = self.folder / "home" / "studio.sqlite3"
        if _migrated is None:
            subprocess.run(migrate, cwd=ROOT, env=self.environment, check=True)
            _migrated = own.read_bytes()
        own.parent.mkdir(exist_ok=True)
        own.write_bytes(_migrated)

    def _on_server(self, statement: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(statement)

    def _template(self, folder: Path, name: str, text: str) -> None:
        file = folder / "templates" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def template(self, name: str, text: str) -> None:
        """Give the site a template."""
        self._template(self.folder, name, text)

    def _start(self, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
        return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=self.environment, **options)

    def do(self, code: str) -> Any:
        """Run `code` in the other process, and return what it left in `answer`."""
        self.hand.stdin.write(json.dumps(code) + "\n")
        self.hand.stdin.flush()
        told = json.loads(self.hand.stdout.readline())
        assert "error" not in told, told["error"]
        return told["answer"]

    def cookie(self, name: str) -> str:
        """A session cookie of the person, whom it makes where needed."""
        return self.do(
            f"client = Client(); client.force_login(factories.make_user({name!r}))\n"
            f"answer = '; '.join(f'{{k}}={{v.value}}' for k, v in client.cookies.items())"
        )

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End both processes."""
        self.hand.stdin.close()
        self.web.terminate()
        for process in (self.web, self.hand):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.server:
            self._on_server(f"DROP DATABASE live_{self.port} WITH (FORCE)")

    def restart(self) -> None:
        """Kill the web process and start another one."""
        self.web.kill()
        self.web.wait()
        self.web = self._start("-c", SERVE)
        wait_for(self.is_up)

    def is_up(self) -> bool:
        """Whether daphne listens."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def site(folder: Path, **constants: float) -> Iterator[Site]:
    """A site that is up. `constants` shrink the clocks of the live modules."""
    made = Site(folder, constants)
    try:
        wait_for(made.is_up)
        yield made
    finally:
        made.stop()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """What `condition` says once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "It never came true."
        time.sleep(0.02)
    return value


class Closed(Exception):
    """The server closed the socket: with this code."""


class Refused(Exception):
    """The server answered the handshake with this status."""


class Socket:
    """A websocket client in as little as it takes: text frames, and what closes them."""

    def __init__(
        self, site: Site, *, cookie: str = "", origins: tuple[str, ...] | None = None, host: str = ""
    ) -> None:
        self.stream = socket.create_connection(("127.0.0.1", site.port), timeout=15)
        lines = [
            "GET /live/ HTTP/1.1",
            f"Host: {host or f'127.0.0.1:{site.port}'}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            *(f"Origin: {origin}" for origin in ((site.url,) if origins is None else origins)),
            *([f"Cookie: {cookie}"] if cookie else []),
        ]
        self.stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.file = self.stream.makefile("rb")
        status = int(self.file.readline().split()[1])
        while self.file.readline().strip():
            pass
        if status != 101:
            self.close()
            raise Refused(status)

    def send(self, message: Any) -> None:
        """Send text, or anything else as JSON."""
        data = (message if isinstance(message, str) else json.dumps(message)).encode()
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack("!H", len(data))
        if len(data) > 65535:
            length = b"\xff" + struct.pack("!Q", len(data))
        self.stream.sendall(b"\x81" + length + b"\0\0\0\0" + data)

    def hear(self) -> dict[str, Any]:
        """The next frame."""
        while True:
            kind, length = self.file.read(2)
            if length == 126:
                (length,) = struct.unpack("!H", self.file.read(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self.file.read(8))
            data = self.file.read(length)
            if kind & 15 == 8:
                raise Closed(struct.unpack("!H", data[:2])[0])
            if kind & 15 == 1:
                return json.loads(data)

    def until(self, wanted: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
        """The frames up to the one that is `wanted`."""
        heard = []
        while not heard or not wanted(heard[-1]):
            heard.append(self.hear())
        return heard

    def follow(self, **topics: int) -> list[dict[str, Any]]:
        """Follow, with `_` for `-`, and return all that comes up to the tick that says where the stream is."""
        self.send({"follow": {name.replace("_", "-"): cursor for name, cursor in topics.items()}})
        return self.until(lambda frame: "tick" in frame)

    def close(self) -> None:
        """Hang up."""
        self.stream.close()
