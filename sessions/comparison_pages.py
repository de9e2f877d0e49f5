"""Attempts of a task beside each other, for people."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from sessions import comparison
from studio.http import PageRequest
from tasks.lifecycle import allows
from tasks.views import page


@login_required
@require_safe
def compare_attempts(request: PageRequest, pk: int) -> HttpResponse:
    """What each came to, and the changes of two of them file by file."""
    context: dict[str, Any] = page(request, pk, "attempts", is_aside=True)
    found = comparison.accounts(context["task"])
    context |= {"accounts": found, "viewed": {}, "remarks": {}, "may_comment": {}}
    context["may_change"] = allows("new-attempt", context["task"].status) and not context["standing"].live
    if two := comparison.two_of(found, request.GET):
        left, right = two
        readable = left.diff is not None and right.diff is not None
        context |= {"left": left, "right": right, "readable": readable}
        if left.diff is not None and right.diff is not None:
            context["pairs"] = comparison.pairs(left.diff, right.diff)
    return render(request, "sessions/comparison.html", context)
