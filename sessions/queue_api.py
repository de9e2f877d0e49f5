"""The API of the queue: what is at work, what is next, what is held up, and moving what waits."""

from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest
from ninja import Field, Router, Schema

from sessions import lineup
from sessions.lineup import Entry
from sessions.models import Pause
from sessions.models.place import Way
from sessions.pause_api import PauseOut, show_pause
from studio.api import Input, Timestamp, responses
from studio.roles import Role
from tasks.api import find
from tasks.models import Priority

queue = Router(tags=["Queue"])
tasks = Router(tags=["Tasks"])


class EntryOut(Schema):
    """One attempt. `position` counts all that only wait for a worker, also what you may not see; null for the others."""

    task_id: int
    key: str
    project: int
    title: str
    priority: str
    attempt: int
    phase: str
    position: int | None
    words: str = Field(description="What it does or waits for.")
    about: str
    since: Timestamp | None
    again_at: Timestamp | None


class QueueOut(Schema):
    """`next` are taken in this order by free workers; `held` wait for more than a worker, as their `words` say."""

    workers: int
    at_work: list[EntryOut]
    next: list[EntryOut]
    held: list[EntryOut]
    pauses: list[PauseOut]


class MoveIn(Input):
    """Where to: past the one before or behind it, or to the top; always among those of its project and priority."""

    to: Literal["top", "up", "down"]


@queue.get("", response=responses({200: QueueOut}))
def get_queue(request: HttpRequest) -> Any:
    """What you may see of the queue, in the order of the claims to come."""
    return show_queue(request.user)


@tasks.post("/{int:task_id}/move", response=responses({200: QueueOut}, 409))
def move(request: HttpRequest, task_id: int, move: MoveIn) -> Any:
    """Move a task that waits. 409 (`not_waiting`, `claimed`) where it does not, (`end_of_line`) where it would pass another priority."""
    task = find(request, task_id, Role.MEMBER)
    lineup.waiting(task).move(Way(move.to), by=request.user)
    return show_queue(request.user)


def show_queue(user: Any) -> dict[str, Any]:
    """As `QueueOut`."""
    seen = lineup.seen_by(user)
    return {
        "workers": settings.STUDIO_CONCURRENCY,
        "at_work": [_show(entry) for entry in seen.at_work],
        "next": [_show(entry) for entry in seen.first],
        "held": [_show(entry) for entry in seen.held],
        "pauses": [show_pause(pause) for pause in Pause.objects.visible_to(user)],
    }


def _show(entry: Entry) -> dict[str, Any]:
    """As `EntryOut`."""
    task, words = entry.task, entry.words
    return {
        "task_id": task.pk,
        "key": task.key,
        "project": task.project_id,
        "title": task.title,
        "priority": Priority(task.priority).name.lower(),
        "attempt": entry.attempt.number,
        "phase": entry.attempt.phase,
        "position": entry.position or None,
        "words": words.text,
        "about": words.about,
        "since": words.since and words.since.isoformat(),
        "again_at": words.again_at and words.again_at.isoformat(),
    }
