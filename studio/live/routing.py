"""The addresses that Channels answers, before Django."""

import re
from typing import Any

from django.urls import path, re_path

from studio.live.consumer import LiveConsumer
from studio.live.origin import headers
from studio.live.streams import ActivityStream, EventStream

EVENTS = r"^api/events/?$"
ACTIVITY = r"^api/sessions/(?P<pk>\d{1,15})/activity/?$"

websocket_urlpatterns = [path("live/", LiveConsumer.as_asgi())]
http_urlpatterns = [
    re_path(EVENTS, EventStream.as_asgi()),
    re_path(ACTIVITY, ActivityStream.as_asgi()),
]


def wants_stream(scope: dict[str, Any]) -> bool:
    """Whether a request is for `http_urlpatterns`: the events always, a session's activity by its `Accept`."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    where = scope["path"].removeprefix("/")
    if re.match(EVENTS, where):
        return True
    accepted = ",".join(headers(scope, b"accept")).lower()
    return "text/event-stream" in accepted and re.match(ACTIVITY, where) is not None
