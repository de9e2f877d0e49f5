"""What every page's frame needs."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest


def _unknown() -> bool:
    """Until the hand-over nobody knows."""
    return False


# Whether a script plays the agent's part. The app of the sessions hands its answer in; it is asked for every page.
demo_model: Callable[[], bool] = _unknown


def shell(request: HttpRequest) -> dict[str, Any]:
    """Banners that must stand on every page."""
    return {
        "sync_mode": settings.STUDIO_SYNC,
        "sandbox_off": not settings.STUDIO_SANDBOX,
        "demo_model": demo_model(),
    }
