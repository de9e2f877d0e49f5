"""`manage.py resume`: end the pause of everything."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from sessions.models import Pause
from studio.errors import Conflict


class Command(BaseCommand):
    help = "Ends the pause of all projects, whoever made it. Projects that are paused themselves stay so."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            Pause.resume(None)
        except Conflict as conflict:
            sys.exit(conflict.message)
        self.stdout.write("Resumed: what waits is started.")
