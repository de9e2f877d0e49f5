"""What was measured where: versions, and how busy the machine was with other things."""

import os
import platform
import subprocess
import time

from django.db import connection

from sessions.opencode.server import binary


def described() -> list[tuple[str, str]]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    opencode = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT sqlite_version()")
        sqlite = cursor.fetchone()[0]
    return [
        ("commit", commit.stdout.strip() or "unknown"),
        (
            "versions",
            f"Python {platform.python_version()}, SQLite {sqlite}, OpenCode {opencode.stdout.strip()}",
        ),
        *load(),
    ]


def load() -> list[tuple[str, str]]:
    one, five, fifteen = os.getloadavg()
    return [
        ("time", time.strftime("%Y-%m-%d %H:%M:%S %Z")),
        ("load", f"{one:.2f} {five:.2f} {fifteen:.2f} (1, 5, 15 minutes) on {os.cpu_count()} cores"),
    ]
