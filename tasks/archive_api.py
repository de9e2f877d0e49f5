"""The API of archiving a project and of taking it back."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router

from studio.api import responses
from studio.roles import Role
from tasks import schemas
from tasks.models import Project

projects = Router(tags=["Projects"])


@projects.post("/{int:project_id}/archive", response=responses({200: schemas.ProjectOut}, 409))
def archive_project(request: HttpRequest, project_id: int) -> Any:
    """Keep it for reading only; its maintainers may. 409 (`running`) names the `tasks` that have to end first."""
    project = _project(request, project_id)
    project.archive(by=request.user)
    return schemas.show_project(project)


@projects.post("/{int:project_id}/restore", response=responses({200: schemas.ProjectOut}, 409))
def restore_project(request: HttpRequest, project_id: int) -> Any:
    """Work on it again. 409 (`not_archived`) where it is not archived."""
    project = _project(request, project_id)
    project.restore(by=request.user)
    return schemas.show_project(project)


def _project(request: HttpRequest, project_id: int) -> Project:
    project: Project = get_object_or_404(Project.objects.visible_to(request.user), pk=project_id)
    project.require(request.user, Role.MAINTAINER, archived=True)
    return project
