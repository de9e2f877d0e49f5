"""What the board shows of a project."""

from collections import defaultdict
from dataclasses import dataclass, field

from django.db.models import Case, Count, F, Value, When, Window
from django.db.models.functions import RowNumber
from django.http import Http404

from tasks import lifecycle
from tasks.lifecycle import Status
from tasks.models import Project, Task
from tasks.standing import load

DONE_WINDOW = 20
WINDOW = 100

EMPTY = {
    "To do": "Nothing to do. Write a task, and press Start.",
    "Plan": "No plan is being written.",
    "Build": "Nothing is being built.",
    "Review": "Nothing waits for review.",
    "Done": "Nothing is done yet.",
}


@dataclass
class Column:
    """One column: the newest of its tasks, and how many there are in all."""

    name: str
    hue: str
    statuses: tuple[Status, ...]
    tasks: list[Task] = field(default_factory=list)
    count: int = 0

    @property
    def slug(self) -> str:
        return self.name.lower().replace(" ", "-")

    @property
    def more(self) -> int:
        """How many are not shown."""
        return self.count - len(self.tasks)

    @property
    def empty(self) -> str:
        """What stands in it when nothing does."""
        return EMPTY[self.name]


def columns(project: Project, only: str = "") -> tuple[list[Column], int]:
    """The columns (or the one with the slug `only`) and the number of cancelled tasks."""
    shown = [Column(*column) for column in lifecycle.COLUMNS]
    shown = [column for column in shown if only in ("", column.slug)]
    if not shown:
        raise Http404
    counts = dict(project.tasks.order_by().values_list("status").annotate(Count("pk")))
    by_status = _newest(project, [status for column in shown for status in column.statuses])
    for column in shown:
        column.tasks = [task for status in column.statuses for task in by_status[status]]
        column.tasks.sort(key=lambda task: task.status_changed_at, reverse=True)
        column.count = sum(counts.get(status, 0) for status in column.statuses)
    return shown, counts.get(Status.CANCELLED, 0)


def _newest(project: Project, statuses: list[Status]) -> dict[str, list[Task]]:
    place = Window(RowNumber(), partition_by=F("status"), order_by=F("status_changed_at").desc())
    limit = Case(When(status=Status.DONE, then=Value(DONE_WINDOW)), default=Value(WINDOW))
    placed = project.tasks.filter(status__in=statuses).annotate(place=place, limit=limit)
    ranked = placed.select_related("assignee")
    tasks = list(ranked.filter(place__lte=F("limit")))
    load(tasks)
    grouped = defaultdict(list)
    for task in tasks:
        grouped[task.status].append(task)
    return grouped
