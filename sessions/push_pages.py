"""A task's branch on the project's remote, for people: pushing it, how that went, and which remote it is."""

from typing import ClassVar

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from sessions import pushing
from sessions.models import Push
from studio.http import PageRequest
from studio.roles import Role
from tasks.models import Project, Remote
from tasks.views import page, task_for_member


class RemoteForm(forms.ModelForm):
    """Which of the repository's remotes, and what stands there."""

    class Meta:
        model = Remote
        fields: ClassVar = ["name", "forge"]
        labels: ClassVar = {"name": "Remote", "forge": "Forge"}
        help_texts: ClassVar = {
            "name": "One of those that the repository has; see git remote -v.",
            "forge": "It says how the link to a pull request reads. Where the address names none, there is no link.",
        }
        widgets: ClassVar = {"name": forms.TextInput(attrs={"class": "mono"})}


@login_required
def push(request: PageRequest, pk: int) -> HttpResponse:
    """Push the branch (POST); how the last push went, for htmx, and without it the page that has it."""
    if request.method == "POST":
        pushing.ask(task_for_member(request, pk), by=request.user)
    elif request.htmx:
        context = page(request, pk, "changes", push=Push.objects.filter(task=pk).first())
        return render(request, "sessions/_push.html", context)
    return redirect(reverse("sessions:landing", args=[pk]) + "#push")


@login_required
def remote(request: PageRequest, key: str) -> HttpResponse:
    """The project's remote, for its maintainers."""
    project = get_object_or_404(Project.objects.visible_to(request.user), key=key)
    project.require(request.user, Role.MAINTAINER)
    form = RemoteForm(request.POST or None, instance=Remote.of(project))
    if request.method == "POST" and form.is_valid():
        Remote.put(project, by=request.user, **form.cleaned_data)
        return redirect("tasks:board", key)
    context = {"form": form, "project": project}
    return render(request, "sessions/remote.html", context, status=422 if form.is_bound else 200)
