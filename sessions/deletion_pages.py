"""Deleting a project, for people: what it would take, and the key that confirms it."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from sessions import deletion
from studio.errors import Conflict, Invalid
from studio.http import PageRequest
from studio.roles import Role
from tasks.models import Project


@login_required
def delete_project(request: PageRequest, key: str) -> HttpResponse:
    """What it would take; then, with the key typed, have it deleted."""
    project = get_object_or_404(Project.objects.visible_to(request.user), key=key)
    project.require(request.user, Role.ADMIN, archived=True)
    wrong = ""
    if request.method == "POST":
        try:
            project.begin_delete(request.POST.get("confirm", "").strip(), by=request.user)
            return redirect("tasks:projects")
        except (Invalid, Conflict) as refusal:
            wrong = refusal.message
    context = {"project": project, "takes": deletion.takes(project), "wrong": wrong}
    context["trash_days"] = settings.STUDIO_TRASH_DAYS
    return render(request, "sessions/delete_project.html", context, status=422 if wrong else 200)
