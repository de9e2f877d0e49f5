"""Where the events are when a page begins to load, so that its socket can ask for what happened since."""

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db import connection
from django.http import HttpRequest, HttpResponse

from studio.live.relay import relay

OVERLAP = 50  # ids that PostgreSQL may have handed out below the newest visible one


def events_so_far() -> int:
    """An event id that everything read from now on is at least as new as."""
    if relay.head >= 0:
        return relay.head
    newest = apps.get_model("tasks.Event").objects.order_by("-id").values_list("id", flat=True).first() or 0
    return newest if connection.vendor == "sqlite" else max(newest - OVERLAP, 0)


class LiveCursorMiddleware:
    """`request.live_cursor` for `data-cursor`: read before the view reads anything, in requests for pages only."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.live_cursor = events_so_far() if _is_page(request) else 0  # type: ignore[attr-defined]
        return self.get_response(request)


def _is_page(request: Any) -> bool:
    return request.method == "GET" and not request.path.startswith(
        ("/api/", "/static/", "/healthz", "/readyz")
    )
