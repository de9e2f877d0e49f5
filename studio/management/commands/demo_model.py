"""`manage.py demo_model`: serves the demo model on loopback until SIGTERM or SIGINT."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from studio.demo_model.server import DemoModel


class Command(BaseCommand):
    help = "Serves the demo model: a scripted, OpenAI-compatible server on 127.0.0.1 that is no AI."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port", type=int, default=settings.STUDIO_DEMO_MODEL_PORT, help="0: any free one"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        server = DemoModel(options["port"])
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        thread = threading.Thread(target=server.serve_forever, name="demo-model")
        thread.start()
        self.stdout.write(f"The demo model (no AI) answers on {server.url}")
        stop.wait()
        server.shutdown()
        thread.join()
        server.server_close()
