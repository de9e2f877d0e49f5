"""Removing the workspace of an attempt: what would be lost, its way to the trash and back, and its end there."""

import os
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from sessions import parting, places
from sessions.hold import held
from sessions.ledger import Claim
from sessions.models import Attempt
from sessions.workspaces.git import discard
from sessions.workspaces.loss import Loss, size_of
from sessions.workspaces.processes import Tick, marked
from studio.errors import Conflict, Refusal

LOOK_SECONDS = 30  # of one git command inside a request
STAMP = "%Y%m%dT%H%M%S"


@dataclass(frozen=True)
class Folder:
    """Where an attempt's folder is: `state` is none, here, removed, purged or elsewhere (on another runner); its size in bytes.

    A removed one can be restored `until` then.
    """

    state: str
    bytes: int = 0
    until: datetime | None = None


def folder(attempt: Attempt) -> Folder:
    """Where the attempt's folder is."""
    place = places.folder(attempt)
    if attempt.trash:
        until = (attempt.removed_at or attempt.created_at) + timedelta(days=settings.STUDIO_TRASH_DAYS)
        return Folder("removed", size_of(places.trash() / attempt.trash), until)
    if place.is_dir():
        return Folder("here", size_of(place))
    if attempt.purged_at:
        return Folder("purged")
    return Folder("elsewhere" if _is_elsewhere(attempt) else "none")


def loss(attempt: Attempt) -> Loss | None:
    """What removing its workspace would take off the disk; None where none was made. Conflict says why it cannot be removed."""
    refuse(attempt)
    if not (places.folder(attempt) / "workspace").is_dir():
        return None
    return places.workspace(attempt).loss(attempt.task.target, timeout=LOOK_SECONDS)


def remove(attempt: Attempt, *, by: Any = None) -> None:
    """Move the attempt's folder, its workspace and its OpenCode data, to the trash. What only the workspace has is kept first as a
    ref in the project's repository. Fails closed: Conflict where anything of it works, is left over or cannot be read.
    """
    refuse(attempt)
    with held(attempt, "remove", parked=True) as claim:
        attempt.refresh_from_db(fields=["trash", "removed_at", "recovery_ref"])
        refuse(attempt)
        place, name = places.folder(attempt), f"{places.folder(attempt).name}-{stamp()}"
        has_workspace = (place / "workspace").is_dir()
        ref = places.workspace(attempt).keep(claim.keep_alive) if has_workspace else ""
        if has_workspace:
            parting.clean_up(claim)
        _refuse_processes(attempt)
        # The row first: a crash in between leaves the folder where it is, and `bring_back` finds it there.
        with claim.write():
            attempt.workspace_removed(name, ref, by=by)
        try:
            move(place, places.trash() / name)
        except OSError as error:
            with claim.write():
                attempt.workspace_restored(by=by)
            raise Conflict(f"{place} could not be moved to the trash: {error.strerror}.") from error


def restore(attempt: Attempt, *, by: Any = None) -> None:
    """Undo a removal: everything is again as it was. Conflict where there is nothing to undo."""
    if not attempt.trash:
        deleted = "was deleted for good" if attempt.purged_at else "was not removed"
        raise Conflict(f"The workspace of attempt {attempt.number} {deleted}.", code="not_removed")
    with held(attempt, "restore", parked=True) as claim:
        attempt.refresh_from_db(fields=["trash", "removed_at", "recovery_ref"])
        bring_back(claim, claim.keep_alive, by=by)


def bring_back(claim: Claim, tick: Tick, *, by: Any = None) -> None:
    """Take what was removed out of the trash, for a person or for a worker that goes on with the attempt.

    Where the trash was emptied by hand, the workspace is made anew of what the project's repository keeps.
    """
    attempt = claim.attempt
    if not attempt.trash:
        return
    place, kept = places.folder(attempt), places.trash() / attempt.trash
    if kept.is_dir():
        try:
            _clear(place)
            move(kept, place)
        except OSError as error:
            raise Conflict(f"{kept} could not be moved back: {error.strerror} ({error.filename}).") from error
    elif attempt.base_oid and not (place / "workspace").is_dir():
        target = attempt.task.target
        known = {"base": attempt.base_oid, "head": attempt.head_oid, "recovery": attempt.recovery_ref}
        places.workspace(attempt).create(target, tick, **known)
    with claim.write():
        attempt.workspace_restored(by=by)


def purge(attempt: Attempt) -> None:
    """Delete what lies in the trash for good. Conflict while somebody works on the attempt."""
    with held(attempt, "purge", parked=True) as claim:
        attempt.refresh_from_db(fields=["trash"])
        name = attempt.trash
        if name:
            with claim.write():
                attempt.workspace_purged()
            discard(places.trash() / name)


def refuse(attempt: Attempt) -> None:
    """Conflict with the reason why its workspace cannot be removed now."""
    place = places.folder(attempt)
    if attempt.trash:
        raise _no(attempt, "is in the trash already", "removed_already")
    if _is_elsewhere(attempt):
        raise _no(attempt, f"lies on another machine, {attempt.runner}", "elsewhere")
    if place.is_symlink() or (place / "workspace").is_symlink():
        raise _no(attempt, "was replaced by a link", "workspace_broken")
    if not place.is_dir():
        raise _no(attempt, "is not there", "no_workspace")
    if attempt.live_session is not None:
        raise _no(attempt, "is in use: stop its session first", "busy")
    _refuse_processes(attempt)


def _refuse_processes(attempt: Attempt) -> None:
    left = marked(places.marker(attempt), places.folder(attempt) / "workspace")
    if left:
        names = ", ".join(map(str, left[:10]))
        raise _no(attempt, f"is in use by processes that still run: {names}", "processes_left")


def _no(attempt: Attempt, why: str, code: str) -> Refusal:
    return Conflict(f"The workspace of attempt {attempt.number} {why}.", code=code)


def _is_elsewhere(attempt: Attempt) -> bool:
    return attempt.runner not in ("", settings.STUDIO_RUNNER)


def stamp() -> str:
    """Now, as folders in the trash bear it at the end of their names."""
    return time.strftime(STAMP, time.gmtime())


def move(source: Path, target: Path) -> None:
    """One rename within the data folder, never onto something."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if target.is_symlink() or target.exists():
        raise FileExistsError(17, "something is in the way", str(target))
    source.rename(target)


def _clear(place: Path) -> None:
    """Remove the empty folders that a look may have left where the attempt's folder was."""
    for path, _, _ in os.walk(place, topdown=False):
        os.rmdir(path)
