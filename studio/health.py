"""What a load balancer and a supervisor ask: does it live, and is it ready for work."""

import sqlite3
import tomllib

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

VERSION: str = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]["version"]


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers; nothing else is asked."""
    return JsonResponse({"status": "ok", "version": VERSION})


@login_not_required
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """The database answers and has every migration."""
    try:
        missing = _missing_migrations()
    except DatabaseError:
        return _not_ready("The database cannot be reached.")
    if missing:
        return _not_ready(f"{missing} migrations are missing: run manage.py migrate.")
    return JsonResponse({"status": "ready", "version": VERSION, "database": database_version()})


def database_version() -> str:
    """`SQLite 3.53.4`, as it is linked here: versions before 3.51.3 can corrupt a database. The name alone for others."""
    return f"{connection.display_name} {sqlite_version()}".strip()


def sqlite_version() -> str:
    """Empty where the database is another one."""
    return sqlite3.sqlite_version if connection.vendor == "sqlite" else ""


def _missing_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _not_ready(message: str) -> JsonResponse:
    return JsonResponse({"error": "not_ready", "message": message, "fields": {}}, status=503)
