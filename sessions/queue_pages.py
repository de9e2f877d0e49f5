"""The queue, for people: who is at work, who is next, and moving what waits."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from sessions import lineup, pauses
from sessions.models import Pause
from sessions.models.place import Way
from studio.errors import Invalid
from studio.http import PageRequest
from studio.roles import Role
from tasks.models import Project
from tasks.views import task_for_member


@login_required
@require_safe
def queue(request: PageRequest) -> HttpResponse:
    """Everything that the person may see of the queue."""
    return _queue(request)


@login_required
@require_POST
def move(request: PageRequest, pk: int) -> HttpResponse:
    """Take it to the top of its priority in its project, or past the one before or behind it."""
    task = task_for_member(request, pk)
    if request.POST.get("to") not in Way.values:
        raise Invalid("Say where to move it: top, up or down.", fields={"to": "top, up or down"})
    lineup.waiting(task).move(Way(request.POST["to"]), by=request.user)
    return _queue(request) if request.htmx else redirect("sessions:queue")


def _queue(request: PageRequest) -> HttpResponse:
    projects = Project.objects.visible_to(request.user)
    paused = Pause.objects.visible_to(request.user).exclude(project=None).select_related("project", "by")
    context = {
        "lineup": lineup.seen_by(request.user),
        "workers": settings.STUDIO_CONCURRENCY,
        "paused": pauses.shown(paused, request.user),
        "may_move": set(projects.where(request.user, Role.MEMBER).values_list("pk", flat=True)),
        "may_pause": projects.open().where(request.user, Role.MAINTAINER).exclude(pauses__isnull=False),
    }
    return render(request, "sessions/_queue.html" if request.htmx else "sessions/queue.html", context)
