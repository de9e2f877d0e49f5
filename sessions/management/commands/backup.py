"""`manage.py backup FILE`: a backup of the running Studio."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError

from sessions import backup


class Command(BaseCommand):
    help = "Writes the database and the secret key, as of one moment, into one archive; Studio may run meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target", type=Path, help="A file, or a folder for a file named by the time.")
        parser.add_argument(
            "--workspaces",
            action="store_true",
            help="Also the workspaces and conversations of attempts that nobody works on now.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = backup.make(options["target"].expanduser().absolute(), workspaces=options["workspaces"])
        except (backup.BackupFailed, DatabaseError) as reason:
            sys.exit(str(reason))
        self.stdout.write(f"{made}: {made.stat().st_size / 1e6:.1f} MB. It holds secrets: keep it private.")
