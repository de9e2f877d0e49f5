"""What every page's frame needs."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from studio import disk, themes

# Banner name to what it says or whether it stands on the page now. The app of the sessions adds its own; each is asked for every page.
banners: dict[str, Callable[[], Any]] = {
    "sync_mode": lambda: bool(settings.STUDIO_SYNC),
    "disk_short": disk.shortage,
}


def shell(request: HttpRequest) -> dict[str, Any]:
    """Banners that must stand on every page, and the theme that the reader has chosen."""
    return {"theme": themes.of(request), **{name: stands() for name, stands in banners.items()}}
