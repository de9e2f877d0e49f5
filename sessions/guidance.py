"""What agents are told: by a repository's AGENTS.md, with a task that writes it, and by Studio's own instructions for the project."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction

from sessions.workspaces.plumbing import SourceGit, checked
from sessions.workspaces.repository import inspect
from tasks.lifecycle import Status
from tasks.models import Instructions, Project, Task
from tasks.redaction import redact

NAME = "AGENTS.md"
SHOWN = 50_000  # bytes
WRITE = "Write AGENTS.md"
RENEW = "Bring AGENTS.md up to date"
DESCRIPTION = """\
{verb} the file AGENTS.md at the top of this repository. Coding agents are given it at the start of each session.

Look before you write: say only what the repository shows, and leave out what cannot be found there.

- What this project is, in two sentences, and where the main parts lie.
- The commands that build, test and check it. Run those that are quick and keep those that work.
- The conventions that the code keeps: names, layout, tests, error handling.
- What an agent must not touch, such as generated files.

Keep it below 150 lines, in the language of the repository's documentation. Change no other file.
"""


@dataclass(frozen=True)
class AgentsFile:
    """AGENTS.md as the target branch has it: its beginning as `text`, all of it unless `is_cut`."""

    exists: bool
    text: str = ""
    is_cut: bool = False


def agents_file(project: Project) -> AgentsFile:
    """Look at the tip of the target branch, never at the working tree. Raises Invalid where the repository cannot be worked on."""
    found = inspect(Path(project.path), project.target_branch)
    git = SourceGit(found.path)
    listing = git("ls-tree", "-z", "--full-tree", checked(found.head_oid), "--", NAME).decode()
    mode, _, oid = listing.partition("\t")[0].replace(" blob ", " ", 1).partition(" ")
    if not mode.startswith("100"):  # no file: a link would lead an agent elsewhere
        return AgentsFile(exists=False)
    raw = git("cat-file", "blob", checked(oid), limit=SHOWN + 1, head_only=True)
    return AgentsFile(True, raw[:SHOWN].decode(errors="replace"), len(raw) > SHOWN)


def open_task(project: Project) -> Task | None:
    """The task that writes it already."""
    ended = (Status.DONE, Status.CANCELLED)
    return project.tasks.filter(title__in=(WRITE, RENEW)).exclude(status__in=ended).order_by("pk").first()


def file_task(project: Project, *, by: Any) -> Task:
    """A normal task that has the agent write AGENTS.md, or renew it; the open one where there is one already."""
    exists = agents_file(project).exists
    description = DESCRIPTION.format(verb="Renew" if exists else "Write")
    with transaction.atomic():
        # Of two who ask at once, one files it.
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        return open_task(project) or Task.file(
            project, title=RENEW if exists else WRITE, description=description, by=by
        )


def instruct(project: Project, text: str, *, base: int, by: Any) -> Instructions | None:
    """A new version of what Studio tells the project's agents, without secrets; as `Instructions.write`."""
    return Instructions.write(project, redact(project, text), base=base, by=by)
