"""Light, dark, or as the system has it: a choice of the reader's in this browser, which every page is rendered with."""

from django.conf import settings
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from studio.errors import Invalid

COOKIE = "studio_theme"
KEPT = 365 * 86400  # seconds


class Theme(models.TextChoices):
    SYSTEM = "", "As the system"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


def of(request: HttpRequest) -> Theme:
    """The reader's choice; what a cookie says that Studio does not know counts as none."""
    given = request.COOKIES.get(COOKIE, "")
    return Theme(given) if given in Theme.values else Theme.SYSTEM


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Choose one, and go back to where that was done."""
    given = request.POST.get("theme", "?")
    if given not in Theme.values:
        raise Invalid("There is no such theme.", fields={"theme": "light, dark, or empty for the system's"})
    back = request.POST.get("back", "")
    ours = back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    response = redirect(back if ours else settings.LOGIN_REDIRECT_URL)
    response.set_cookie(
        COOKIE, given, KEPT, httponly=True, samesite="Lax", secure=bool(settings.SESSION_COOKIE_SECURE)
    )
    return response
