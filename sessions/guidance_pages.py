"""What a project's agents are told, for people: its AGENTS.md with a button that has it written, and Studio's own instructions."""

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from sessions import guidance
from studio.errors import Conflict, Invalid, Refusal
from studio.http import PageRequest
from studio.roles import Role
from tasks.models import Project
from tasks.models.instructions import LONGEST

MOST_SHOWN = 10  # earlier versions


class InstructionsForm(forms.Form):
    """A new version; `base` is the one that it was made of."""

    base = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    text = forms.CharField(
        label="What every session of this project is told",
        required=False,
        widget=forms.Textarea(
            attrs={
                "rows": 10,
                "class": "mono",
                "maxlength": LONGEST,
                "placeholder": "Ask before you add a dependency.",
            }
        ),
        help_text=f"Markdown, at most {LONGEST:,} characters: each prompt carries all of them. Empty takes them back. Secrets of the project are taken out.",
    )

    def write(self, project: Project, *, by: Any) -> int:
        """Save it; else the status of the answer, with what is wrong at its field. After a 409 a second press saves it upon the newest."""
        if not self.is_valid():
            return 422
        try:
            guidance.instruct(project, self.cleaned_data["text"], base=self.cleaned_data["base"], by=by)
        except Invalid as wrong:
            self.add_error("text", wrong.message)
            return 422
        except Conflict as late:
            if late.code != "old_instructions":
                raise
            self.data = {"text": self.data.get("text", ""), "base": late.data["newest"]}
            self.add_error("text", f"{late.message} Yours is kept here; saving again puts it after that one.")
            return 409
        return 302


@login_required
@require_safe
def agents_file(request: PageRequest, key: str) -> HttpResponse:
    """Whether the target branch has the file, how it begins, and what Studio tells agents besides."""
    return _page(request, get_object_or_404(Project.objects.visible_to(request.user), key=key))


def _page(request: PageRequest, project: Project, bound: Any = None, status: int = 200) -> HttpResponse:
    versions = list(project.instructions.select_related("by")[: MOST_SHOWN + 1])
    newest = versions[0] if versions else None
    role = project.role_of(request.user)
    filled = {"base": newest.version if newest else 0, "text": newest.text if newest else ""}
    context: dict[str, Any] = {
        "project": project,
        "task": guidance.open_task(project),
        "instructions": newest,
        "shown": versions if bound else versions[1:],  # beside a text that was not saved, the newest too
        "may_instruct": role is not None and role.covers(Role.MAINTAINER) and not project.archived_at,
        "form": bound or InstructionsForm(initial=filled),
    }
    try:
        context["file"] = guidance.agents_file(project)
    except Refusal as refusal:
        context["trouble"] = refusal.message
    return render(request, "sessions/agents_file.html", context, status=status)


@login_required
@require_POST
def write_agents_file(request: PageRequest, key: str) -> HttpResponse:
    """File the task that writes it."""
    project = get_object_or_404(Project.objects.visible_to(request.user), key=key)
    project.require(request.user, Role.MEMBER)
    return redirect(guidance.file_task(project, by=request.user))


@login_required
@require_POST
def write_instructions(request: PageRequest, key: str) -> HttpResponse:
    """A new version of the instructions."""
    project = get_object_or_404(Project.objects.visible_to(request.user), key=key)
    project.require(request.user, Role.MAINTAINER)
    form = InstructionsForm(request.POST)
    status = form.write(project, by=request.user)
    if status == 302:
        return redirect(f"{reverse('sessions:agents-file', args=[key])}#instructions")
    return _page(request, project, form, status)
