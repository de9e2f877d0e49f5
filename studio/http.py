"""The request as Studio's middleware leaves it."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class PageRequest(HttpRequest):
    """A request for a page or a part of one."""

    htmx: HtmxDetails
    live_cursor: int
