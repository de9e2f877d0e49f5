"""A project's AGENTS.md, for people: what the repository says to agents, and a button that has it written."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from sessions import guidance
from studio.errors import Refusal
from studio.http import PageRequest
from studio.roles import Role
from tasks.models import Project


@login_required
@require_safe
def agents_file(request: PageRequest, key: str) -> HttpResponse:
    """Whether the target branch has the file, and how it begins."""
    project = get_object_or_404(Project.objects.visible_to(request.user), key=key)
    context: dict[str, Any] = {"project": project, "task": guidance.open_task(project)}
    try:
        context["file"] = guidance.agents_file(project)
    except Refusal as refusal:
        context["trouble"] = refusal.message
    return render(request, "sessions/agents_file.html", context)


@login_required
@require_POST
def write_agents_file(request: PageRequest, key: str) -> HttpResponse:
    """File the task that writes it."""
    project = get_object_or_404(Project.objects.visible_to(request.user), key=key)
    project.require(request.user, Role.MEMBER)
    return redirect(guidance.file_task(project, by=request.user))
