"""A whole Studio for tests: `manage.py up` on a data folder of its own, driven as people and scripts drive it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from studio.supervisor import die_with
from tests import factories

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 90
CLOCKS = {
    "STUDIO_DEMO_PACE": "0",
    "STUDIO_BEAT_SECONDS": "1",
    "STUDIO_LEASE_SECONDS": "20",
    "STUDIO_REAP_SECONDS": "0.5",
    "STUDIO_PROGRESS_SECONDS": "40",
    "STUDIO_RETRY_SECONDS": "8",
    "STUDIO_PROVIDER_PAUSE_SECONDS": "1",
    "STUDIO_CLONE_FILES": "1",
}
PASSED = {"name": "tests", "command": "test -f README.md", "timeout": 60, "required": True}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Studio:
    """A running Studio. `api` talks as the first account, with a token."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        ports = {"STUDIO_PORT": str(self.port), "STUDIO_DEMO_MODEL_PORT": str(free_port())}
        self.environment = {**kept, **CLOCKS, **ports, "STUDIO_HOME": str(home), **environment}
        self.demo_url = f"http://127.0.0.1:{self.environment['STUDIO_DEMO_MODEL_PORT']}"
        self.said: list[str] = []
        self.link = ""
        self.token = ""

    def start(self) -> None:
        """Start it and wait for its link."""
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=partial(die_with, os.getpid()),  # a test run that is killed leaves no Studio behind
        )
        self.link = ""
        threading.Thread(target=self._listen, args=(self.process.stdout,), daemon=True).start()
        until(lambda: self.link or self.process.poll() is not None, START_SECONDS, "the sign-in link")
        assert self.link, "\n".join(self.said)
        if not self.token:
            self.token = self.manage("createtoken", "admin").strip()

    def _listen(self, output: Any) -> None:
        for line in output:
            self.said.append(line.rstrip())
            found = re.search(r"Studio is ready: (\S+)", line)
            if found:
                self.link = found[1]

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop it as Ctrl-C or a service manager does, and wait until it is gone."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise

    def manage(self, *arguments: str, timeout: float = 60) -> str:
        """Run a management command; what it printed."""
        done = self.try_manage(*arguments, timeout=timeout)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_manage(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a management command that may fail."""
        return subprocess.run(
            self.command(*arguments),
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def command(self, *arguments: str) -> list[str]:
        """The command line of a management command, for the root of the project."""
        return [sys.executable, str(ROOT / "manage.py"), *arguments]

    def sign_in_link(self) -> str:
        """A link that signs the first account in, once."""
        code = "from studio.models import *; from django.contrib.auth.models import User; print(SignInLink.issue(User.objects.get(username='admin')))"
        return f"{self.url}/sign-in/?token={self.manage('shell', '--no-imports', '-c', code).strip()}"

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One call of the API, with the token."""
        auth = {"Authorization": f"Bearer {self.token}"}
        return httpx.request(method, f"{self.url}/api{path}", json=body, headers=auth | headers, timeout=120)

    def get(self, path: str) -> Any:
        """The JSON of a GET that has to succeed."""
        answer = self.api("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, expect: int = 202) -> Any:
        """The JSON of a POST that has to answer `expect`."""
        answer = self.api("POST", path, body)
        assert answer.status_code == expect, f"{answer.status_code} {answer.text}"
        return answer.json()

    def make_project(self, repository: Path, key: str, **fields: Any) -> int:
        """A project by API; its id."""
        body = {
            "key": key,
            "name": key.title(),
            "path": str(repository),
            "target_branch": "main",
            "checks": [PASSED],
        }
        return int(self.post("/projects", body | fields, expect=201)["id"])

    def file(self, project: int, title: str, script: dict[str, Any] | None = None) -> int:
        """A task by API, with a script for the demo model in its description; its id."""
        description = f"```demo\n{json.dumps(script)}\n```" if script else ""
        return int(
            self.post("/tasks", {"project": project, "title": title, "description": description}, expect=201)[
                "id"
            ]
        )

    def status(self, task: int) -> str:
        return str(self.get(f"/tasks/{task}")["status"])

    def wait_for(self, task: int, *statuses: str, within: float = 120) -> str:
        """Wait until the task is in one of these states with nothing running; fails early when a session failed."""

        def settled() -> str:
            now = self.status(task)
            if now in statuses:
                return now
            last = self.sessions(task)[-1:]
            assert not last or last[0]["state"] != "failed", f"{last}\n{self.log('runs')}"
            return ""

        return str(until(settled, within, f"task {task} in {statuses}; it is {self.status(task)}"))

    def sessions(self, task: int) -> list[dict[str, Any]]:
        """The task's sessions, oldest first."""
        found = self.get(f"/tasks/{task}/sessions")["items"]
        return sorted(found, key=lambda session: session["id"])

    def activity(self, session: int) -> list[dict[str, Any]]:
        """All of a session's entries, in order."""
        entries: list[dict[str, Any]] = []
        after: Any = 0
        while True:
            page = self.get(f"/sessions/{session}/activity?after={after}&limit=200")
            entries += page["items"]
            if page["next"] is None:
                return sorted(entries, key=lambda entry: entry["seq"])
            after = page["next"]

    def log(self, name: str) -> str:
        """The end of a process's log."""
        file = self.home / "logs" / f"{name}.log"
        return file.read_text(errors="replace")[-4000:] if file.exists() else ""

    def processes(self) -> dict[int, str]:
        """What runs for this Studio, found by its data folder in environments and command lines."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdecimal() and int(entry.name) != os.getpid():
                    known = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                    if str(self.home).encode() in known:
                        found[int(entry.name)] = (
                            (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                        )
        return found


def until(condition: Callable[[], Any], within: float, what: str) -> Any:
    """Wait for a condition, looking five times a second; its value. AssertionError when it does not come `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {within:g} s for {what}"
        time.sleep(0.2)


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One Studio for all tests that do not break it."""
    running = Studio(tmp_path_factory.mktemp("studio") / "home")
    running.start()
    yield running
    running.stop()
    assert not running.processes()


@pytest.fixture
def fresh_repository(tmp_path: Path) -> Path:
    """A repository that its person has checked out, with a branch main."""
    return factories.make_repository(tmp_path / "repository")


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """A database of its own on the server that STUDIO_TEST_DATABASE_URL names; skipped where none is named."""
    server = os.environ.get("STUDIO_TEST_DATABASE_URL")
    if not server:
        pytest.skip("STUDIO_TEST_DATABASE_URL names no server")
    name = f"studio_{os.getpid()}_{int(time.time())}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
