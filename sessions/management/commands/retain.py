"""`manage.py retain`: what the short cluster does once a day, now."""

from typing import Any

from django.core.management.base import BaseCommand

from sessions import retention
from studio.retention import clear_records


class Command(BaseCommand):
    help = "Thins the activity of tasks finished STUDIO_RETENTION_DAYS ago, and deletes old records."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Thinned {retention.thin()} entries, deleted {clear_records()} records.")
