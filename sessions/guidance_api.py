"""The API of what a project's agents are told: its AGENTS.md with the task that writes it, and Studio's own instructions."""

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from ninja.responses import Status as Reply

from sessions import guidance
from studio.api import Input, Missing, Text, Timestamp, responses
from studio.roles import Role
from tasks.models import Instructions, Project
from tasks.models.instructions import LONGEST
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


class InstructionsIn(Input):
    """All that agents are to be told. `base`: the version that yours was made of, 0 where there is none; 409 (`old_instructions`, with
    `newest`) where another came between."""

    text: Annotated[Text, Field(max_length=LONGEST)]
    base: Annotated[int, Field(ge=0, le=1_000_000)]


class InstructionsOut(Schema):
    """One version; where nobody has written any, version 0 with an empty text."""

    project_id: int
    version: int
    text: str
    by: int | None
    at: Timestamp | None


@projects.get("/{int:project_id}/instructions", response=responses({200: InstructionsOut}))
def instructions(
    request: HttpRequest,
    project_id: int,
    version: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
) -> Any:
    """What Studio tells the project's agents, besides their task: the newest version, or the one that is named."""
    project = _project(request, project_id)
    if version is None:
        return show_instructions(project, project.instructions.first())
    found = project.instructions.filter(version=version).first()
    if found is None:
        raise Missing("There is no such version.")
    return show_instructions(project, found)


@projects.put("/{int:project_id}/instructions", response=responses({200: InstructionsOut}, 409))
def write_instructions(request: HttpRequest, project_id: int, written: InstructionsIn) -> Any:
    """A new version, for maintainers; the next session takes it. Secrets of the project are taken out."""
    project = _project(request, project_id)
    project.require(request.user, Role.MAINTAINER)
    made = guidance.instruct(project, written.text, base=written.base, by=request.user)
    return show_instructions(project, made)


def show_instructions(project: Project, one: Instructions | None) -> dict[str, Any]:
    """As `InstructionsOut`."""
    return {
        "project_id": project.pk,
        "version": one.version if one else 0,
        "text": one.text if one else "",
        "by": one and one.by_id,
        "at": one and one.at.isoformat(),
    }


def _project(request: HttpRequest, project_id: int) -> Project:
    project = Project.objects.visible_to(request.user).filter(pk=project_id).first()
    if project is None:
        raise Missing("There is no such project, or it is not for you to see.")
    return project
