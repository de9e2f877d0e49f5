"""What a refusal looks like, at one place for pages and htmx; the API has its own shape in studio/api.py."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url

from studio.errors import Refusal


class ConflictMiddleware:
    """Turns a `Refusal` raised by a view into a page, or for htmx a message in the corner, with the right status."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.headers.get("HX-Request") and _leads_to_sign_in(response):
            # Else htmx would follow the redirect, and put the sign-in page into a part of this one.
            return HttpResponse(status=204, headers={"HX-Refresh": "true"})
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Django's hook; None leaves other exceptions to Django."""
        if not isinstance(exception, Refusal):
            return None
        if not request.headers.get("HX-Request"):
            return render(request, "studio/refusal.html", {"refusal": exception}, status=exception.status)
        response = render(request, "studio/_refusal.html", {"refusal": exception}, status=exception.status)
        response["HX-Retarget"], response["HX-Reswap"] = "#toasts", "beforeend"
        return response


def _leads_to_sign_in(response: HttpResponse) -> bool:
    return response.status_code == 302 and response["Location"].startswith(resolve_url(settings.LOGIN_URL))
