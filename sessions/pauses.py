"""The pauses that hold a project, with what still runs under them: drained is where nothing does."""

from typing import Any

from sessions.models import Attempt, Pause
from studio.errors import Refusal


def over(project: Any, user: Any) -> list[Pause]:
    """Those that hold the project (with None: that of everything), as `shown` to this person."""
    held = Pause.objects.over(project.pk) if project else Pause.objects.filter(project=None)
    return shown(held.select_related("project", "by"), user)


def shown(pauses: Any, user: Any) -> list[Pause]:
    """These pauses, each with `at_work`, the number of its sessions that still run, and `may_resume` for this person."""
    rows = list(pauses)
    for pause in rows:
        pause.at_work, pause.may_resume = at_work(pause), _may_resume(pause, user)
    return rows


def at_work(pause: Pause) -> int:
    """How many attempts a worker still has in what is paused."""
    working = Attempt.objects.at_work()
    return (working.filter(task__project=pause.project_id) if pause.project_id else working).count()


def _may_resume(pause: Pause, user: Any) -> bool:
    try:
        Pause.require(user, pause.project)
    except Refusal:
        return False
    return True
