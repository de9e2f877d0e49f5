"""The API of a project's AGENTS.md: what the repository says to agents, and the task that writes it."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from ninja.responses import Status as Reply

from sessions import guidance
from studio.api import Missing, responses
from studio.roles import Role
from tasks.models import Project
from tasks.schemas import TaskOut, show_task

projects = Router(tags=["Projects"])


class AgentsFileOut(Schema):
    """AGENTS.md on `branch`; `text` is its beginning where `is_cut`. `task_id` is the open task that writes it, or null."""

    project_id: int
    branch: str
    exists: bool
    text: str
    is_cut: bool
    task_id: int | None


@projects.get("/{int:project_id}/agents-file", response=responses({200: AgentsFileOut}, 409))
def agents_file(request: HttpRequest, project_id: int) -> Any:
    """Whether the target branch has an AGENTS.md, and what it says."""
    project = _project(request, project_id)
    task = guidance.open_task(project)
    found = vars(guidance.agents_file(project))
    return {"project_id": project.pk, "branch": project.target_branch, "task_id": task and task.pk} | found


@projects.post("/{int:project_id}/agents-file", response=responses({201: TaskOut}, 409))
def write_agents_file(request: HttpRequest, project_id: int) -> Any:
    """File the task that has the agent write or renew it; the open one where there is one, so that a repeat makes no second."""
    project = _project(request, project_id)
    project.require(request.user, Role.MEMBER)
    return Reply(201, show_task(guidance.file_task(project, by=request.user)))


def _project(request: HttpRequest, project_id: int) -> Project:
    project = Project.objects.visible_to(request.user).filter(pk=project_id).first()
    if project is None:
        raise Missing("There is no such project, or it is not for you to see.")
    return project
