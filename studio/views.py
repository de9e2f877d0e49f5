"""Signing in and out, and what is shown when something goes wrong."""

import sys

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from studio import api, database
from studio.errors import Refusal
from studio.models import SignInLink

BACKEND = settings.AUTHENTICATION_BACKENDS[0]


@never_cache
@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    """By name and password, or by a link that works once."""
    if "token" in request.GET:
        return _redeem(request, request.GET["token"])
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    form = AuthenticationForm(request, request.POST or None)
    if request.method == "POST" and form.is_valid():
        login(request, form.get_user())
        return redirect(_next(request))
    context = {"form": form, "next": request.GET.get("next", "")}
    return render(request, "studio/sign_in.html", context, status=422 if form.is_bound else 200)


def _redeem(request: HttpRequest, token: str) -> HttpResponse:
    """A look ahead by a browser or a HEAD does not use the link up."""
    if request.method != "GET" or "prefetch" in request.headers.get("Sec-Purpose", ""):
        return HttpResponse(status=204)
    user = SignInLink.redeem(token)
    if user is not None:
        login(request, user, backend=BACKEND)
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    return render(request, "studio/link_used.html", status=403)


def _next(request: HttpRequest) -> str:
    """Where the person wanted to go, where that is on this Studio."""
    wanted = request.POST.get("next", "")
    own = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if own else settings.LOGIN_REDIRECT_URL


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the person's session on this browser."""
    logout(request)
    return redirect("studio:sign-in")


# --- what goes wrong -------------------------------------------------------------------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400, or 413 for a request that is larger than Studio reads."""
    if isinstance(exception, RequestDataTooBig):
        if not request.headers.get("HX-Request"):
            return render(request, "413.html", status=413)
        refusal = Refusal("That is too large. Nothing was changed.", code="too_large")
        response = render(request, "studio/_refusal.html", {"refusal": refusal}, status=413)
        response["HX-Retarget"], response["HX-Reswap"] = "#toasts", "beforeend"
        return response
    return render(request, "400.html", status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 (507) while the database cannot be used. Rendered without the request: its person is in that database."""
    problem = sys.exc_info()[1]
    if not isinstance(problem, database.AWAY):
        return HttpResponse(render_to_string("500.html"), status=500)
    if request.path.startswith("/api/"):
        return api.unavailable(request, problem)
    refusal = database.refusal(problem)
    template = "studio/_refusal.html" if request.headers.get("HX-Request") else "503.html"
    headers = {"Retry-After": "2", "HX-Retarget": "#toasts", "HX-Reswap": "beforeend"}
    return HttpResponse(
        render_to_string(template, {"refusal": refusal}), status=refusal.status, headers=headers
    )
