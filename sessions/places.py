"""Where the things of an attempt lie in the data folder, and the mark that its processes carry."""

import hashlib
from pathlib import Path

from django.conf import settings

from sessions.models import Attempt
from sessions.workspaces.git import Workspace, isolation
from sessions.workspaces.repository import Repository, inspect
from sessions.workspaces.sandbox import Sandbox, availability
from tasks.models import attachment


def marker(attempt: Attempt) -> str:
    """In the environment of every process of the attempt; another Studio on this machine has other marks."""
    return f"{mark_of_home()}{attempt.pk}"


def mark_of_home() -> str:
    """How the marks of all attempts of this data folder begin."""
    return hashlib.sha256(str(settings.STUDIO_HOME).encode()).hexdigest()[:10] + "-"


def folder(attempt: Attempt) -> Path:
    """The attempt's folder: `workspace`, `opencode` (its data, with the agent's home), `opencode.json`,
    `instructions.md` where the project instructs its agents, and `opencode.log`."""
    return Path(settings.STUDIO_HOME) / "attempts" / f"{attempt.pk}-{attempt.key}"


def trash() -> Path:
    """Where removed folders lie until they are deleted for good; beside the attempts, so that a move is one rename."""
    return Path(settings.STUDIO_HOME) / "trash"


def opencode_data(attempt: Attempt) -> Path:
    """Where the attempt's OpenCode keeps its conversations; the agent can write there."""
    return folder(attempt) / "opencode"


def repository(attempt: Attempt, target_branch: str = "") -> Repository:
    """The project's repository, with the task's target branch unless another is named; raises Invalid where it cannot be worked on."""
    return inspect(Path(attempt.task.project.path), target_branch or attempt.task.target)


def sandbox(attempt: Attempt, source: Repository) -> Sandbox:
    """The sandbox of everything that runs for the attempt."""
    place = folder(attempt)
    home = opencode_data(attempt) / "home"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    attached = attachment.folder(attempt.task_id)
    attached.mkdir(parents=True, exist_ok=True, mode=0o700)  # what is attached later is seen through it too
    return isolation(
        source,
        place / "workspace",
        home,
        marker(attempt),
        readable=(
            place / "opencode.json",
            place / "instructions.md",
            attached,
            *map(Path, attempt.task.project.readable_paths),
        ),
        writable=(opencode_data(attempt),),
        enabled=is_sandboxed(),
    )


def is_sandboxed() -> bool:
    """Whether agents are isolated here: wanted, and possible."""
    return bool(settings.STUDIO_SANDBOX) and availability().usable


def workspace(attempt: Attempt) -> Workspace:
    """The attempt's workspace, made or not."""
    source = repository(attempt)
    place = folder(attempt) / "workspace"
    return Workspace(
        source.path, place, attempt.key, sandbox(attempt, source), never=tuple(attempt.copied_files)
    )
