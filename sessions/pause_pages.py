"""Pause and resume, for people: a project, or everything."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from sessions.forms import PauseForm
from sessions.models import Pause
from studio.errors import Conflict
from studio.http import PageRequest
from tasks.models import Project


@login_required
@require_safe
def pauses(request: PageRequest) -> HttpResponse:
    """The banner; `?project=` names the project whose page it is on."""
    project = Project.objects.visible_to(request.user).filter(key=request.GET.get("project", "")).first()
    return render(request, "sessions/_pauses.html", {"project": project})


@login_required
def pause(request: PageRequest, key: str = "") -> HttpResponse:
    """Pause a project, or without a key all of them: the form asks why, and what becomes of what runs."""
    project = _project(request, key)
    form = PauseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            Pause.begin(project, by=request.user, **form.cleaned_data)
        except Conflict as conflict:
            form.add_error(None, conflict.message)
        else:
            return _back(project)
    context = {"form": form, "project": project}
    return render(request, "sessions/pause.html", context, status=422 if form.is_bound else 200)


@login_required
@require_POST
def resume(request: PageRequest, key: str = "") -> HttpResponse:
    """Go on."""
    project = _project(request, key)
    Pause.resume(project, by=request.user)
    return _back(project)


def _project(request: PageRequest, key: str) -> Project | None:
    """The project, for who may pause it; None is everything."""
    project = get_object_or_404(Project.objects.visible_to(request.user), key=key) if key else None
    Pause.require(request.user, project)
    return project


def _back(project: Project | None) -> HttpResponse:
    return redirect("tasks:board", project.key) if project else redirect("sessions:queue")
