"""The API of deleting a project."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema

from sessions import deletion
from studio.api import responses
from studio.roles import Role
from tasks.models import Project

projects = Router(tags=["Projects"])


class TakesOut(Schema):
    """What would go. Nothing of the person's own repository, but for what Studio keeps there under refs/studio/, which stays too."""

    tasks: int
    open_tasks: int
    sessions: int
    workspaces: int
    unmerged: list[str] = Field(description="Attempts with work in their workspace that is not merged.")
    unread: list[str] = Field(description="Attempts whose workspace could not be looked at now.")
    running: list[str] = Field(description="Tasks that have to end first.")
    bytes: int
    clone: str = Field(
        description="The repository's folder, where Studio has cloned it: it goes to the trash."
    )


@projects.get("/{int:project_id}/loss", response=responses({200: TakesOut}))
def project_loss(request: HttpRequest, project_id: int) -> Any:
    """What deleting it would take; its admins may ask."""
    found = deletion.takes(_project(request, project_id))
    shown = {
        name: getattr(found, name) for name in ("tasks", "open_tasks", "sessions", "workspaces", "bytes")
    }
    keys = {name: [each.key for each in getattr(found, name)] for name in ("unmerged", "unread", "running")}
    return shown | keys | {"clone": str(found.clone or "")}


def _project(request: HttpRequest, project_id: int) -> Project:
    project: Project = get_object_or_404(Project.objects.visible_to(request.user), pk=project_id)
    project.require(request.user, Role.ADMIN, archived=True)
    return project
