"""The API of projects and tasks; what needs an agent's sessions is in sessions/api.py."""

from typing import Annotated, Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router
from ninja.responses import Status as Reply
from pydantic import StringConstraints

from studio import queue
from studio.api import Cursor, Id, Limit, Page, Text, page, responses
from studio.errors import Conflict, Forbidden, Invalid
from studio.repeat import DOCUMENTED, repeatable
from studio.roles import Role
from tasks import offers, repositories, schemas
from tasks.lifecycle import Status
from tasks.models import Event, Priority, Project, Task
from tasks.models.project import AT_WORK

projects = Router(tags=["Projects"])
tasks = Router(tags=["Tasks"])

Words = Annotated[Text, StringConstraints(max_length=200)]
Confirm = Annotated[Text, StringConstraints(max_length=10)]


# --- projects -----------------------------------------------------------------------------------------------------


@projects.get("", response=responses({200: Page[schemas.ProjectOut]}))
def list_projects(
    request: HttpRequest, archived: bool = False, cursor: Cursor = 0, limit: Limit = 100
) -> Any:
    """The projects that you are in, oldest first; those that are archived only with `archived=true`, which lists no others."""
    mine = Project.objects.visible_to(request.user)
    rows = (mine.archived() if archived else mine.open()).filter(pk__gt=cursor).order_by("pk")
    return page(rows, schemas.show_project, limit)


@projects.post("", response=responses({201: schemas.ProjectOut}))
def create_project(request: HttpRequest, new: schemas.ProjectIn) -> Any:
    """Add a repository on Studio's machine. Only staff may. 422 says what is wrong with the path."""
    if not request.user.is_staff:
        raise Forbidden("Only staff may add a project: it opens a folder of this machine to agents.")
    found = repositories.inspect(new.path, new.target_branch)
    fields = new.dict(exclude_unset=True) | {
        "path": str(getattr(found, "path", new.path)),
        "target_branch": getattr(found, "target_branch", new.target_branch or "main"),
    }
    project = Project(**fields)
    project.full_clean()
    try:
        with transaction.atomic():
            project.save()
            project.memberships.create(user=request.user, role=Role.ADMIN)
            _note(project, "project.created", request.user, key=project.key)
    except IntegrityError as error:
        raise Invalid("The key is taken.", fields={"key": "Another project has it."}) from error
    return Reply(201, schemas.show_project(project))


@projects.get("/{int:project_id}", response=responses({200: schemas.ProjectOut}))
def get_project(request: HttpRequest, project_id: int) -> Any:
    """One project."""
    return schemas.show_project(_project(request, project_id))


@projects.patch("/{int:project_id}", response=responses({200: schemas.ChangedProject}))
def change_project(request: HttpRequest, project_id: int, change: schemas.ProjectChange) -> Any:
    """Change its settings; maintainers may. What runs already goes on as it began."""
    project = _project(request, project_id, Role.MAINTAINER)
    fields = change.dict(exclude_unset=True)
    if {"trusted", "readable_paths"} & fields.keys() and not request.user.is_staff:
        raise Forbidden("Only staff may open more of this machine to agents: trusted and readable_paths.")
    if "target_branch" in fields:
        found = repositories.inspect(project.path, fields["target_branch"])
        fields["target_branch"] = getattr(found, "target_branch", fields["target_branch"] or "main")
    if "permissions" in fields:
        fields["permissions"] = project.permissions | fields["permissions"]
    for name, value in fields.items():
        setattr(project, name, value)
    with transaction.atomic():
        project.save(update_fields=list(fields))
        _note(project, "project.updated", request.user, fields=sorted(fields))
        if "most_sessions" in fields:
            queue.ring_for_all()
    named = [value for name, value in fields.items() if name == "model" or name.endswith("_model")]
    return schemas.show_project(project) | {"warnings": offers.known().doubts(named)}


@projects.delete("/{int:project_id}", response=responses({202: schemas.ProjectOut}, 409))
def delete_project(request: HttpRequest, project_id: int, confirm: Confirm = "") -> Any:
    """Delete it with its tasks, in the background; its admins may, with its key as `confirm`, and not while something works on a task of it.

    Ask first what that takes. The repository stays as it is; a clone of Studio's and the workspaces go to the trash.
    """
    project = _project(request, project_id)
    project.require(request.user, Role.ADMIN, archived=True)
    project.begin_delete(confirm, by=request.user)
    return Reply(202, schemas.show_project(project))


# --- tasks --------------------------------------------------------------------------------------------------------


@tasks.get("", response=responses({200: Page[schemas.TaskOut]}))
def list_tasks(
    request: HttpRequest,
    project: Id | None = None,
    status: Status | None = None,
    q: Words = "",
    cursor: Cursor = 0,
    limit: Limit = 50,
) -> Any:
    """The tasks that you may see, newest first. `project` is an id, `q` words of title or description, or a key."""
    rows = (
        Task.objects.visible_to(request.user)
        .select_related("project")
        .prefetch_related("blockers")
        .order_by("-pk")
    )
    if project is not None:
        rows = rows.filter(project_id=project)
    if status is not None:
        rows = rows.filter(status=status)
    if cursor:
        rows = rows.filter(pk__lt=cursor)
    return page(_search(rows, q.strip()), schemas.show_task, limit)


@tasks.post("", response=responses({201: schemas.TaskOut}), openapi_extra=DOCUMENTED)
@repeatable
def create_task(request: HttpRequest, new: schemas.TaskIn) -> Any:
    """File a task in a project that you are a member of."""
    project = Project.objects.visible_to(request.user).filter(pk=new.project).first()
    if project is None:
        raise Invalid(
            "There is no such project.", fields={"project": "It is not there, or not for you to see."}
        )
    project.require(request.user, Role.MEMBER)
    fields = _fields(project, new.dict(exclude_unset=True, exclude={"project"}))
    task = Task.file(project, by=request.user, **fields)
    return Reply(201, schemas.show_task(task))


@tasks.get("/{int:task_id}", response=responses({200: schemas.TaskOut}))
def get_task(request: HttpRequest, task_id: int) -> Any:
    """One task."""
    return schemas.show_task(find(request, task_id))


@tasks.patch("/{int:task_id}", response=responses({200: schemas.TaskOut}))
def change_task(request: HttpRequest, task_id: int, change: schemas.TaskChange) -> Any:
    """Change its title, description, policies or place in the order. Its state is changed by its verbs only."""
    task = find(request, task_id, Role.MEMBER)
    fields = _fields(task.project, change.dict(exclude_unset=True))
    if fields:
        task.edit(by=request.user, **fields)
    return schemas.show_task(task)


@tasks.delete("/{int:task_id}", response=responses({204: None}, 409))
def delete_task(request: HttpRequest, task_id: int) -> Any:
    """Remove it with all that happened in it; maintainers may, and not while an agent works. To give it up, cancel it."""
    task = find(request, task_id, Role.MAINTAINER)
    with transaction.atomic():
        task.lock()
        _refuse_while_running(Task.objects.filter(pk=task.pk))
        _note(task.project, "task.deleted", request.user, key=task.key, title=task.title)
        task.delete()
    return Reply(204, None)


# --- a task's verbs that start nothing ------------------------------------------------------------------------------


@tasks.post("/{int:task_id}/cancel", response=responses({200: schemas.Stopping, 202: schemas.Stopping}, 409))
def cancel(request: HttpRequest, task_id: int) -> Any:
    """Give it up, and stop its agent. 202 while the agent is being stopped."""
    task = find(request, task_id, Role.MEMBER)
    return _stopped(task, task.cancel(by=request.user))


@tasks.post(
    "/{int:task_id}/back-to-todo", response=responses({200: schemas.Stopping, 202: schemas.Stopping}, 409)
)
def back_to_todo(request: HttpRequest, task_id: int) -> Any:
    """Put it back to do and keep its attempt. 202 while its agent is being stopped."""
    task = find(request, task_id, Role.MEMBER)
    return _stopped(task, task.back_to_todo(by=request.user))


@tasks.post("/{int:task_id}/reopen", response=responses({200: schemas.TaskOut}, 409))
def reopen(request: HttpRequest, task_id: int) -> Any:
    """Put a done or cancelled task back to do; the next execute makes a new attempt."""
    task = find(request, task_id, Role.MEMBER)
    task.reopen(by=request.user)
    return schemas.show_task(find(request, task_id))


@tasks.post("/{int:task_id}/mark-done", response=responses({200: schemas.TaskOut}, 409))
def mark_done(request: HttpRequest, task_id: int) -> Any:
    """Finish a task in review without a merge; its branch stays."""
    task = find(request, task_id, Role.MEMBER)
    task.mark_done(by=request.user)
    return schemas.show_task(find(request, task_id))


# --- what belongs to a task -----------------------------------------------------------------------------------------


@tasks.get("/{int:task_id}/events", response=responses({200: Page[schemas.EventOut]}))
def list_events(request: HttpRequest, task_id: int, after: Cursor = 0, limit: Limit = 100) -> Any:
    """What happened to it, oldest first, from behind the event `after`."""
    rows = find(request, task_id).events.filter(pk__gt=after).order_by("pk")
    return page(rows, schemas.show_event, limit)


# --- shared ---------------------------------------------------------------------------------------------------------


def find(request: HttpRequest, task_id: int, role: Role | None = None) -> Task:
    """The task, where the caller may see it and has that role; 404 and 403 otherwise."""
    rows = Task.objects.visible_to(request.user).select_related("project")
    task: Task = get_object_or_404(rows, pk=task_id)
    if role is not None:
        task.project.require(request.user, role)
    return task


def _project(request: HttpRequest, project_id: int, role: Role | None = None) -> Project:
    project: Project = get_object_or_404(Project.objects.visible_to(request.user), pk=project_id)
    if role is not None:
        project.require(request.user, role)
    return project


def _fields(project: Project, fields: dict[str, Any]) -> dict[str, Any]:
    """What a script says of branch, priority, people and tasks, as the model has it. Raises `Invalid`."""
    if "target_branch" in fields:
        fields["target_branch"] = repositories.existing(project, fields["target_branch"])
    if "priority" in fields:
        fields["priority"] = Priority[fields["priority"].upper()]
    if fields.get("assignee") is not None:
        member = project.memberships.select_related("user").filter(user_id=fields["assignee"]).first()
        if member is None:
            raise Invalid("There is no such member.", fields={"assignee": "Not a member of the project."})
        fields["assignee"] = member.user
    if "blocked_by" in fields:
        found = list(project.tasks.filter(pk__in=fields["blocked_by"]))
        if len(found) < len(set(fields["blocked_by"])):
            raise Invalid(
                "There is no such task.", fields={"blocked_by": "Not all are tasks of the project."}
            )
        fields["blocked_by"] = found
    return fields


def _search(rows: QuerySet[Task], words: str) -> QuerySet[Task]:
    if not words:
        return rows
    matches = Q(title__icontains=words) | Q(description__icontains=words)
    key, _, number = words.upper().rpartition("-")
    if key and number.isascii() and number.isdigit() and len(number) < 10:
        matches |= Q(project__key=key, number=int(number))
    return rows.filter(matches)


def _refuse_while_running(rows: QuerySet[Task]) -> None:
    running = rows.filter(AT_WORK).select_related("project").first()
    if running is not None:
        raise Conflict(f"{running.key} is running: cancel it first.", code="running", task_id=running.pk)


def _stopped(task: Task, done: bool) -> Reply[dict[str, Any]]:
    if done:
        message = f"{task.key} is {task.get_status_display().lower()} now."
        return Reply(200, {"task_id": task.pk, "status": str(task.status), "message": message})
    message = f"The agent of {task.key} is being stopped."
    return Reply(202, {"task_id": task.pk, "status": "stopping", "message": message})


def _note(project: Project, name: str, by: Any, **data: Any) -> None:
    Event.objects.create(name=name, project=project, by=by, data=data)
