"""Disks that fill up, databases that are locked, writers that are killed, backups under load, growth."""

import random
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import running, seed
from tests.faults.studio import BUILD, WRITES, Studio
from tests.running import until

SLOW = {
    "implementation": [
        {"tool": "bash", "args": {"command": "sleep 20", "description": "Waits"}},
        WRITES,
        {"text": "Written."},
    ]
}
BUSY = "SELECT id FROM agent_sessions_activity WHERE tool = 'bash' AND state = 'running'"
MEGABYTE = 1024 * 1024


# --- R22: the disk fills up ------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 MB, in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600m,mode=700", "studio", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def cramped(small_disk: Path) -> Iterator[Studio]:
    """A Studio on that disk, which wants 80 MB to start something and 20 MB to go on."""
    yield from running(Studio(small_disk / "home", STUDIO_DISK_FLOOR="80"))


def fill(disk: Path, left: int) -> Path:
    """Take all but `left` megabytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while shutil.disk_usage(disk).free > left * MEGABYTE:
                stream.write(bytes(min(MEGABYTE, max(shutil.disk_usage(disk).free - left * MEGABYTE, 4096))))
        except OSError:
            assert left == 0
    return filler


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(10, marks=pytest.mark.fault("R22")),
        pytest.param(0, marks=pytest.mark.fault("R22")),
    ],
)
def test_a_full_disk_stops_what_runs_and_starts_nothing_until_there_is_room(
    left: int, cramped: Studio, small_disk: Path, fresh_repository: Path
) -> None:
    task = cramped.started(fresh_repository, "FULL", SLOW)
    other = cramped.file(cramped.get(f"/tasks/{task}")["project"], "Another", BUILD)
    first = cramped.sessions(task)[0]["id"]
    cramped.page("/")  # signs in, while that can be noted
    until(lambda: cramped.rows(BUSY), 200, "the agent's command")
    filler = fill(small_disk, left)
    if left:
        assert cramped.wait_ended(first)["reason"] == "disk_full"
    until(lambda: not cramped.agents(task), 60, "the end of the agent")
    refused = cramped.api("POST", f"/tasks/{other}/execute")
    assert (refused.status_code, refused.json()["error"]) == (507, "disk_full")
    board = "/projects/FULL/"
    assert "The disk is nearly full" in cramped.page(board).text
    filler.unlink()
    until(lambda: "disk is nearly full" not in cramped.page(board).text, 10, "the end of the banner")
    assert cramped.wait_for(task, "review", within=150) == "review"
    cramped.post(f"/tasks/{other}/execute")
    assert cramped.wait_for(other, "review", within=120) == "review"
    ended = {session["id"]: session["reason"] for session in cramped.sessions(task)}
    assert ended[first] == "disk_full"


# --- R23: others want to write too -----------------------------------------------------------------------------------


class Writers:
    """Scripts that file tasks, each as quickly as it gets its answers."""

    def __init__(self, studio: Studio, project: int, number: int = 8) -> None:
        self.studio, self.project = studio, project
        self.answers: list[tuple[int, float, float]] = []  # status, when asked, seconds
        self.filed: list[int] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._write) for _ in range(number)]

    def _write(self) -> None:
        while not self.over.is_set():
            asked = time.monotonic()
            answer = self.studio.api("POST", "/tasks", {"project": self.project, "title": "Written"})
            self.answers.append((answer.status_code, asked, time.monotonic() - asked))
            if answer.status_code == 201:
                self.filed.append(answer.json()["id"])

    def __enter__(self) -> "Writers":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *problem: Any) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(120)


def hold(studio: Studio, seconds: float) -> None:
    """Keep the right to write to the database from everybody else."""
    with closing(sqlite3.connect(studio.home / "studio.sqlite3", timeout=20, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        other.execute("ROLLBACK")


@pytest.mark.fault("R23")
def test_eight_writers_and_a_lock_of_ten_seconds_show_nobody_an_error(
    studio: Studio, fresh_repository: Path
) -> None:
    project = studio.make_project(fresh_repository, "LOCK")
    log = studio.home / "logs" / "web.log"
    said = log.stat().st_size  # a lock that was held for longer left its words there
    with Writers(studio, project) as writers:
        until(lambda: len(writers.answers) > 40, 60, "some answers")
        began = time.monotonic()
        hold(studio, 10)
        after = len(writers.answers)
        until(lambda: len(writers.answers) > after + 40, 60, "answers after the lock")
    assert {status for status, _, _ in writers.answers} == {201}
    outside = [length for _, asked, length in writers.answers if not began - 5 < asked < began + 11]
    assert max(outside) <= 5
    assert b"database is locked" not in log.read_bytes()[said:]


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(10, marks=pytest.mark.fault("R23")),
        pytest.param(30, marks=pytest.mark.fault("R23")),
        pytest.param(60, marks=pytest.mark.fault("R23")),
    ],
)
def test_an_agent_outlives_a_locked_database(seconds: int, studio: Studio, fresh_repository: Path) -> None:
    task = studio.started(fresh_repository, f"AWAY{seconds}", SLOW)
    until(lambda: studio.rows(BUSY), 90, "the agent's command")
    worker = studio.worker_of(task)
    assert studio.page(f"/tasks/{task}/").status_code == 200  # signed in, which writes
    locked = threading.Thread(target=hold, args=(studio, seconds))
    locked.start()
    time.sleep(1)  # the lock is not to be seen from outside
    answer = studio.api("POST", f"/tasks/{task}/cancel") if seconds > 21 else None
    assert answer is None or (answer.status_code, answer.json()["error"]) == (503, "busy")
    assert studio.page(f"/tasks/{task}/").status_code == 200
    locked.join()
    assert studio.worker_of(task) == worker
    assert studio.wait_for(task, "review", within=120) == "review"
    assert [session["state"] for session in studio.sessions(task)] == ["completed", "completed"]


# --- R24: what was acknowledged is there -------------------------------------------------------------------------------

KILLED = """
import os, random, signal, sys, time
from django.contrib.auth.models import User
from django.db import connection
from studio.models import KeptReply
kills, chance = int({kills}), random.Random({seed})
admin = User.objects.get(username="admin").pk
acknowledged = set()
connection.close()
for turn in range(kills):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        number = 0
        while True:
            KeptReply.objects.create(user_id=admin, key=f"{{turn}}-{{number}}", path="/r24", status=200, body={{"x": "y" * 3000}})
            os.write(writer, f"{{turn}}-{{number}}\\n".encode())
            number += 1
    os.close(writer)
    time.sleep(chance.uniform(0.01, 0.2))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with open(reader) as said:
        acknowledged |= {{line.strip() for line in said if line.endswith("\\n")}}
there = set(KeptReply.objects.filter(path="/r24").values_list("key", flat=True))
KeptReply.objects.filter(path="/r24").delete()
print(len(acknowledged), len(acknowledged - there))
"""


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(25, marks=pytest.mark.fault("R24", sample=True)),
        pytest.param(200, marks=pytest.mark.fault("R24")),
    ],
)
def test_a_killed_writer_loses_nothing_that_it_acknowledged(kills: int, studio: Studio) -> None:
    said = studio.manage("shell", "--no-imports", "-c", KILLED.format(kills=kills, seed=seed()), timeout=300)
    acknowledged, lost = map(int, said.split())
    assert acknowledged > kills
    assert lost == 0


# --- R25: backup and restore -------------------------------------------------------------------------------------------


@pytest.mark.fault("R25", sample=True)
def test_a_backup_under_load_is_restored_as_of_one_moment(
    studio: Studio, fresh_repository: Path, tmp_path: Path
) -> None:
    task = studio.started(fresh_repository, "SAVED", SLOW)
    project = studio.get(f"/tasks/{task}")["project"]
    until(lambda: studio.rows(BUSY), 90, "the agent's command")
    with Writers(studio, project, 4) as writers:
        until(lambda: len(writers.filed) > 20, 60, "some tasks")
        before = set(writers.filed)
        studio.manage("backup", str(tmp_path / "all.tar.gz"), "--workspaces")
    assert {status for status, _, _ in writers.answers} == {201}
    accepted = set(studio.accepted)
    refused = studio.try_manage("restore", str(tmp_path / "all.tar.gz"))
    assert refused.returncode == 1
    assert "already runs" in refused.stderr
    studio.post(f"/tasks/{task}/cancel", expect=202)
    studio.stop()
    began = time.monotonic()
    said = studio.manage("restore", str(tmp_path / "all.tar.gz"))
    assert time.monotonic() - began < 120
    assert "1 attempts were under way" in said
    assert len(list(studio.home.glob("before-restore-*/studio.sqlite3"))) == 1
    studio.accepted = accepted
    studio.start()
    studio.cookies.clear()
    there = {row["id"] for row in studio.rows("SELECT id FROM tasks_task WHERE project_id = ?", project)}
    assert before <= there <= {*writers.filed, task}
    cut = studio.sessions(task)[-1]
    assert (cut["state"], cut["reason"]) == ("interrupted", "restored")
    studio.post(f"/tasks/{task}/retry")
    assert studio.wait_for(task, "review", within=120) == "review"


# --- R26: growth -------------------------------------------------------------------------------------------------------

GROW = """
from datetime import timedelta
from django.utils import timezone
from sessions.models import Activity, Attempt, Session
from tasks.models import Project, Task
project = Project.objects.get(pk={project})
old = timezone.now() - timedelta(days=100)
for each in range({sessions}):
    task = Task.file(project, title="Old")
    Task.objects.filter(pk=task.pk).update(status="done", status_changed_at=old)
    attempt = Attempt.objects.create(task=task, number=1, status="done", ended_at=old)
    session = Session.objects.create(attempt=attempt, phase="implementation", state="completed", rev=500, ended_at=old)
    task.note("session.ended", session_id=session.pk, phase="implementation", state="completed")
    Activity.objects.bulk_create(
        Activity(session=session, seq=n, rev=n, part_id=f"prt_{{session.pk}}_{{n}}", message_id="m", opencode_session_id="s",
            kind="tool", tool="bash", state="completed", input={{"command": "make"}}, output="x" * 2000)
        for n in range(1, 501)
    )
"""


@pytest.mark.parametrize(
    "sessions",
    [
        pytest.param(20, marks=pytest.mark.fault("R26", sample=True)),
        pytest.param(400, marks=pytest.mark.fault("R26")),
    ],
)
def test_retention_thins_a_grown_database_without_holding_anybody_up(
    sessions: int, studio: Studio, fresh_repository: Path
) -> None:
    project = studio.make_project(fresh_repository, f"GROWN{sessions}")
    studio.manage("shell", "--no-imports", "-c", GROW.format(project=project, sessions=sessions), timeout=600)
    assert (studio.home / "studio.sqlite3").stat().st_size < 1.5e9
    waits = []
    with subprocess.Popen(
        studio.command("retain"),
        env=studio.environment | {"STUDIO_RETENTION_DAYS": "90"},
        stdout=subprocess.PIPE,
        text=True,
    ) as thinning:
        while thinning.poll() is None:
            waits.append(wait_to_write(studio))
        said = thinning.stdout.read() if thinning.stdout else ""
    assert f"Thinned {sessions * 500} entries" in said
    assert max(waits) < 0.25
    asked = time.monotonic()
    assert studio.page(f"/projects/GROWN{sessions}/").status_code == 200
    assert time.monotonic() - asked < 2


def wait_to_write(studio: Studio) -> float:
    """How long a writer waits for its turn now, in seconds."""
    with closing(sqlite3.connect(studio.home / "studio.sqlite3", timeout=20, isolation_level=None)) as other:
        other.execute("PRAGMA busy_timeout = 0")
        asked = time.monotonic()
        while True:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                time.sleep(0.001)
                continue
            waited = time.monotonic() - asked
            other.execute("ROLLBACK")
            time.sleep(random.uniform(0, 0.01))
            return waited
