"""`manage.py drain`: pause everything, as before an upgrade, and wait until nothing runs."""

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sessions import pauses
from sessions.models import Pause
from studio.errors import Conflict

LOOK_SECONDS = 0.5


class Command(BaseCommand):
    help = (
        "Pauses all projects: what runs finishes its session, nothing new starts. `manage.py resume` ends it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--wait",
            type=float,
            default=0,
            metavar="SECONDS",
            help="Wait so long until nothing runs; the exit code says whether it does (0) or something still runs (1).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            pause = Pause.begin(None, reason="An operator drains Studio.")
        except Conflict as conflict:
            self.stdout.write(conflict.message)
            pause = Pause.objects.get(project=None)
        until = time.monotonic() + options["wait"]
        while (running := pauses.at_work(pause)) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        if running and options["wait"]:
            sys.exit(f"Not drained: {running} still at work. The pause stands.")
        still = f"{running} still at work." if running else "Drained: nothing runs."
        self.stdout.write(f"Nothing new starts. {still}")
