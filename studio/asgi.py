"""What daphne serves: static files first, then sockets and streams, then Django."""

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from servestatic import ServeStaticASGI

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studio.settings")
django: Any = get_asgi_application()  # sets Django up, which all that follows needs

from django.conf import settings  # noqa: E402

from studio.live.routing import http_urlpatterns, wants_stream, websocket_urlpatterns  # noqa: E402
from studio.turnstile import Turnstile  # noqa: E402

streams: Any = URLRouter(http_urlpatterns)
pages = Turnstile(django)


async def http(scope: Any, receive: Any, send: Any) -> None:
    """A stream in a Django view holds a thread for as long as it is open; a consumer holds none."""
    await (streams if wants_stream(scope) else pages)(scope, receive, send)


# No middleware of Channels: the consumers read cookie, token and origin themselves, again and again.
live = ProtocolTypeRouter({"http": http, "websocket": URLRouter(websocket_urlpatterns)})

settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # where nothing was collected yet
# In front of Django, not as middleware: a server with it hung when it was told to stop.
application = ServeStaticASGI(
    live, root=settings.STATIC_ROOT, prefix=settings.STATIC_URL, allow_all_origins=False
)
