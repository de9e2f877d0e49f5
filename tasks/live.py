"""What pages hear of tasks: a board gets its cards, a task's page and the count of what needs a person are rung."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Count
from django.template.loader import render_to_string

from studio.live.topics import Frame, Topic, number_of, ring
from tasks.lifecycle import COLUMNS
from tasks.models import Event, Project, Task

MOST_CARDS = 20  # at once; a board that lacks more fetches itself
ASKING = (
    "task.status_changed",
    "task.moved",
    "task.attended",
    "task.left",
    "session.queued",
    "session.started",
    "session.running",
    "session.waiting",
    "session.parked",
    "session.ended",
    "request.",
)


def route(event: Event) -> Iterable[tuple[str, str]]:
    """A project hears of its tasks and of itself; people hear what may wait for them."""
    project, task = f"project-{event.project_id}", f"task-{event.task_id}"
    if event.task_id is None:
        yield project, project
        if event.name.startswith(("provider.", "project.paused", "project.resumed")):
            yield f"me-{event.project_id}", "me"
        return
    yield project, task
    yield task, task
    if event.name.startswith(ASKING):
        yield f"me-{event.project_id}", "me"


class TaskTopic(Topic):
    """`task-12`: the parts of its page fetch themselves."""

    def groups(self, user: Any, number: int) -> list[str] | None:
        seen = Task.objects.visible_to(user).filter(pk=number).exists()
        return [f"task-{number}"] if seen else None

    def replay(self, name: str, groups: list[str], cursor: int) -> Iterable[Frame]:
        missed = Event.objects.filter(task=number_of(name), id__gt=cursor).exists()
        return [ring(name)] if missed else []


class ProjectTopic(Topic):
    """`project-3`: its board. Cards are rendered once for everyone who looks at it."""

    interval = 0.5

    def __init__(self) -> None:
        self._revs: dict[int, int] = {}  # of the session that runs, by task

    def glance(self, groups: list[str]) -> Iterable[tuple[str, str]]:
        running = Task.objects.filter(
            project__in=[number_of(group) for group in groups],
            attempts__is_current=True,
            attempts__sessions__isnull=False,
            attempts__sessions__ended_at=None,
        )
        before, self._revs = self._revs, {}
        for task, project, rev in running.values_list("pk", "project_id", "attempts__sessions__rev"):
            self._revs[task] = rev or 0
            if before.get(task) != self._revs[task]:
                yield f"project-{project}", f"task-{task}"

    def groups(self, user: Any, number: int) -> list[str] | None:
        seen = Project.objects.visible_to(user).filter(pk=number).exists()
        return [f"project-{number}"] if seen else None

    def frames(self, group: str, changed: dict[str, int]) -> Iterable[Frame]:
        others = [target for target in changed if not target.startswith("task-")]
        if others or len(changed) > MOST_CARDS:
            yield ring(*changed, group)
            return
        counts = column_counts(number_of(group))
        tasks = Task.objects.select_related("project").in_bulk([number_of(target) for target in changed])
        for target, rev in changed.items():
            task = tasks.get(number_of(target))
            card = {"id": target, "rev": rev, "column": "", "html": ""}
            if task is not None:
                card["column"] = column_of(task)
                card["html"] = render_to_string("tasks/_card.html", {"task": task, "rev": rev})
            yield Frame({"topic": group, "card": card, "counts": counts}, ring(group).body)

    def replay(self, name: str, groups: list[str], cursor: int) -> Iterable[Frame]:
        events = Event.objects.filter(project=number_of(name), id__gt=cursor).order_by("id")
        missed = list(events.values_list("id", "task_id")[:200])
        if not missed:
            return []
        changed = {f"task-{task}" if task else name: number for number, task in missed}
        return [ring(name)] if len(missed) == 200 else self.frames(name, changed)


class MeTopic(Topic):
    """`me`: how much waits for the reader, in all their projects."""

    interval = 0.5

    def groups(self, user: Any, number: int) -> list[str] | None:
        if number:
            return None
        return [f"me-{pk}" for pk in Project.objects.visible_to(user).values_list("pk", flat=True)]

    def replay(self, name: str, groups: list[str], cursor: int) -> Iterable[Frame]:
        projects = [number_of(group) for group in groups]
        missed = Event.objects.filter(project__in=projects, id__gt=cursor).exists()
        return [ring("me")] if missed else []


def column_of(task: Task) -> str:
    """The name of the column that a card stands in; empty for none."""
    return next((column.name for column in COLUMNS if task.status in column.statuses), "")


def column_counts(project: int) -> dict[str, int]:
    """How many cards each column of the project's board has in all."""
    tasks = Task.objects.filter(project=project).order_by()
    by_status = dict(tasks.values_list("status").annotate(Count("pk")))
    return {column.name: sum(by_status.get(status, 0) for status in column.statuses) for column in COLUMNS}
