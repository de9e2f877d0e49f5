"""What daphne serves: static files first, then sockets and streams, then Django."""

import importlib
import importlib.util
import os
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path
from servestatic import ServeStaticASGI

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studio.settings")
django: Any = get_asgi_application()  # sets Django up, which all that follows needs

from django.conf import settings  # noqa: E402


def live_routes(name: str) -> list[Any]:
    """The routes `name` of studio.live.routing."""
    if importlib.util.find_spec("studio.live.routing") is None:
        return []
    return list(getattr(importlib.import_module("studio.live.routing"), name, []))


live = ProtocolTypeRouter(
    {
        # A stream in a Django view holds a thread for as long as it is open; a consumer holds none.
        "http": URLRouter([*live_routes("http_urlpatterns"), re_path(r"", django)]),
        "websocket": AuthMiddlewareStack(URLRouter(live_routes("websocket_urlpatterns"))),
    }
)

settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # where nothing was collected yet
# In front of Django, not as middleware: a server with it hung when it was told to stop.
application = ServeStaticASGI(
    live, root=settings.STATIC_ROOT, prefix=settings.STATIC_URL, allow_all_origins=False
)
