"""What a refusal looks like, at one place for pages and htmx; the API has its own shape in studio/api.py."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from studio.errors import Refusal


class ConflictMiddleware:
    """Turns a `Refusal` raised by a view into a page, or for htmx a message in the corner, with the right status."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Django's hook; None leaves other exceptions to Django."""
        if not isinstance(exception, Refusal):
            return None
        template = "studio/_refusal.html" if request.headers.get("HX-Request") else "studio/refusal.html"
        return render(request, template, {"refusal": exception}, status=exception.status)
