"""A backup of a running Studio: one archive with the database as of one moment, the keys, and, when asked for, workspaces."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from sessions import places
from sessions.models import Attempt
from sessions.models.attempt import Lease
from studio.health import VERSION
from tasks.models import Attachment

FORMAT = 1
MANIFEST, DATABASE, DUMP = "manifest.json", "studio.sqlite3", "studio.pgdump"
KEYS = ("secret_key", "vault_key")


class BackupFailed(Exception):
    """There is no backup; the message says why, and what to do."""


def make(target: Path, *, workspaces: bool) -> Path:
    """Write the archive to `target`, or into that folder under a name of its time; its path. Nothing half-made stays. Raises BackupFailed."""
    now = timezone.now()
    if target.is_dir():
        target = target / f"studio-{now:%Y%m%d-%H%M%S}.tar.gz"
    try:
        with tempfile.TemporaryDirectory(prefix=".studio-backup-", dir=target.parent) as scratch:
            draft = Path(scratch) / "archive"
            write(draft, Path(scratch), workspaces, now.isoformat())
            draft.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"The backup {target} could not be written: {error}.") from error
    return target


def write(draft: Path, scratch: Path, workspaces: bool, now: str) -> None:
    """The archive, readable by its owner only; the manifest with the sums comes last."""
    files: dict[str, dict[str, Any]] = {}
    with (
        open(draft, "xb", opener=private) as stream,
        tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive,
    ):

        def add(file: Path, name: str) -> None:
            files[name] = {"sha256": digest(file), "size": file.stat().st_size}
            archive.add(file, name)

        add(dump(scratch), DATABASE if connection.vendor == "sqlite" else DUMP)
        for key in KEYS:
            if (settings.STUDIO_HOME / key).exists():
                add(settings.STUDIO_HOME / key, key)
        for attachment in Attachment.objects.all():
            if attachment.path.is_file():  # one that was removed meanwhile is no loss
                add(attachment.path, attachment.path.relative_to(settings.STUDIO_HOME).as_posix())
        for attempt in resting() if workspaces else ():
            packed = pack(attempt, scratch)
            if (
                resting().filter(pk=attempt.pk, fence=attempt.fence).exists()
            ):  # nobody has worked there meanwhile
                add(packed, f"attempts/{packed.name}")
            packed.unlink()
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "made_at": now,
            "database": connection.vendor,
            "migrations": sorted(map(list, MigrationRecorder(connection).applied_migrations())),
            "files": files,
        }
        (scratch / MANIFEST).write_text(json.dumps(manifest, indent=1))
        archive.add(scratch / MANIFEST, MANIFEST)
        archive.close()
        os.fsync(stream.fileno())


def resting() -> Any:
    """The attempts that nobody works on now: the files of others change while they are read."""
    return Attempt.objects.exclude(lease=Lease.CLAIMED).select_related("task__project").order_by("pk")


def pack(attempt: Attempt, scratch: Path) -> Path:
    """The attempt's folder as one file."""
    folder = places.folder(attempt)
    packed = scratch / f"{folder.name}.tar"
    with tarfile.open(packed, "w") as archive:
        for part in ("workspace", "opencode"):
            if (folder / part).is_dir():
                archive.add(folder / part, f"{folder.name}/{part}")
    return packed


def dump(scratch: Path) -> Path:
    """The database as of one moment, while others go on writing."""
    if connection.vendor != "sqlite":
        return dump_postgresql(scratch / DUMP)
    copy = scratch / DATABASE
    source = sqlite3.connect(str(connection.settings_dict["NAME"]), timeout=20, isolation_level=None)
    with closing(source):
        source.execute("VACUUM INTO ?", (str(copy),))
    copy.chmod(0o600)
    return copy


def dump_postgresql(copy: Path) -> Path:
    """By pg_dump. The password goes by the environment: a command line is everybody's to read."""
    if shutil.which("pg_dump") is None:
        raise BackupFailed(
            "pg_dump is not on the PATH: install PostgreSQL's client (Debian, Ubuntu: apt install postgresql-client), "
            "or run pg_dump --format=custom yourself where it is."
        )
    names = {
        "PGHOST": "HOST",
        "PGPORT": "PORT",
        "PGUSER": "USER",
        "PGPASSWORD": "PASSWORD",
        "PGDATABASE": "NAME",
    }
    known = connection.settings_dict
    reached = {variable: str(known[name]) for variable, name in names.items() if known.get(name)}
    command = ["pg_dump", "--format=custom", "--no-owner", f"--file={copy}"]
    done = subprocess.run(command, env=os.environ | reached, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupFailed(f"pg_dump failed: {done.stderr.strip()}")
    return copy


def private(path: str, flags: int) -> int:
    """An opener for files that only their owner may read."""
    return os.open(path, flags, 0o600)


def digest(file: Path) -> str:
    """The file's SHA-256."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
