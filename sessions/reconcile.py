"""What Studio sets right before it starts, when an earlier one left a mess: each step says in a sentence what it did."""

import logging
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import transaction

from sessions import cleanup, ledger, places, watch
from sessions.models import Attempt
from sessions.models.attempt import Lease
from sessions.workspaces.processes import carriers, sweep
from studio import processes
from tasks.models import Project

log = logging.getLogger(__name__)


def reconcile() -> list[str]:
    """Do every step, whatever becomes of the others; the sentences, none where all was in order."""
    said = []
    for step in STEPS:
        try:
            said.append(step())
        except Exception as error:  # a mess must not keep Studio from starting
            log.exception(step.__name__)
            said.append(f"{step.__name__.replace('_', ' ').capitalize()} could not be done: {error}.")
    return [sentence for sentence in said if sentence]


def clear_stale_files() -> str:
    """Pid files of processes that are gone, and the sign to drain."""
    folder = Path(settings.STUDIO_HOME) / "run"
    stale = [path for path in folder.glob("*.pid") if not processes.is_alive(*watch.written_process(path))]
    stale += [*folder.glob("*.draft"), *folder.glob("drain")]
    for path in stale:
        path.unlink(missing_ok=True)
    names = ", ".join(sorted(path.name for path in stale))
    return f"Removed what an earlier Studio left in run/: {names}." if stale else ""


def end_leftover_processes() -> str:
    """Processes of attempts that no living worker has."""
    owned = {
        places.marker(attempt)
        for attempt in Attempt.objects.filter(lease=Lease.CLAIMED)
        if processes.is_alive(attempt.pid, attempt.pid_started)
    }
    left = {mark: pids for mark, pids in carriers(places.mark_of_home()).items() if mark not in owned}
    survivors = [pid for mark in left for pid in sweep(mark)]
    if survivors:
        return f"Processes {', '.join(map(str, survivors))} of earlier attempts could not be ended."
    return cleanup.counted(sum(map(len, left.values())), "process", "of earlier attempts were ended")


def name_missing_tools() -> str:
    """Projects whose repository wants a tool that is not here; everything else goes on."""
    projects = [(project.key, project.backend_trouble) for project in Project.objects.all()]
    return " ".join(f"{key} cannot be worked on: {trouble}" for key, trouble in projects if trouble)


def take_back_from_the_dead() -> str:
    """Attempts whose worker is gone; their sessions are interrupted and go on by themselves."""
    held = Attempt.objects.filter(lease=Lease.CLAIMED, pid__gt=0, runner=settings.STUDIO_RUNNER)
    dead = [
        attempt
        for attempt in held.select_related("task__project")
        if not processes.is_alive(attempt.pid, attempt.pid_started)
    ]
    for attempt in dead:
        watch.reap(attempt, f"Process {attempt.pid} is gone.")
    return cleanup.counted(len(dead), "attempt", "were taken back from dead workers")


def offer_what_nobody_runs() -> str:
    """Sessions that wait or say that they run, though no one has their attempt."""
    return cleanup.counted(ledger.repair(), "session", "that nobody ran were queued again")


def finish_cut_removals() -> str:
    """Removals that were cut before the folder was moved: it stays."""
    cut = [
        attempt
        for attempt in Attempt.objects.exclude(trash="").select_related("task__project")
        if places.folder(attempt).is_dir() and not (places.trash() / attempt.trash).exists()
    ]
    for attempt in cut:
        with transaction.atomic():
            attempt.task.lock()
            attempt.workspace_restored(by=None)
    return cleanup.counted(
        len(cut), "removal", "of a workspace had been cut: the workspaces are where they were"
    )


STEPS: tuple[Callable[[], str], ...] = (
    clear_stale_files,
    end_leftover_processes,
    take_back_from_the_dead,
    offer_what_nobody_runs,
    finish_cut_removals,
    cleanup.take_back_known,
    cleanup.move_orphans,
    name_missing_tools,
)
