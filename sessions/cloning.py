"""The job that clones: from a queued row to a project, taken up at any point where it was cut."""

import logging
import time
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from sessions.models import Clone
from sessions.models.clone import CloneState
from sessions.workspaces import cloning
from sessions.workspaces.cloning import CloneFailed, Trouble
from sessions.workspaces.git import discard
from sessions.workspaces.repository import Repository, inspect
from studio import drain
from studio.errors import Invalid, Refusal
from studio.roles import Role
from tasks.forms import free_key
from tasks.models import Event, Project

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
TRIES = 5  # to find a key that nobody has taken meanwhile


class Cut(Exception):
    """Studio stops, or another job has the clone."""


def place(clone: Clone) -> Path:
    """Where the repository lies once it is whole."""
    return Path(settings.STUDIO_HOME) / "clones" / str(clone.pk)


def part(clone: Clone) -> Path:
    """Where git writes it until then."""
    return place(clone).with_name(f".part-{clone.pk}")


def work() -> None:
    """Clone what waits, one after another, until nothing does."""
    while not drain.has_begun() and (clone := Clone.claim()):
        carry(clone)


def carry(clone: Clone) -> None:
    """Fetch, look, put in its place, and make the project: each step finds out whether it was done before."""
    try:
        if not place(clone).is_dir():
            _fetch(clone)
        _finish(clone, inspect(place(clone), clone.target_branch))
    except Cut:
        clone.hand_back()
    except CloneFailed as failed:
        clone.fail(failed.trouble, failed.detail)
        _clear(clone)
    except Invalid as wrong:  # it was there already, and has been changed by hand since
        clone.fail(Trouble.UNUSABLE, wrong.message)
    except OSError as error:
        clone.fail(Trouble.REFUSED, f"{error.filename}: {error.strerror}")
        _clear(clone)
    except Exception:
        log.exception("clone %s", clone.pk)
        clone.fail(Trouble.REFUSED, "A defect of Studio's own; the log has the details.")
        _clear(clone)


def _fetch(clone: Clone) -> None:
    discard(part(clone))  # of a job that was cut: git cannot go on with a half clone
    part(clone).parent.mkdir(mode=0o700, exist_ok=True)
    cloning.clone(clone.url, part(clone), tick=Tick(clone))
    try:
        inspect(part(clone), clone.target_branch)
    except Invalid as wrong:
        raise CloneFailed(Trouble.UNUSABLE, wrong.message) from wrong
    part(clone).rename(place(clone))


class Tick:
    """Writes the progress when it has changed, and looks for a reason to stop, twice a second. Raises Cut or CloneFailed."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        self.looked = 0.0

    def __call__(self, step: str) -> None:
        if time.monotonic() - self.looked < LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        if drain.has_begun() or not self.clone.held.update(progress=step):
            raise Cut
        if self.clone.held.exclude(cancel_requested_at=None).exists():
            raise CloneFailed(Trouble.CANCELLED)


def _finish(clone: Clone, found: Repository) -> None:
    """The project and the end of the clone, in one transaction: there is never a second project."""
    for _ in range(TRIES):
        key = clone.key if not Project.objects.filter(key=clone.key).exists() else free_key(clone.key)
        try:
            with transaction.atomic():
                if not clone.held.select_for_update().exists():
                    return
                project = Project.objects.create(
                    key=key,
                    name=clone.name,
                    path=str(found.path),
                    target_branch=found.target_branch,
                    checks=clone.checks,
                )
                project.memberships.create(user=clone.by, role=Role.ADMIN)
                Event.objects.create(
                    name="project.created",
                    project=project,
                    by=clone.by,
                    data={"key": key, "url": clone.url},
                )
                clone.held.update(
                    state=CloneState.DONE, project=project, progress="", ended_at=timezone.now()
                )
            return
        except IntegrityError:  # somebody has taken the key just now
            continue
    raise CloneFailed(Trouble.REFUSED, f"No key like {clone.key} is free.")


def _clear(clone: Clone) -> None:
    try:
        discard(part(clone))
    except (Refusal, OSError) as reason:
        log.warning("%s stays: %s", part(clone), reason)
