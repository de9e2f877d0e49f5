"""What the API takes and shows of projects, tasks and what belongs to them."""

from pathlib import Path
from typing import Annotated, Any, Literal

from django.conf import settings
from django.core.exceptions import ValidationError
from ninja import Field, Schema
from pydantic import AfterValidator, StringConstraints

from studio.api import FilledText, Id, Input, Text, Timestamp
from tasks.forms import LABEL_LENGTH, MOST_BLOCKERS, MOST_LABELS
from tasks.lifecycle import Status
from tasks.models import Event, Priority, Project, Task
from tasks.models.project import MODEL_NAME, MergeStrategy
from tasks.models.scripts import LONGEST_COMMAND, MOST_COPIED, validate_copied
from tasks.models.task import DESCRIPTION_LIMIT

COMMENT_LIMIT = DESCRIPTION_LIMIT


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _readable(text: str) -> str:
    """A folder that agents may read: never one that shows them Studio's own data."""
    folder = Path(text)
    if not folder.is_absolute():
        raise ValueError("Give the whole path, beginning with a slash.")
    folder, home = folder.resolve(), settings.STUDIO_HOME.resolve()
    if folder.is_relative_to(home) or home.is_relative_to(folder):
        raise ValueError("Studio's data folder lies in it, or it in the data folder.")
    return str(folder)


def _model(text: str) -> str:
    try:
        if text:
            MODEL_NAME(text)
    except ValidationError as wrong:
        raise ValueError(wrong.message) from wrong
    return text


def _copied(paths: list[str]) -> list[str]:
    try:
        validate_copied(paths)
    except ValidationError as wrong:
        raise ValueError(wrong.message) from wrong
    return paths


def _ask() -> Literal["ask"]:
    return "ask"


def _normal() -> Literal["normal"]:
    return "normal"


def distinct(checks: "list[CheckIn]") -> "list[CheckIn]":
    """The checks, no two of which have one name."""
    if len({check.name for check in checks}) < len(checks):
        raise ValueError("Two checks have the same name.")
    return checks


Title = Annotated[FilledText, StringConstraints(max_length=200), AfterValidator(_one_line)]
Description = Annotated[Text, StringConstraints(max_length=DESCRIPTION_LIMIT)]
Rounds = Annotated[int, Field(ge=0, le=20)]
Most = Annotated[int, Field(ge=1, le=1000)]
Line = Annotated[int, Field(ge=1, le=2**31 - 1)]
Name = Annotated[FilledText, StringConstraints(max_length=100)]
ModelName = Annotated[Text, StringConstraints(max_length=200), AfterValidator(_model)]
Branch = Annotated[Text, StringConstraints(max_length=200)]
Folder = Annotated[FilledText, StringConstraints(max_length=1000)]
ReadableFolder = Annotated[Folder, AfterValidator(_readable)]
Label = Annotated[FilledText, StringConstraints(max_length=LABEL_LENGTH), AfterValidator(_one_line)]
Command = Annotated[Text, StringConstraints(max_length=LONGEST_COMMAND)]
Action = Literal["allow", "ask", "deny"]


# --- in: a field with a `default_factory` may be left out, and then nothing is changed ------------------------------


class CheckIn(Input):
    """A command that Studio runs in the workspace."""

    name: Name
    command: Annotated[FilledText, StringConstraints(max_length=10_000)]
    timeout: Annotated[int, Field(ge=1, le=86_400, description="Seconds.")] = 600
    required: bool = True


class PermissionsIn(Input):
    """What agents may do, by OpenCode's classes; those left out stay as they are."""

    bash: Action = Field(default_factory=_ask)
    edit: Action = Field(default_factory=_ask)
    task: Action = Field(default_factory=_ask, description="Sub-agents.")
    read: Action = Field(default_factory=_ask, description=".env files; others are read freely.")
    webfetch: Action = Field(default_factory=_ask)
    external_directory: Action = Field(default_factory=_ask)
    doom_loop: Action = Field(default_factory=_ask, description="The same call again and again.")
    question: Literal["ask", "deny"] = Field(default_factory=_ask)


class PolicyIn(Input):
    """Parts of the policy; those left out stay as they are."""

    planning: bool = Field(default_factory=bool)
    plan_approval: bool = Field(default_factory=bool)
    ai_review: bool = Field(default_factory=bool)
    max_fix_rounds: Rounds = Field(default_factory=int)
    human_review: bool = Field(default_factory=bool)
    checks_required: bool = Field(default_factory=bool)
    approval_required: bool = Field(default_factory=bool)
    permissions: PermissionsIn = Field(default_factory=PermissionsIn)


class ProjectChange(PolicyIn):
    """What may change in a project: all but its key and its repository."""

    name: Name = Field(default_factory=str)
    target_branch: Branch = Field(default_factory=str, description="Empty: the branch that is checked out.")
    merge_strategy: MergeStrategy = Field(default_factory=lambda: MergeStrategy.MERGE)
    checks: Annotated[list[CheckIn], Field(max_length=50), AfterValidator(distinct)] = Field(
        default_factory=list
    )
    model: ModelName = Field(default_factory=str, description="provider/model; empty: the default.")
    planning_model: ModelName = Field(default_factory=str, description="Empty: `model`.")
    implementation_model: ModelName = Field(default_factory=str, description="Empty: `model`.")
    review_model: ModelName = Field(default_factory=str, description="Empty: `model`.")
    fix_model: ModelName = Field(default_factory=str, description="Empty: `model`.")
    trusted: bool = Field(
        default_factory=bool, description="Let the repository's own OpenCode configuration take effect."
    )
    readable_paths: Annotated[list[ReadableFolder], Field(max_length=50)] = Field(default_factory=list)
    setup_command: Command = Field(
        default_factory=str, description="Runs in each new workspace, before the first phase."
    )
    setup_seconds: Annotated[int, Field(ge=1, le=7200)] = Field(default_factory=int)
    cleanup_command: Command = Field(default_factory=str, description="Runs before a workspace is removed.")
    copied_files: Annotated[list[str], Field(max_length=MOST_COPIED), AfterValidator(_copied)] = Field(
        default_factory=list,
        description="Files of the checkout that git does not keep, as `.env`: each new workspace gets them.",
    )
    most_sessions: Most | None = Field(
        default=None, description="How many of its tasks are worked on at a time. null: no limit of its own."
    )


class ProjectIn(ProjectChange):
    """A new project."""

    key: Annotated[Text, StringConstraints(max_length=10)]
    name: Name
    path: Folder


class OrderIn(Input):
    """A task's place in the order of things; what is left out stays."""

    priority: Literal["urgent", "high", "normal", "low"] = Field(default_factory=_normal)
    labels: Annotated[list[Label], Field(max_length=MOST_LABELS)] = Field(default_factory=list)
    assignee: Id | None = Field(default=None, description="The id of a member of the project.")
    blocked_by: Annotated[list[Id], Field(max_length=MOST_BLOCKERS)] = Field(
        default_factory=list, description="Ids of tasks of the project that have to land before it may start."
    )
    start_when_unblocked: bool = Field(default_factory=bool)


class TaskIn(OrderIn):
    """A new task."""

    project: Id
    title: Title
    description: Description = ""
    target_branch: Branch = Field("", description="Where it lands. Empty: as the project says.")
    policies: PolicyIn = Field(
        default_factory=PolicyIn, description="What differs from the project's policy."
    )


class TaskChange(OrderIn):
    """What may change in a task."""

    title: Title = Field(default_factory=str)
    description: Description = Field(default_factory=str)
    target_branch: Branch = Field(default_factory=str, description="Empty: as the project says.")
    policies: PolicyIn = Field(default_factory=PolicyIn, description="Replaces all that differ.")


# --- out ----------------------------------------------------------------------------------------------------------


class CheckOut(Schema):
    name: str
    command: str
    timeout: float = 600
    required: bool = True


class ProjectOut(Schema):
    id: int
    key: str
    name: str
    path: str
    backend: Literal["git", "jj"] = Field(description="What keeps its repository.")
    target_branch: str
    merge_strategy: str
    checks: list[CheckOut]
    model: str
    planning_model: str
    implementation_model: str
    review_model: str
    fix_model: str
    trusted: bool
    readable_paths: list[str]
    setup_command: str
    setup_seconds: int
    cleanup_command: str
    copied_files: list[str]
    planning: bool
    plan_approval: bool
    ai_review: bool
    max_fix_rounds: int
    human_review: bool
    checks_required: bool
    approval_required: bool
    permissions: dict[str, str]
    most_sessions: int | None
    demo: bool
    archived_at: Timestamp | None = Field(description="Since when it is kept for reading only.")
    deleting: bool = Field(description="A job deletes it.")
    created_at: Timestamp


class ChangedProject(ProjectOut):
    warnings: list[str] = Field(description="What was saved, and may be wrong all the same.")


class TaskOut(Schema):
    id: int
    key: str
    project: int
    title: str
    description: str
    status: Status
    status_changed_at: Timestamp
    policies: dict[str, Any]
    priority: str
    labels: list[str]
    assignee: int | None
    blocked_by: list[int]
    start_when_unblocked: bool
    created_by: int | None
    created_at: Timestamp
    updated_at: Timestamp
    target_branch: str
    merged_oid: str


class EventOut(Schema):
    id: int
    name: str
    project: int
    task: int | None
    session: int | None
    by: int | None
    at: Timestamp
    data: dict[str, Any]


class Stopping(Schema):
    """202: an agent is being stopped, and the task moves when it is gone. 200: it has moved."""

    task_id: int
    status: str = Field(description="`stopping`, or the state that the task is in now.")
    message: str


def show_project(project: Project) -> dict[str, Any]:
    """As `ProjectOut`."""
    plain = [
        "id",
        "key",
        "name",
        "path",
        "backend",
        "target_branch",
        "checks",
        "model",
        "planning_model",
        "implementation_model",
        "review_model",
        "fix_model",
        "trusted",
    ]
    plain += ["setup_command", "setup_seconds", "cleanup_command", "copied_files"]
    plain += ["readable_paths", "demo", "merge_strategy", "most_sessions"]
    shown = {name: getattr(project, name) for name in plain} | project.policy._asdict()
    times: dict[str, Any] = {"archived_at": project.archived_at and project.archived_at.isoformat()}
    times["deleting"] = project.deleting_at is not None
    return shown | times | {"created_at": project.created_at.isoformat()}


def show_task(task: Task) -> dict[str, Any]:
    """As `TaskOut`; load its project and its blockers with it."""
    return {
        "id": task.pk,
        "key": task.key,
        "project": task.project_id,
        "title": task.title,
        "description": task.description,
        "status": str(task.status),
        "status_changed_at": task.status_changed_at.isoformat(),
        "policies": task.policies,
        "priority": Priority(task.priority).name.lower(),
        "labels": task.labels,
        "assignee": task.assignee_id,
        "blocked_by": [row.blocker_id for row in task.blockers.all()],
        "start_when_unblocked": task.start_when_unblocked,
        "created_by": task.created_by_id,
        "created_at": task.created_at.isoformat(),
        "updated_at": task.updated_at.isoformat(),
        "target_branch": task.target,
        "merged_oid": task.merged_oid,
    }


def show_event(event: Event) -> dict[str, Any]:
    """As `EventOut`."""
    return event.to_dict()
