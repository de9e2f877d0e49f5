"""`manage.py restore FILE`: a backup takes the place of what is there."""

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from sessions.backup import BackupFailed
from sessions.restore import restore
from studio import preflight


class Command(BaseCommand):
    help = "Puts a backup in the place of the data, which is kept aside. Refused while Studio runs."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("archive", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with preflight.lock(settings.STUDIO_HOME, "manage.py restore"):
                for sentence in restore(options["archive"].expanduser().absolute()):
                    self.stdout.write(sentence)
        except (preflight.Missing, BackupFailed) as reason:
            sys.exit(str(reason))
