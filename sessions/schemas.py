"""What the API takes and shows of sessions, their activity and the agent's requests."""

from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import StringConstraints

from sessions import removal
from sessions.admission import Obstacles
from sessions.models import Activity, Attempt, Request, Session
from sessions.models.session import Phase, State
from sessions.workspaces.diff import Diff
from studio.api import Input, Text, Timestamp
from tasks.standing import Words

Label = Annotated[Text, StringConstraints(max_length=10_000)]


class AnswerIn(Input):
    """For a permission `reply` and, if you like, `message`; for a question `answers`, or `reject`."""

    reply: Literal["once", "always", "reject"] | None = None
    message: Annotated[Text, StringConstraints(max_length=10_000)] = ""
    answers: Annotated[list[Annotated[list[Label], Field(max_length=50)]], Field(max_length=50)] | None = (
        Field(None, description="For each question its chosen labels, or words of your own.")
    )
    reject: bool = False


class Started(Schema):
    """An execution was started; it goes on in the background."""

    task_id: int
    session_id: int
    status: Literal["execution_started"]
    message: str


class Merged(Schema):
    """The change has landed as the commit `oid` on `branch`."""

    task_id: int
    status: str
    oid: str
    branch: str


class AttemptOut(Schema):
    """`workspace` is none, here, removed (in the trash, restorable until then), purged, or elsewhere; `bytes` its size on the disk."""

    id: int
    task: int
    number: int
    is_current: bool
    status: str
    lease: str
    branch: str
    base_oid: str
    head_oid: str
    workspace: Literal["none", "here", "removed", "purged", "elsewhere"]
    bytes: int
    recovery_ref: str
    restorable_until: Timestamp | None
    created_at: Timestamp
    ended_at: Timestamp | None


class AccountOut(Schema):
    """What an attempt came to. `findings` counts the open ones by severity; the change's counts are null where it cannot be read."""

    attempt: int
    number: int
    is_current: bool
    status: str
    checks: dict[str, str] = Field(description="The state of each check, the last time they ran.")
    findings: dict[str, int]
    files: int | None
    additions: int | None
    deletions: int | None
    seconds: float
    tokens: dict[str, int]
    cost: float
    models: list[str]


class LossOut(Schema):
    """What a workspace has and the target branch has not. `is_kept`: the project's repository has all of it, under refs/studio/."""

    changed: list[str]
    untracked: list[str]
    commits: int
    left_out: list[str]
    is_kept: bool


class FileOut(Schema):
    path: str
    old_path: str
    status: str
    additions: int
    deletions: int
    binary: bool
    too_large: bool
    content: str = Field(description="git's id of what it holds now; zeros where it is deleted.")


class DiffOut(Schema):
    """What the current attempt changed. `cut` says what is not shown; `left_out` are repositories inside the workspace."""

    task_id: int
    attempt_number: int
    base_oid: str
    head_oid: str
    additions: int
    deletions: int
    files: list[FileOut]
    patch: str
    cut: str
    left_out: list[str]


class SessionOut(Schema):
    id: int
    task: int
    task_key: str
    attempt: int
    attempt_number: int
    phase: Phase
    step: int | None = Field(description="The phase of the plan that it implements, by its id.")
    state: State
    reason: str = Field(description="Why it ended without its result; empty otherwise.")
    detail: str
    advice: str = Field(description="What a person can do about it.")
    by: int | None
    model: str
    doing: str
    todos: list[Any]
    retry_notice: str
    result: Any
    opencode_session_id: str
    rev: int
    tokens: dict[str, Any]
    cost: float
    created_at: Timestamp
    started_at: Timestamp | None
    active_at: Timestamp | None
    ended_at: Timestamp | None


class ActivityOut(Schema):
    seq: int
    rev: int
    id: str
    message_id: str
    opencode_session_id: str
    depth: int
    kind: Activity.Kind
    tool: str
    state: str
    title: str
    input: Any
    output: str
    text: str
    metadata: Any
    tokens: Any
    cost: float
    started_at: Timestamp | None
    ended_at: Timestamp | None
    thinned_at: Timestamp | None = Field(description="When texts and outputs were taken away for good.")


class ProgressOut(Schema):
    """`level` is `working`, `quiet`, `stalled` or `paused` (it waits for more than a worker: `reason`); `stops_at` is when Studio stops it if nothing comes, `again_at` when it
    tries the provider again."""

    level: Literal["working", "quiet", "stalled", "paused"]
    since: Timestamp | None
    stops_at: Timestamp | None
    again_at: Timestamp | None
    reason: str


class Execution(Schema):
    """What runs now: from `session_id` to `last_activity` all is null when nothing does."""

    task_id: int
    status: str
    session_id: int | None
    phase: Phase | None
    state: State | None
    since: Timestamp | None
    owner: str | None
    stopping: bool | None
    doing: str | None
    progress: ProgressOut | None = Field(description="How it gets on: null while nothing runs.")
    last_activity: ActivityOut | None
    last_session: SessionOut | None = Field(description="The newest session, also when it has ended.")


class RequestOut(Schema):
    id: int
    task: int
    session: int
    kind: Request.Kind
    body: Any
    state: Request.State
    answer: Any
    answered_by: int | None
    opened_at: Timestamp
    answered_at: Timestamp | None
    delivered_at: Timestamp | None


def show_session(session: Session) -> dict[str, Any]:
    """As `SessionOut`; load its attempt, task and project with it."""
    plain = ["id", "phase", "state", "reason", "detail", "advice", "model", "doing", "todos", "retry_notice"]
    plain += ["result", "opencode_session_id", "rev", "tokens"]
    times = ["created_at", "started_at", "active_at", "ended_at"]
    return (
        {name: getattr(session, name) for name in plain}
        | {name: (at := getattr(session, name)) and at.isoformat() for name in times}
        | {
            "task": session.attempt.task_id,
            "task_key": session.task.key,
            "attempt": session.attempt_id,
            "attempt_number": session.attempt.number,
            "by": session.by_id,
            "step": session.step_id,
            "cost": float(session.cost),
        }
    )


def show_attempt(attempt: Attempt) -> dict[str, Any]:
    """As `AttemptOut`; load its task and project with it."""
    plain = ["id", "number", "is_current", "status", "lease", "branch", "base_oid", "head_oid"]
    there = removal.folder(attempt)
    return {name: getattr(attempt, name) for name in plain} | {
        "task": attempt.task_id,
        "workspace": there.state,
        "bytes": there.bytes,
        "recovery_ref": attempt.recovery_ref if attempt.trash else "",
        "restorable_until": there.until and there.until.isoformat(),
        "created_at": attempt.created_at.isoformat(),
        "ended_at": attempt.ended_at and attempt.ended_at.isoformat(),
    }


def show_activity(entry: Activity) -> dict[str, Any]:
    """As `ActivityOut`."""
    return entry.to_dict()


def show_request(asked: Request) -> dict[str, Any]:
    """As `RequestOut`; load its session's attempt with it."""
    plain = ["id", "kind", "body", "state", "answer"]
    times = ["opened_at", "answered_at", "delivered_at"]
    return (
        {name: getattr(asked, name) for name in plain}
        | {name: (at := getattr(asked, name)) and at.isoformat() for name in times}
        | {
            "task": asked.session.attempt.task_id,
            "session": asked.session_id,
            "answered_by": asked.answered_by_id,
        }
    )


def show_diff(diff: Diff) -> dict[str, Any]:
    """The part of `DiffOut` that the diff itself tells."""
    named = list(FileOut.model_fields)
    return {
        "additions": diff.additions,
        "deletions": diff.deletions,
        "files": [{name: getattr(file, name) for name in named} for file in diff.files],
        "patch": diff.to_text(),
        "cut": diff.cut,
        "left_out": diff.left_out,
    }


def show_progress(session: Session) -> dict[str, Any]:
    """How a live session gets on, as `ProgressOut`."""
    waits = Obstacles().of(session.attempt) if session.state == "queued" else Words("")
    level = "paused" if waits.about else session.silence or "working"
    since = session.silent_since if session.silence else session.active_at or session.created_at
    times = {"since": since, "stops_at": session.stops_at, "again_at": waits.again_at}
    return {"level": level, "reason": waits.about} | {
        name: at and at.isoformat() for name, at in times.items()
    }
