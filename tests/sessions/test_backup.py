"""Backups: one moment of the database with what a restore needs, checked before anything is touched; tests/faults has the drill."""

import io
import json
import sqlite3
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection

from sessions import backup, places, restore
from sessions.models.attempt import Lease
from tasks.models import Event, Task
from tests import factories

sqlite_only = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite only")


@pytest.fixture
def archive(tmp_path: Path, task: Task) -> Path:
    """A backup of a task, with the workspace of one attempt; another is at work."""
    resting = factories.make_attempt(factories.make_task(task.project), base_oid="f" * 40)
    working = factories.make_attempt(task, lease=Lease.CLAIMED)
    for attempt in (resting, working):
        folder = places.folder(attempt) / "workspace"
        folder.mkdir(parents=True)
        (folder / "made.txt").write_text("made")
        (folder / "link").symlink_to("/etc/passwd")
    call_command("backup", str(tmp_path / "all.tar.gz"), "--workspaces", stdout=io.StringIO())
    return tmp_path / "all.tar.gz"


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as packed:
        return packed.getnames()


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_a_backup_has_the_database_the_key_and_the_workspaces_that_rest(
    archive: Path, task: Task, tmp_path: Path
) -> None:
    (attempts,) = [name for name in names(archive) if name.startswith("attempts/")]
    assert "-DEMO-2-1.tar" in attempts
    assert {backup.DATABASE, *backup.KEYS, backup.MANIFEST} < set(names(archive))
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    (tmp_path / "out").mkdir()
    manifest = restore.unpack(archive, tmp_path / "out")
    assert ["tasks", "0001_initial"] in manifest["migrations"]
    with sqlite3.connect(tmp_path / "out" / backup.DATABASE) as copy:
        assert copy.execute("SELECT COUNT(*) FROM tasks_task").fetchone() == (2,)
    (there,) = restore.unpack_attempts(tmp_path / "out", tmp_path / "out")
    folder = next((tmp_path / "out").glob(f"{there}-*"))
    assert (folder / "workspace" / "made.txt").read_text() == "made"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".studio-backup")]


@sqlite_only
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("wrong", ["cut", "changed", "newer", "text"])
def test_an_archive_that_is_not_what_was_backed_up_is_refused(
    wrong: str, archive: Path, tmp_path: Path
) -> None:
    stage = tmp_path / "stage"
    stage.mkdir()
    if wrong == "cut":
        archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    elif wrong == "text":
        archive.write_text("no archive")
    else:
        with tarfile.open(archive) as packed:
            packed.extractall(stage, filter="data")
        if wrong == "changed":
            (stage / backup.KEYS[0]).write_text("another")
        else:
            manifest = json.loads((stage / backup.MANIFEST).read_text())
            manifest["migrations"].append(["tasks", "9999_later"])
            (stage / backup.MANIFEST).write_text(json.dumps(manifest))
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(stage, ".")
    with pytest.raises(backup.BackupFailed):
        restore.unpack(archive, stage)


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_a_backup_that_cannot_be_written_leaves_nothing(tmp_path: Path, task: Task) -> None:
    with pytest.raises(SystemExit, match="could not be written"):
        call_command("backup", str(tmp_path / "nowhere" / "all.tar.gz"))
    assert not list(tmp_path.glob("*.tar.gz"))
    assert not list(tmp_path.glob(".studio*"))


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_a_restore_is_refused_while_a_process_has_the_database(task: Task, tmp_path: Path) -> None:
    connection.ensure_connection()
    other: Any = sqlite3.connect(connection.settings_dict["NAME"])
    other.execute("SELECT COUNT(*) FROM tasks_task").fetchone()
    try:
        with pytest.raises(backup.BackupFailed, match="stop it first"):
            restore.refuse_others()
    finally:
        other.close()
    restore.refuse_others()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("lease", "begun", "has", "state", "left"),
    [
        ("claimed", True, True, "interrupted", "idle"),
        ("claimed", True, False, "interrupted", "idle"),
        ("claimable", True, False, "interrupted", "idle"),
        ("claimable", True, True, "queued", "claimable"),
        ("claimable", False, False, "queued", "claimable"),
    ],
)
def test_what_was_under_way_goes_on_only_with_its_workspace(
    lease: str, begun: bool, has: bool, state: str, left: str, task: Task
) -> None:
    attempt = factories.make_attempt(
        task, lease=lease, runner="old", pid=7, base_oid="f" * 40 if begun else ""
    )
    session = factories.make_session(
        attempt, state="queued" if lease == "claimable" else "running", opencode_session_id="ses_1"
    )
    restore.settle({attempt.pk} if has else set())
    attempt.refresh_from_db()
    session.refresh_from_db()
    assert (session.state, attempt.lease, attempt.runner) == (state, left, "")
    assert session.reason == ("restored" if state == "interrupted" else "")
    assert bool(session.opencode_session_id) == (has or not begun)
    assert Event.objects.filter(name="attempt.restored").exists() == (state == "interrupted")


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_a_backup_has_the_files_that_people_attached(task: Task, tmp_path: Path) -> None:
    upload = SimpleUploadedFile("notes.txt", b"What the screen should say")
    task.edit(by=None, attached=[upload])
    (attachment,) = task.attachments.all()
    call_command("backup", str(tmp_path / "all.tar.gz"), stdout=io.StringIO())
    (tmp_path / "out").mkdir()
    restore.unpack(tmp_path / "all.tar.gz", tmp_path / "out")
    restore.move(tmp_path / "out", tmp_path / "home", [*backup.KEYS, "attachments"])
    (file,) = (tmp_path / "home" / "attachments").rglob("notes.txt")
    assert file.read_bytes() == b"What the screen should say"
    assert file.relative_to(tmp_path / "home") == attachment.path.relative_to(settings.STUDIO_HOME)
