"""Who is at the other end of a connection. Ask again now and then: sign-out and revocation do not cut connections."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, parse_cookie

from studio.live.origin import headers
from studio.models import ApiToken


def signed_in(scope: dict[str, Any]) -> Any:
    """The active person whose cookie it is, read afresh; None where there is none."""
    key = parse_cookie("; ".join(headers(scope, b"cookie"))).get(settings.SESSION_COOKIE_NAME)
    if not key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    return user if user.is_active else None


def caller(scope: dict[str, Any]) -> Any:
    """The person a script or a page acts for: by token, or (with no `Authorization` at all) by cookie."""
    given = headers(scope, b"authorization")
    if not given:
        return signed_in(scope)
    word, _, secret = given[0].partition(" ")
    token = ApiToken.find(secret.strip()) if word.lower() == "bearer" and len(given) == 1 else None
    return token.user if token else None
