"""The file that says that Studio stops: who works ends what it started, hands its attempt back and begins nothing new."""

from pathlib import Path

from django.conf import settings


def file() -> Path:
    """Where the supervisor puts it; the next start takes it away."""
    return Path(settings.STUDIO_HOME) / "run" / "drain"


def has_begun() -> bool:
    """Whether Studio stops."""
    return file().exists()
