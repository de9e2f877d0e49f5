"""The pauses that hold a project, with what still runs under them: drained is where nothing does."""

from typing import Any

from sessions.models import Attempt, Pause


def over(project: Any) -> list[Pause]:
    """Those that hold the project (with None: that of everything), each with `at_work`, the number of its sessions that still run."""
    held = Pause.objects.over(project.pk) if project else Pause.objects.filter(project=None)
    return counted(held.select_related("project", "by"))


def counted(pauses: Any) -> list[Pause]:
    """These pauses, each with `at_work`."""
    rows = list(pauses)
    for pause in rows:
        pause.at_work = at_work(pause)
    return rows


def at_work(pause: Pause) -> int:
    """How many attempts a worker still has in what is paused."""
    working = Attempt.objects.at_work()
    return (working.filter(task__project=pause.project_id) if pause.project_id else working).count()
