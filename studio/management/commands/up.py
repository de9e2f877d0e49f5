"""`manage.py up`: prepares the data folder, starts every process of Studio and prints the sign-in link."""

import hashlib
import http.client
import io
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection, connections
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.loader import MigrationLoader
from django.urls import reverse
from django.utils import timezone

from studio import health, preflight, queue
from studio.models import SignInLink
from studio.supervisor import Program, StartFailed, Supervisor

MANAGE = [sys.executable, str(settings.BASE_DIR / "manage.py")]


class Command(BaseCommand):
    help = (
        "Starts Studio: web processes, two clusters, the watchdog and the demo model. Ctrl-C stops them all."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.up(settings.STUDIO_HOME)
        except (preflight.Missing, StartFailed) as reason:
            sys.exit(str(reason))
        except InconsistentMigrationHistory as broken:
            sys.exit(f"The database is half migrated, and only a backup helps: {broken}")
        except DatabaseError as error:
            sys.exit(f"The database cannot be used: {str(error).strip()}")
        except KeyboardInterrupt:
            sys.exit(130)

    def up(self, home: Path) -> None:
        preflight.check_home()
        with (
            preflight.lock(home, settings.STUDIO_URL),
            preflight.listen(settings.STUDIO_HOST, settings.STUDIO_PORT) as listener,
        ):
            Supervisor(home, programs(listener), say).run(partial(self.prepare, home), answers, self.announce)

    def prepare(self, home: Path) -> None:
        """All that has to be done before a page may be served."""
        self.introduce(home)
        refuse_newer_database()
        prepare()
        set_right(home)
        connections.close_all()

    def introduce(self, home: Path) -> None:
        say(f"Studio starts: data and logs in {home}, {health.database_version()}.")
        for note in preflight.notes(health.sqlite_version(), settings.STUDIO_SANDBOX):
            say(note)

    def announce(self) -> None:
        self.stdout.write(f"Studio is ready: {address()}{sign_in_path()}")
        self.stdout.flush()
        connections.close_all()


def say(text: str) -> None:
    """Notes go to stderr: the link is the one line on stdout."""
    print(text, file=sys.stderr, flush=True)


# --- the data folder -----------------------------------------------------------------------------------------------


def refuse_newer_database() -> None:
    """An older Studio would read and write a newer one's rows wrongly."""
    loader = MigrationLoader(connection)
    unknown = loader.applied_migrations.keys() - loader.disk_migrations.keys()
    newer = sorted(f"{app}.{name}" for app, name in unknown if app in loader.migrated_apps)
    if newer:
        raise preflight.Missing(
            f"The database was migrated by a newer Studio ({', '.join(newer)}): start that one, or restore a backup from before."
        )


def prepare() -> None:
    call_command("migrate", interactive=False, verbosity=0)
    queue.keep_schedules()
    collect_static()
    if not get_user_model()._default_manager.exists():
        begin()


def set_right(home: Path) -> None:
    """Say what an earlier Studio left behind and what became of it, in the terminal and in logs/start.log."""
    report = io.StringIO()
    call_command("reconcile", stdout=report)
    for sentence in report.getvalue().splitlines():
        say(sentence)
    if report.getvalue():
        (home / "logs").mkdir(mode=0o700, exist_ok=True)
        with (home / "logs" / "start.log").open("a") as log:
            log.write(f"{timezone.now():%Y-%m-%d %H:%M:%S} UTC\n{report.getvalue()}")


def begin() -> None:
    """The first start: the demo project, and `admin`, who has no password and comes in by the link."""
    call_command("demo_project", stdout=sys.stderr)
    get_user_model()._default_manager.create_superuser("admin")  # last: it marks that all this is done


def collect_static() -> None:
    """Only when a file changed: it takes seconds, and a second start should not."""
    mark = settings.STUDIO_HOME / "static.sum"
    current = static_sum()
    if not mark.exists() or mark.read_text() != current or not settings.STATIC_ROOT.exists():
        call_command("collectstatic", interactive=False, clear=True, verbosity=0)
        mark.write_text(current)


def static_sum() -> str:
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            stat = os.stat(storage.path(name))
            digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def sign_in_path() -> str:
    """The one-time link of the first account that may do everything."""
    admin = get_user_model()._default_manager.filter(is_superuser=True, is_active=True).order_by("pk").first()
    return (
        f"{reverse('studio:sign-in')}?token={SignInLink.issue(admin)}" if admin else reverse("studio:sign-in")
    )


# --- the processes -------------------------------------------------------------------------------------------------


def programs(listener: socket.socket) -> list[Program]:
    port = os.environ.get("STUDIO_DEMO_MODEL_PORT") or preflight.usable_port(
        "127.0.0.1", settings.STUDIO_DEMO_MODEL_PORT
    )
    environment = {"STUDIO_DEMO_MODEL_PORT": str(port), "PYTHONUNBUFFERED": "1"}
    return [
        *(web(name, environment, listener) for name in web_names()),
        *(cluster(name, environment) for name in (settings.LONG_JOBS, settings.SHORT_JOBS)),
        Program("watchdog", [*MANAGE, "watchdog"], environment),
        Program("demo_model", [*MANAGE, "demo_model"], environment, outlives_others=True),
    ]


def web_names() -> list[str]:
    """One web process where executions run inside requests; else as many as are set."""
    count = 1 if settings.STUDIO_SYNC else settings.STUDIO_WEB_PROCESSES
    return ["web", *(f"web_{number}" for number in range(2, count + 1))]


def web(name: str, environment: dict[str, str], listener: socket.socket) -> Program:
    """All web processes accept from one socket, which stays when one of them dies."""
    command = [sys.executable, "-m", "studio.web", "--verbosity", "0", "--fd", str(listener.fileno())]
    return Program(name, [*command, "studio.asgi:application"], environment, listener=listener)


def cluster(name: str, environment: dict[str, str]) -> Program:
    return Program(name, [*MANAGE, "cluster", name], environment | {"Q_CLUSTER_NAME": name})


def loopback() -> str:
    """Where a server that listens on every address is reached from here."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.STUDIO_HOST, settings.STUDIO_HOST)


def address() -> str:
    """What a browser opens: no browser can open 0.0.0.0."""
    return str(settings.STUDIO_URL).replace("//0.0.0.0:", "//127.0.0.1:")


def answers() -> bool:
    """Whether a web process serves requests; before, the call waits in the socket that is open already."""
    server = http.client.HTTPConnection(loopback(), settings.STUDIO_PORT, timeout=1)
    try:
        server.request("GET", "/healthz", headers={"Host": "127.0.0.1"})
        return server.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        server.close()
