"""A task's branch on the project's remote, for people: pushing it, how that went, and which remote it is."""

from typing import Any, ClassVar

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from sessions import pull_requests, pushing
from sessions.models import Push
from studio.errors import Invalid
from studio.http import PageRequest
from studio.roles import Role
from tasks.models import Project, Remote, Task
from tasks.views import page, task_for_member


class RemoteForm(forms.ModelForm):
    """Which of the repository's remotes, what stands there, and the token for it, which is never shown again."""

    token = forms.CharField(
        required=False,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "class": "mono"}),
        help_text="With it Studio opens a pull request after each push. Left empty, the one that is there stays.",
    )
    remove_token = forms.BooleanField(label="Remove the token", required=False)

    class Meta:
        model = Remote
        fields: ClassVar = ["name", "forge", "api_url"]
        labels: ClassVar = {"name": "Remote", "forge": "Forge", "api_url": "Address of its API"}
        help_texts: ClassVar = {
            "name": "One of those that the repository has; see git remote -v.",
            "forge": "What stands there; GitHub Enterprise is GitHub. Where neither you nor the address says it, there is no link to a pull request.",
            "api_url": "Left empty, it follows from the remote's address, as https://git.example.org/api/v4 does for GitLab.",
        }
        widgets: ClassVar = {
            "name": forms.TextInput(attrs={"class": "mono"}),
            "api_url": forms.TextInput(attrs={"class": "mono", "inputmode": "url"}),
        }

    def put(self, project: Project, *, by: Any) -> bool:
        """Set it; False with what is wrong at its field."""
        if not self.is_valid():
            return False
        data = dict(self.cleaned_data)
        removed, token = data.pop("remove_token"), data.pop("token")
        try:
            pull_requests.set_remote(project, by=by, token=token or ("" if removed else None), **data)
        except Invalid as wrong:
            for name, sentence in wrong.fields.items():
                self.add_error(name, sentence)
        return self.is_valid()


@login_required
def push(request: PageRequest, pk: int) -> HttpResponse:
    """Push the branch (POST); how the last push went, for htmx, and without it the page that has it."""
    if request.method == "POST":
        pushing.ask(task_for_member(request, pk), by=request.user)
    elif request.htmx:
        context = page(request, pk, "changes")
        return render(request, "sessions/_push.html", context | standing(context["task"]))
    return redirect(reverse("sessions:landing", args=[pk]) + "#push")


@login_required
@require_POST
def refresh_pull_request(request: PageRequest, pk: int) -> HttpResponse:
    """Have the forge asked how the pull request stands."""
    pull_requests.refresh(task_for_member(request, pk))
    return redirect(reverse("sessions:landing", args=[pk]) + "#push")


def standing(task: Task) -> dict[str, Any]:
    """How the last push went, and the pull request that came of it."""
    return {"push": Push.objects.filter(task=task).first(), "pull": pull_requests.of(task)}


@login_required
def remote(request: PageRequest, key: str) -> HttpResponse:
    """The project's remote, for its maintainers."""
    project = get_object_or_404(Project.objects.visible_to(request.user), key=key)
    project.require(request.user, Role.MAINTAINER)
    form = RemoteForm(request.POST or None, instance=Remote.of(project))
    if request.method == "POST" and form.put(project, by=request.user):
        return redirect("tasks:board", key)
    context = {"form": form, "project": project, "remote": Remote.of(project)}
    return render(request, "sessions/remote.html", context, status=422 if form.is_bound else 200)
