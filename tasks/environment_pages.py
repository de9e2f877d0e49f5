"""The environment of a project, for its maintainers: the variables of what Studio runs. A secret's value goes in and never out."""

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from studio.errors import Conflict, Invalid
from studio.http import PageRequest
from studio.roles import Role
from tasks.models import Audience, Project, Variable


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


@login_required
def environment(request: PageRequest, key: str) -> HttpResponse:
    """The variables, and a form that sets one; `?name=` fills it with one that is there."""
    project = _project(request, key)
    known = project.variables.filter(name=request.GET.get("name", "")).first()
    initial = known and {"name": known.name, "is_secret": known.is_secret, "audience": known.audience}
    form = VariableForm(request.POST or None, initial=initial or None)
    if request.method == "POST" and form.put(project, by=request.user):
        return redirect("tasks:environment", key)
    context = {"form": form, "project": project, "variables": project.variables.select_related("changed_by")}
    return render(request, "tasks/environment.html", context, status=422 if form.is_bound else 200)


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
