"""The attempts of a task, for people: what of them lies on the disk, removing it, and undoing that."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from sessions import removal
from sessions.models import Attempt
from studio.errors import Refusal
from studio.http import PageRequest
from studio.roles import Role
from tasks.lifecycle import allows
from tasks.views import page, task_for_member


@login_required
@require_safe
def attempts(request: PageRequest, pk: int) -> HttpResponse:
    """Each attempt with its folder, and the way to remove it or to undo that."""
    context = page(request, pk, "attempts")
    waiting = Count("follow_ups", filter=Q(follow_ups__state="queued"))
    mine = Attempt.objects.filter(task=pk).select_related("task__project").annotate(waiting=waiting)
    mine = mine.order_by("-number")
    context["rows"] = [(attempt, removal.folder(attempt)) for attempt in mine]
    context["may_change"] = allows("new-attempt", context["task"].status) and not context["standing"].live
    return render(request, "sessions/attempts.html", context)


@login_required
@require_POST
def new_attempt(request: PageRequest, pk: int) -> HttpResponse:
    """Try the task again from scratch, beside the attempt that it has."""
    Attempt.anew(task_for_member(request, pk), by=request.user)
    return redirect("sessions:attempts", pk)


@login_required
@require_POST
def choose(request: PageRequest, pk: int) -> HttpResponse:
    """Go back to an attempt that was set aside."""
    attempt = find(request, pk)
    attempt.task.project.require(request.user, Role.MEMBER)
    attempt.choose(by=request.user)
    return redirect("sessions:attempts", attempt.task_id)


@login_required
def remove_workspace(request: PageRequest, pk: int) -> HttpResponse:
    """Show what would be lost with the workspace; a POST removes it."""
    attempt = find(request, pk)
    attempt.task.project.require(request.user, Role.MEMBER)
    if request.method == "POST":
        removal.remove(attempt, by=request.user)
        return redirect("sessions:attempts", attempt.task_id)
    context: dict[str, Any] = {"attempt": attempt, "task": attempt.task, "project": attempt.task.project}
    context["trash_days"] = settings.STUDIO_TRASH_DAYS
    try:
        context |= {"loss": removal.loss(attempt), "folder": removal.folder(attempt)}
    except Refusal as refusal:
        context["refusal"] = refusal
    return render(request, "sessions/remove_workspace.html", context)


@login_required
@require_POST
def restore_workspace(request: PageRequest, pk: int) -> HttpResponse:
    """Undo a removal."""
    attempt = find(request, pk)
    attempt.task.project.require(request.user, Role.MEMBER)
    removal.restore(attempt, by=request.user)
    return redirect("sessions:attempts", attempt.task_id)


def find(request: PageRequest, pk: int) -> Attempt:
    """The attempt, or 404 for who may not see it."""
    rows = Attempt.objects.visible_to(request.user).select_related("task__project")
    return get_object_or_404(rows, pk=pk)
