"""Puts a backup in the place of what is there, which is kept aside. Nothing is touched before the whole archive has been checked."""

import json
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.models import F
from django.utils import timezone

from sessions.backup import DATABASE, FORMAT, KEYS, MANIFEST, BackupFailed, digest
from sessions.ledger import end_session
from sessions.models import Attempt, Session
from sessions.models.attempt import Lease
from sessions.models.session import State
from sessions.reasons import Reason
from studio import preflight

REPLACED = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", *KEYS, "attempts", "attachments")


def restore(archive: Path) -> Iterator[str]:
    """Restore, and tell in sentences what was done. The caller holds Studio's lock. Raises BackupFailed."""
    home = Path(settings.STUDIO_HOME)
    refuse_others()
    with staging(home) as stage:
        manifest = unpack(archive, stage)
        yield f"{archive} is whole: Studio {manifest['version']}, {manifest['made_at']}."
        aside = home / f"before-restore-{timezone.now():%Y%m%d-%H%M%S-%f}"
        mark = home / preflight.RESTORING
        mark.touch()  # cut off from here on, the next start refuses
        connections.close_all()
        move(home, aside, [name for name in REPLACED if name not in KEYS or (stage / name).exists()])
        yield f"What was there is kept in {aside}."
        (home / "attempts").mkdir(mode=0o700)
        there = set(unpack_attempts(stage, home / "attempts"))
        move(stage, home, [*KEYS, "attachments", DATABASE])
        call_command("migrate", interactive=False, verbosity=0)
        yield settle(there)
        mark.unlink()


def refuse_others() -> None:
    """Raises BackupFailed where a process has the database open, or it is no file that could be replaced."""
    if connection.vendor != "sqlite":
        raise BackupFailed(
            "On PostgreSQL its own tool restores: stop Studio, tar -xzf the archive, "
            "pg_restore --clean --if-exists --no-owner --dbname=… studio.pgdump, then start Studio."
        )
    connections.close_all()
    file = Path(connection.settings_dict["NAME"])
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as alone:
            alone.execute("PRAGMA locking_mode = EXCLUSIVE")
            alone.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        raise BackupFailed(f"Another process has {file} open ({error}): stop it first.") from error
    except sqlite3.DatabaseError:
        return  # it is no database any more, which is what backups are for


@contextmanager
def staging(home: Path) -> Iterator[Path]:
    """A folder on the same file system, so that what is checked there is only moved afterwards."""
    stage = home / ".restore"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(mode=0o700)
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def unpack(archive: Path, stage: Path) -> Any:
    """The archive's files, checked; its manifest. Raises BackupFailed."""
    try:
        with tarfile.open(archive) as packed:
            packed.extractall(stage, filter="data")
        manifest = json.loads((stage / MANIFEST).read_text())
        if manifest["format"] != FORMAT or manifest["database"] != "sqlite":
            raise BackupFailed(
                f"{archive} is of another kind: format {manifest['format']}, {manifest['database']}."
            )
        check(stage, manifest)
    except (OSError, EOFError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise BackupFailed(
            f"{archive} is no backup that can be read: {error}. Nothing was changed."
        ) from error
    return manifest


def check(stage: Path, manifest: Any) -> None:
    """Sums, migrations and the database's own check. Raises BackupFailed."""
    for name, told in manifest["files"].items():
        if digest(stage / name) != told["sha256"]:
            raise BackupFailed(f"{name} in the archive is not what was backed up. Nothing was changed.")
    known = MigrationLoader(None).disk_migrations
    newer = [
        ".".join(pair) for pair in manifest["migrations"] if pair[0] in OURS and tuple(pair) not in known
    ]
    if newer:
        raise BackupFailed(f"The backup is of a newer Studio ({', '.join(newer)}): restore it with that one.")
    with closing(sqlite3.connect(stage / DATABASE)) as copy:
        (found,) = copy.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise BackupFailed(f"The database in the archive is damaged: {found}. Nothing was changed.")


OURS = ("studio", "tasks", "agent_sessions")


def move(source: Path, target: Path, names: list[str]) -> None:
    """Rename what there is of these."""
    target.mkdir(mode=0o700, exist_ok=True)
    for name in names:
        if (source / name).exists():
            (source / name).rename(target / name)


def unpack_attempts(stage: Path, target: Path) -> Iterator[int]:
    """Lay down the attempts that the backup has; their ids."""
    for packed in sorted((stage / "attempts").glob("*.tar")):
        with tarfile.open(packed) as archive:
            archive.extractall(target, filter="tar")
        yield int(packed.name.partition("-")[0])


def settle(there: set[int]) -> str:
    """What was under way goes on where its workspace came along; everything else becomes idle with a reason. Tells how many."""
    idle = 0
    for attempt in Attempt.objects.filter(ended_at=None).select_related("task__project"):
        with transaction.atomic():
            attempt.task.lock()
            idle += _settle(attempt, attempt.pk in there)
    return f"{len(there)} workspaces are back; {idle} attempts were under way without one, and wait for a person."


def _settle(attempt: Attempt, has_workspace: bool) -> bool:
    """Whether a session was ended: its attempt is idle now. The machine may be another one."""
    row = Attempt.objects.filter(pk=attempt.pk)
    row.update(runner="")
    whole = has_workspace or not attempt.base_oid  # where nothing was begun, nothing is missing
    if whole and attempt.lease != Lease.CLAIMED:
        return False
    live = attempt.live_session
    if live is not None:
        end_session(
            live, State.INTERRUPTED, Reason.RESTORED, "" if whole else "Its workspace was not in the backup."
        )
    row.update(
        lease=Lease.IDLE,
        owner="",
        pid=0,
        pid_started=0,
        fence=F("fence") + 1,
        cancel_requested_at=None,
        stop_verb="",
    )
    if not has_workspace:  # OpenCode's conversations were in the same folder
        Session.objects.filter(attempt=attempt).update(opencode_session_id="")
    attempt.task.note("attempt.restored", session_id=live.pk if live else None, workspace=has_workspace)
    return live is not None
