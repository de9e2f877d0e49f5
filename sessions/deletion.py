"""Deleting a project: what that would take, and the job that does it, taken up at any point where it was cut."""

import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import transaction

from sessions import places, removal
from sessions.models import Attempt, Session
from sessions.workspaces.loss import size_of
from studio.errors import Refusal
from tasks.models import Project, Task, attachment

log = logging.getLogger(__name__)

LOOK_SECONDS = 20  # at all workspaces, for a page
SURE_TO_PASS = {"busy", "processes_left"}  # what keeps a workspace from being removed now, and not for ever


@dataclass
class Takes:
    """What goes with a project. `unmerged` are the attempts whose workspace has work that the target branch has not, `unread` those
    that could not be looked at, `bytes` what lies on the disk in all, `clone` the repository where Studio has cloned it.
    """

    tasks: int
    open_tasks: int
    sessions: int
    workspaces: int = 0
    unmerged: list[Attempt] = field(default_factory=list)
    unread: list[Attempt] = field(default_factory=list)
    running: list[Task] = field(default_factory=list)
    bytes: int = 0
    is_least: bool = False  # there was no time to count them all
    clone: Path | None = None


def takes(project: Project) -> Takes:
    """Look at all of it, for LOOK_SECONDS at most."""
    open_tasks = project.tasks.exclude(status__in=["done", "cancelled"])
    found = Takes(
        tasks=project.tasks.count(),
        open_tasks=open_tasks.count(),
        sessions=Session.objects.filter(attempt__task__project=project).count(),
        running=list(project.at_work.select_related("project")),
        clone=cloned(project),
    )
    until = time.monotonic() + LOOK_SECONDS
    for attempt in _on_disk(project):
        found.workspaces += 1
        found.bytes += size_of(places.folder(attempt), until=until)
        if time.monotonic() > until:
            found.unread.append(attempt)
        else:
            _weigh(attempt, found)
    if found.clone:
        found.bytes += size_of(found.clone, until=until)
    found.is_least = time.monotonic() > until
    return found


def _weigh(attempt: Attempt, found: Takes) -> None:
    try:
        loss = removal.loss(attempt)
    except (Refusal, OSError):
        found.unread.append(attempt)
        return
    if loss and (loss.commits or loss.changed or loss.untracked or loss.left_out):
        found.unmerged.append(attempt)


def cloned(project: Project) -> Path | None:
    """The repository's folder where Studio has cloned it, and no other project works on it; None where it is a person's."""
    folder = Path(project.path)
    own = folder.parent == (Path(settings.STUDIO_HOME) / "clones").resolve() and not folder.is_symlink()
    shared = Project.objects.filter(path=project.path).exclude(pk=project.pk).exists()
    return folder if own and folder.is_dir() and not shared else None


def work() -> None:
    """Delete every project that is to be deleted. Safe to run twice at a time: each step finds out whether it was done."""
    for project in Project.objects.deleting().filter(delete_trouble=""):
        try:
            carry(project)
        except (Refusal, OSError) as reason:
            log.warning("%s is not deleted: %s", project.key, reason)
            if getattr(reason, "code", "") != "busy":  # that passes: the watchdog rings again
                project.stick(str(reason))


def carry(project: Project) -> None:
    """Workspaces to the trash, then the rows task by task, then the clone to the trash, and the project last. Raises Refusal and OSError."""
    for attempt in _on_disk(project):
        _remove(attempt)
    for task in project.tasks.order_by("pk"):
        with transaction.atomic():
            task.lock()
            gone = attachment.folder(task.pk)
            task.delete()
        shutil.rmtree(gone, ignore_errors=True)
    if folder := cloned(project):
        removal.move(folder, places.trash() / f"clone-{folder.name}-{removal.stamp()}")
    log.info("deleted %s (%s)", project.key, project.path)
    project.delete()


def _remove(attempt: Attempt) -> None:
    try:
        removal.remove(attempt)
    except Refusal as reason:
        if reason.code in SURE_TO_PASS:
            raise
        # Its repository is gone or cannot be read, so that nothing can be kept there, or a removal was cut after its row was
        # written: the folder is kept whole.
        log.warning("the workspace of %s goes to the trash as it is: %s", attempt.key, reason)
        place = places.folder(attempt)
        if place.is_dir() and not place.is_symlink():
            removal.move(place, places.trash() / (attempt.trash or f"{place.name}-{removal.stamp()}"))


def _on_disk(project: Project) -> Iterator[Attempt]:
    attempts = Attempt.objects.filter(task__project=project).select_related("task__project")
    return (attempt for attempt in attempts.order_by("pk") if places.folder(attempt).is_dir())
