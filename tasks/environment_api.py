"""The API of a project's environment, for its maintainers. A secret's value goes in and never out."""

from typing import Annotated, Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema
from ninja.responses import Status as Reply

from studio.api import Input, Text, Timestamp, responses
from studio.roles import Role
from tasks.models import Audience, Project, Variable

projects = Router(tags=["Projects"])


class VariableIn(Input):
    """Without a `value` it keeps the one that it has."""

    name: Text
    value: Annotated[Text, Field(min_length=1)] | None = None
    is_secret: bool = True
    audience: Audience = Audience.CHECKS


class VariableOut(Schema):
    """`value` is null for a secret, whoever asks; `audience` is `checks` (with setup and clean-up) or `agents` (they too)."""

    id: int
    name: str
    value: str | None
    is_secret: bool
    audience: Audience
    changed_by: int | None
    changed_at: Timestamp


@projects.get("/{int:project_id}/environment", response=responses({200: list[VariableOut]}))
def list_variables(request: HttpRequest, project_id: int) -> Any:
    """The variables of what Studio runs for the project, without the values of secrets."""
    return [show_variable(each) for each in _project(request, project_id).variables.all()]


@projects.post("/{int:project_id}/environment", response=responses({200: VariableOut}, 409))
def set_variable(request: HttpRequest, project_id: int, variable: VariableIn) -> Any:
    """Set one, new or known by its name. What runs goes on with what it has."""
    project = _project(request, project_id)
    return show_variable(Variable.put(project, **variable.dict(), by=request.user))


@projects.delete("/{int:project_id}/environment/{int:variable_id}", response=responses({204: None}))
def remove_variable(request: HttpRequest, project_id: int, variable_id: int) -> Any:
    """Forget one."""
    get_object_or_404(_project(request, project_id).variables, pk=variable_id).remove(by=request.user)
    return Reply(204, None)


def show_variable(variable: Variable) -> dict[str, Any]:
    """As `VariableOut`."""
    return {
        "id": variable.pk,
        "name": variable.name,
        "value": variable.shown,
        "is_secret": variable.is_secret,
        "audience": variable.audience,
        "changed_by": variable.changed_by_id,
        "changed_at": variable.changed_at.isoformat(),
    }


def _project(request: HttpRequest, project_id: int) -> Project:
    project: Project = get_object_or_404(Project.objects.visible_to(request.user), pk=project_id)
    project.require(request.user, Role.MAINTAINER)
    return project
