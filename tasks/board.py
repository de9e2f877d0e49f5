"""What the board shows of a project, or of all projects that a person may see."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Case, Count, F, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber
from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property

from tasks import lifecycle
from tasks.filters import FilterForm, labels_of
from tasks.lifecycle import Status
from tasks.models import Project, SavedFilter, Task
from tasks.standing import load

DONE_WINDOW = 20
WINDOW = 100

EMPTY = {
    "To do": "Nothing to do. Write a task, and press Start.",
    "Plan": "No plan is being written. Start a task that is to do.",
    "Build": "Nothing is being built. Start a task, or approve a plan.",
    "Review": "Nothing waits for review. What is built and checked comes here.",
    "Done": "Nothing is done yet. Merge what waits for review.",
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
    def state(self) -> str:
        """Its only state, for the address of what is not shown; empty where it has several."""
        return self.statuses[0] if len(self.statuses) == 1 else ""

    @property
    def empty(self) -> str:
        """What stands in it when nothing does."""
        return EMPTY[self.name]


class Board:
    """The tasks of a project (None: of all projects the reader may see) that the address asks for."""

    def __init__(self, request: HttpRequest, project: Project | None = None) -> None:
        self.user, self.project = request.user, project
        self.projects = [project] if project else list(Project.objects.visible_to(request.user).open())
        self.form = FilterForm(request.GET, user=request.user, projects=self.projects, alone=bool(project))
        self.tasks: QuerySet[Task] = self.form.of(Task.objects.filter(project__in=self.projects))
        self.labels: list[str] = []  # those that are offered: of the tasks that are shown
        self.query = self.form.query

    @property
    def address(self) -> str:
        """Its own, without the filter."""
        return reverse("tasks:board", args=[self.project.key]) if self.project else reverse("tasks:home")

    @property
    def column_address(self) -> str:
        """That of its columns, to which the column's slug is added."""
        return f"{self.address}columns/"

    @property
    def topics(self) -> str:
        """What rings its columns."""
        return " ".join(f"project-{project.pk}" for project in self.projects)

    @property
    def is_partial(self) -> bool:
        """Whether what is heard of a task does not say if, and where, it shows here."""
        return bool(self.query) or self.project is None

    @cached_property
    def saved(self) -> list[Any]:
        """The filters that are kept under a name."""
        return list(SavedFilter.objects.shown_to(self.user, self.project))

    def columns(self, only: str = "") -> tuple[list[Column], int]:
        """The columns (or the one with the slug `only`) and the number of cancelled tasks."""
        shown = [Column(*column) for column in lifecycle.COLUMNS]
        shown = [column for column in shown if only in ("", column.slug)]
        if not shown:
            raise Http404
        counts = dict(self.tasks.order_by().values_list("status").annotate(Count("pk")))
        by_status = self._newest([status for column in shown for status in column.statuses])
        for column in shown:
            column.tasks = [task for status in column.statuses for task in by_status[status]]
            column.tasks.sort(key=lambda task: task.status_changed_at, reverse=True)
            column.count = sum(counts.get(status, 0) for status in column.statuses)
        return shown, counts.get(Status.CANCELLED, 0)

    def _newest(self, statuses: list[Status]) -> dict[str, list[Task]]:
        place = Window(RowNumber(), partition_by=F("status"), order_by=F("status_changed_at").desc())
        limit = Case(When(status=Status.DONE, then=Value(DONE_WINDOW)), default=Value(WINDOW))
        placed = self.tasks.filter(status__in=statuses).annotate(place=place, limit=limit)
        ranked = placed.select_related("assignee", "project")
        tasks: list[Task] = list(ranked.filter(place__lte=F("limit")))
        load(tasks)
        self.labels = labels_of(tasks)
        grouped = defaultdict(list)
        for task in tasks:
            grouped[task.status].append(task)
        return grouped
