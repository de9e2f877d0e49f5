"""`manage.py watchdog`: the watch over the ledger, in a process of its own."""

import logging
import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections, connection

from sessions.watch import Watch

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Takes attempts back from workers that died, and restarts a cluster that hangs."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        watch = Watch()
        while not stop.wait(settings.STUDIO_REAP_SECONDS):
            try:
                close_old_connections()
                watch.round()
            except DatabaseError:
                log.exception("the database cannot be used; trying again")
                connection.close()
