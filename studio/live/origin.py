"""Which pages may open a socket: only this Studio's own, by scheme, host and port."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

PORTS = {"http": 80, "https": 443}


def headers(scope: dict[str, Any], name: bytes) -> list[str]:
    """Every value that the request gives for one header."""
    return [value.decode("latin1") for key, value in scope.get("headers", []) if key.lower() == name]


def host_is_known(scope: dict[str, Any]) -> bool:
    """Whether the request names one of our own hosts: a foreign name that resolves to this machine is refused."""
    hosts = headers(scope, b"host")
    allowed = settings.ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]
    return len(hosts) == 1 and bool(validate_host(split_domain_port(hosts[0])[0], allowed))


def is_own(scope: dict[str, Any]) -> bool:
    """Whether the page that asks came from the same scheme, host and port; without an origin nobody knows."""
    origins = headers(scope, b"origin")
    if len(origins) != 1 or not host_is_known(scope):
        return False
    scheme = urlsplit(settings.STUDIO_URL).scheme
    own = {_place(settings.STUDIO_URL), _place(f"{scheme}://{headers(scope, b'host')[0]}")}
    return _place(origins[0]) in own - {None}


def _place(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname or parts.path or parts.query or parts.fragment or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port
