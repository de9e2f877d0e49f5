"""`manage.py up`, run for real: it comes up, keeps its processes running, and leaves none behind."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from studio.preflight import free_port
from studio.processes import started

pytestmark = pytest.mark.timeout(180)

NAMES = {"web", "web_2", "runs", "short", "watchdog", "demo_model"}


class Studio:
    """A Studio on a folder of its own; its processes are known by a mark in their environment."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port("127.0.0.1")
        self.mark = f"STUDIO_TEST_MARK={uuid.uuid4()}"
        self.process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        name, _, value = self.mark.partition("=")
        kept = {
            key: value
            for key, value in os.environ.items()
            if key not in {"DJANGO_SETTINGS_MODULE", "STUDIO_DEMO_MODEL_PORT"}
        }
        mine = {"STUDIO_HOME": str(self.home), "STUDIO_PORT": str(self.port), "STUDIO_WEB_PROCESSES": "2"}
        return kept | mine | {name: value}

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command,
            cwd=settings.BASE_DIR,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self) -> str:
        """The line on stdout."""
        with (self.home.parent / "stderr").open("w") as notes:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=settings.BASE_DIR,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=notes,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout
        answered, _, _ = select.select([self.process.stdout], [], [], 90)
        line = self.process.stdout.readline() if answered else ""
        assert line, self.notes
        return line

    @property
    def notes(self) -> str:
        return (self.home.parent / "stderr").read_text()

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def wait(self) -> int:
        assert self.process
        return self.process.wait(30)

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def order(self, function: str, argument: str | int) -> None:
        """Have the short cluster do it."""
        code = (
            f"from django_q.tasks import async_task; async_task({function!r}, {argument!r}, cluster='short')"
        )
        ordered = self.manage("shell", "--no-imports", "--command", code)
        assert ordered.returncode == 0, ordered.stderr

    def processes(self) -> dict[int, str]:
        """All that carry the mark, wherever they were moved to."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        return found

    def child(self, name: str) -> dict[str, int]:
        with contextlib.suppress(OSError):
            return json.loads((self.home / "run" / f"{name}.pid").read_text())
        return {}

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return (
                answer.headers.get("Cache-Control", "")
                if path.startswith("/static/")
                else answer.read().decode()
            )


def eventually(holds: Callable[[], object], seconds: float = 15) -> bool:
    give_up_at = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.1)
    return True


def keep_busy(studio: Studio) -> None:
    """Returns when a job that takes longer than anyone waits has begun."""
    begun = studio.home.parent / f"begun-{uuid.uuid4()}"
    studio.order(
        "builtins.exec", f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(60)"
    )
    assert eventually(begun.exists)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all, so that only the first start has to make everything."""
    return tmp_path_factory.mktemp("up") / "home"


@pytest.fixture
def studio(home: Path) -> Iterator[Studio]:
    studio = Studio(home)
    yield studio
    if studio.process:
        studio.process.kill()
    eventually(lambda: not studio.processes(), 5)
    for pid in studio.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_it_prints_one_sign_in_link_and_ctrl_c_leaves_nothing(studio: Studio) -> None:
    line = studio.start()
    assert line.startswith(f"Studio is ready: http://127.0.0.1:{studio.port}/sign-in/?token=")
    assert {name for name in NAMES if studio.child(name)} == NAMES
    for name in NAMES:
        assert started(studio.child(name)["pid"]) == studio.child(name)["start"]

    assert studio.process
    assert listeners(studio) == {studio.process.pid, studio.child("web")["pid"], studio.child("web_2")["pid"]}

    manifest = json.loads((studio.home / "static" / "staticfiles.json").read_text())
    assert "immutable" in studio.get("/static/" + manifest["paths"]["admin/css/base.css"])

    studio.signal(signal.SIGINT)
    assert studio.wait() == 0
    assert studio.process.stdout
    assert studio.process.stdout.read() == ""
    assert not studio.processes()
    assert [file.name for file in (studio.home / "run").iterdir()] == ["studio.lock"]


def listeners(studio: Studio) -> set[int]:
    """The processes that hold the listening socket."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    [link] = [
        f"socket:[{row[9]}]" for row in rows if (row[1], row[3]) == (f"0100007F:{studio.port:04X}", "0A")
    ]
    found = set()
    for pid in studio.processes():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(descriptor) == link:
                    found.add(pid)
    return found


def test_a_second_start_is_as_quick_as_a_few_commands_and_sigterm_stops_it(studio: Studio) -> None:
    """Ten seconds are promised where a command takes one or two; other tests run beside this one, hence a ratio."""
    assert any(seconds_to_start_and_stop(studio) < 8 * seconds_of_a_command(studio) for _ in range(3))


def seconds_of_a_command(studio: Studio) -> float:
    began = time.monotonic()
    assert studio.manage("check").returncode == 0
    return time.monotonic() - began


def seconds_to_start_and_stop(studio: Studio) -> float:
    began = time.monotonic()
    studio.start()
    took = time.monotonic() - began
    studio.signal(signal.SIGTERM)
    assert studio.wait() == 0
    assert not studio.processes()
    return took


def test_what_a_job_left_behind_is_taken_down_too(studio: Studio) -> None:
    studio.start()
    stubborn = "setsid sh -c 'trap \"\" TERM INT HUP; while :; do sleep 1; done' &"
    ordered = studio.manage(
        "shell",
        "--no-imports",
        "--command",
        f"from django_q.tasks import async_task; async_task('os.system', {stubborn!r}, cluster='short')",
    )
    assert ordered.returncode == 0, ordered.stderr
    assert eventually(lambda: any("trap" in command for command in studio.processes().values()))
    studio.signal(signal.SIGINT)
    assert studio.wait() == 0
    assert not studio.processes()


def test_a_second_ctrl_c_does_not_wait(studio: Studio) -> None:
    studio.start()
    keep_busy(studio)
    studio.signal(signal.SIGINT)
    assert not eventually(studio.has_ended, 3)  # it waits for the job
    assert (studio.home / "run" / "drain").exists()
    studio.signal(signal.SIGINT)
    assert eventually(studio.has_ended, 3)
    assert not studio.processes()


def test_a_killed_supervisor_takes_everything_with_it(studio: Studio) -> None:
    studio.start()
    keep_busy(studio)  # a cluster that was asked politely would wait for this
    studio.signal(signal.SIGKILL)
    assert eventually(lambda: not studio.processes(), 15), studio.processes()


def test_a_killed_cluster_comes_back_whole(studio: Studio) -> None:
    studio.start()
    eventually(lambda: len(studio.processes()) >= 15)
    before = studio.child("runs")
    os.killpg(before["pid"], signal.SIGKILL)
    assert eventually(lambda: studio.child("runs") not in ({}, before))
    assert "runs stopped (SIGKILL)" in studio.notes


def test_a_dead_master_or_sentinel_leaves_no_headless_workers(studio: Studio) -> None:
    studio.start()
    eventually(lambda: len(studio.processes()) >= 15)
    before = studio.child("runs")
    family = session(before["pid"])
    sentinel = next(pid for pid in family if parent(pid) == before["pid"])
    os.kill(sentinel, signal.SIGKILL)
    assert eventually(lambda: studio.child("runs") not in ({}, before))
    assert not {pid for pid in family if Path(f"/proc/{pid}").exists()}


def session(leader: int) -> set[int]:
    members = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(folder.name)) == leader:
                members.add(int(folder.name))
    return members


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


# --- where it cannot go on -----------------------------------------------------------------------------------------


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_a_port_in_use_is_told_with_another_one(studio: Studio) -> None:
    with socket.create_server(("127.0.0.1", studio.port)):
        assert_refused(studio.manage("up"), f"Port {studio.port} on 127.0.0.1 is in use", "STUDIO_PORT=")


def test_a_data_folder_in_a_repository_is_refused(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    studio.home = tmp_path / "home"
    assert_refused(studio.manage("up"), f"inside the repository {tmp_path}")


def test_a_second_studio_on_the_same_folder_is_refused(studio: Studio, home: Path) -> None:
    studio.start()
    second = Studio(home)
    assert_refused(second.manage("up"), "Another Studio already runs", f"http://127.0.0.1:{studio.port}")


def test_a_database_that_does_not_answer_is_told(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@127.0.0.1:{free_port('127.0.0.1')}/studio")
    done = studio.manage("up")
    assert done.returncode == 1
    assert "The database cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_process_that_does_not_start_shows_its_last_words(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(broken_web(studio.home.parent)))
    done = studio.manage("up")
    assert done.returncode == 1
    assert re.search(r"web(_2)? does not start \(exit 1\)", done.stderr)
    assert "web is broken here" in done.stderr
    assert not studio.processes()


def broken_web(folder: Path) -> Path:
    """A `python -m studio.web` that fails, in front of the real one for that command only."""
    package = folder / "broken"
    package.mkdir()
    (package / "sitecustomize.py").write_text(
        "import sys\nif '-m' in sys.orig_argv and 'studio.web' in sys.orig_argv:\n    sys.exit('web is broken here')\n"
    )
    return package
