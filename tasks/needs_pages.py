"""What waits for the reader, on one page, and how much that is."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from studio.http import PageRequest
from tasks import needs
from tasks.models import Attention
from tasks.views import back, task_for_member


@login_required
@require_safe
def needs_you(request: PageRequest) -> HttpResponse:
    """All that waits for the person, the oldest first; `?project=` is a key, `?kind=` one of the kinds."""
    everything = needs.of(request.user)
    key, kind = request.GET.get("project", ""), request.GET.get("kind", "")
    shown = [need for need in everything if key in ("", need.task.project.key) and kind in ("", need.kind)]
    context = {
        "needs": shown,
        "total": len(everything),
        "kinds": {name: label for name, label in needs.KINDS.items() if name in {n.kind for n in everything}},
        "keys": sorted({need.task.project.key for need in everything}),
        "key": key,
        "kind": kind,
    }
    return render(request, "tasks/_needs.html" if request.htmx else "tasks/needs.html", context)


@login_required
@require_safe
def count(request: PageRequest) -> HttpResponse:
    """The link to the list, with how much it has."""
    return render(request, "tasks/_needs_count.html")


@login_required
@require_POST
def attend(request: PageRequest, pk: int) -> HttpResponse:
    """Say that one looks at it."""
    task = task_for_member(request, pk)
    Attention.attend(task, by=request.user)
    return back(request, task)


@login_required
@require_POST
def leave(request: PageRequest, pk: int) -> HttpResponse:
    """Say that one does not any more."""
    task = task_for_member(request, pk)
    Attention.leave(task, by=request.user)
    return back(request, task)
