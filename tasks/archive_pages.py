"""Archive and restore, for people: a project that is only kept."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from studio.http import PageRequest
from studio.roles import Role
from tasks.models import Project


@login_required
def archive(request: PageRequest, key: str) -> HttpResponse:
    """What it means, with the tasks that have to end first; then archive it."""
    project = _project(request, key)
    if request.method == "POST":
        project.archive(by=request.user)
        return redirect("tasks:projects")
    running = project.at_work.select_related("project")
    return render(request, "tasks/archive.html", {"project": project, "running": running})


@login_required
@require_POST
def restore(request: PageRequest, key: str) -> HttpResponse:
    """Work on it again."""
    project = _project(request, key)
    project.restore(by=request.user)
    return redirect("tasks:board", key)


def _project(request: PageRequest, key: str) -> Project:
    project = get_object_or_404(Project.objects.visible_to(request.user), key=key)
    project.require(request.user, Role.MAINTAINER, archived=True)
    return project
