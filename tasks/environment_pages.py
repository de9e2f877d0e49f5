"""The environment of a project, for its maintainers: the variables of what Studio runs, its setup and its clean-up."""

from typing import Any, ClassVar

from django import forms
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from studio.errors import Conflict, Invalid
from studio.http import PageRequest
from studio.roles import Role
from tasks.models import Audience, Event, Project, Variable
from tasks.models.scripts import validate_copied


class VariableForm(forms.Form):
    """A variable to set; without a value it keeps the one that it has."""

    name = forms.CharField(
        max_length=100, widget=forms.TextInput(attrs={"class": "mono", "placeholder": "API_TOKEN"})
    )
    value = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 2, "class": "mono", "spellcheck": "false"}),
        help_text="Left empty for one that is there: the value stays.",
    )
    is_secret = forms.BooleanField(
        label="Secret: kept sealed, never shown again, and taken out of all that is stored",
        required=False,
        initial=True,
    )
    audience = forms.ChoiceField(label="Who gets it", choices=Audience.choices, initial=Audience.CHECKS)

    def put(self, project: Project, *, by: Any) -> bool:
        """Set it; False with what is wrong at its field."""
        if not self.is_valid():
            return False
        data = self.cleaned_data
        value = data["value"].replace("\r\n", "\n") or None
        try:
            Variable.put(
                project, data["name"], value, is_secret=data["is_secret"], audience=data["audience"], by=by
            )
        except Invalid as wrong:
            for name, sentence in wrong.fields.items():
                self.add_error(name, sentence)
        except Conflict as conflict:
            self.add_error("value", conflict.message)
        return not self.errors


class CopiedField(forms.CharField):
    """Paths, one a line."""

    def prepare_value(self, value: Any) -> Any:
        """The lines of those that are set."""
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        """The paths, each one that can be copied."""
        paths = [line.strip() for line in super().clean(value).splitlines() if line.strip()]
        validate_copied(paths)
        return paths


class SetupForm(forms.ModelForm):
    """What happens in a workspace before the first phase, and before it is removed."""

    copied_files = CopiedField(
        label="Files to copy in",
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "class": "mono", "placeholder": ".env"}),
        help_text="Paths in the folder of the project, one a line. They are never committed.",
    )

    class Meta:
        model = Project
        fields: ClassVar = ["copied_files", "setup_command", "setup_seconds", "cleanup_command"]
        labels: ClassVar = {
            "setup_command": "Setup",
            "setup_seconds": "Seconds that it may take",
            "cleanup_command": "Clean-up",
        }
        help_texts: ClassVar = {
            "setup_command": "Once in each new workspace, before the agent begins. Where it fails, nothing begins.",
            "cleanup_command": "Before a workspace is removed, for 30 seconds at most. Where it fails, the workspace goes all the same.",
        }
        widgets: ClassVar = {
            name: forms.Textarea(attrs={"rows": 2, "class": "mono", "placeholder": example})
            for name, example in (
                ("setup_command", "npm ci"),
                ("cleanup_command", "docker compose down"),
            )
        }

    def update(self, *, by: Any) -> None:
        """Save it, with an event."""
        with transaction.atomic():
            project = self.save()
            Event.objects.create(
                name="project.updated", project=project, by=by, data={"fields": self.changed_data}
            )


@login_required
def environment(request: PageRequest, key: str) -> HttpResponse:
    """The variables, and a form that sets one; `?name=` fills it with one that is there."""
    project = _project(request, key)
    known = project.variables.filter(name=request.GET.get("name", "")).first()
    initial = known and {"name": known.name, "is_secret": known.is_secret, "audience": known.audience}
    form = VariableForm(request.POST or None, initial=initial or None)
    if request.method == "POST" and form.put(project, by=request.user):
        return redirect("tasks:environment", key)
    return _page(request, project, form, SetupForm(instance=project))


@login_required
@require_POST
def set_up(request: PageRequest, key: str) -> HttpResponse:
    """Change the setup, the clean-up and the files to copy in."""
    project = _project(request, key)
    form = SetupForm(request.POST, instance=project)
    if form.is_valid():
        form.update(by=request.user)
        return redirect("tasks:environment", key)
    return _page(request, project, VariableForm(), form)


def _page(request: PageRequest, project: Project, form: VariableForm, setup: SetupForm) -> HttpResponse:
    variables = project.variables.select_related("changed_by")
    context = {"form": form, "setup": setup, "project": project, "variables": variables}
    wrong = form.is_bound or setup.is_bound
    return render(request, "tasks/environment.html", context, status=422 if wrong else 200)


@login_required
@require_POST
def remove_variable(request: PageRequest, key: str, pk: int) -> HttpResponse:
    """Forget one."""
    variable = get_object_or_404(_project(request, key).variables, pk=pk)
    variable.remove(by=request.user)
    return redirect("tasks:environment", key)


def _project(request: PageRequest, key: str) -> Project:
    project = get_object_or_404(Project.objects.visible_to(request.user), key=key)
    project.require(request.user, Role.MAINTAINER)
    return project
