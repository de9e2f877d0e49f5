"""What every page's frame needs."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def shell(request: HttpRequest) -> dict[str, Any]:
    """Banners that must stand on every page."""
    return {"sync_mode": settings.STUDIO_SYNC, "sandbox_off": not settings.STUDIO_SANDBOX}
