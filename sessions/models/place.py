"""A place in the queue, and moving to another one: among the waiting of one project and priority."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.db.models import Q

from studio.errors import Conflict
from tasks.models import Project, Task

CLAIMABLE = "claimable"  # the lease of what waits


class Way(models.TextChoices):
    """Where a person moves what waits, among those of its project and priority."""

    TOP = "top", "To the top"
    UP = "up", "Up"
    DOWN = "down", "Down"


class Placed(models.Model):
    """What waits in the queue."""

    place = models.DateTimeField(
        null=True, help_text="Where it was moved in the queue: as if it waited since then."
    )
    if TYPE_CHECKING:
        task: Task
        claimable_at: datetime | None
        objects: Any

    class Meta:
        abstract = True

    @property
    def stands_at(self) -> datetime:
        """Its place in the queue, as the time since when it waits or would have to wait to stand there."""
        at = self.place or self.claimable_at
        assert at is not None  # whatever waits, or has waited, has one
        return at

    def move(self, way: Way, *, by: Any) -> None:
        """Stand elsewhere among the waiting of its project and priority. Raises `Conflict` where it does not wait, or is at that end."""
        with transaction.atomic():
            Project.objects.select_for_update(no_key=True).get(pk=self.task.project_id)  # one move at a time
            mine = Q(task__project=self.task.project_id, task__priority=self.task.priority)
            line = list(type(self).objects.filter(mine, lease=CLAIMABLE).in_line())
            if self not in line:
                raise Conflict(f"{self.task.key} does not wait in the queue now.", code="not_waiting")
            index = line.index(self)
            other = index + 1 if way == Way.DOWN else 0 if way == Way.TOP else index - 1
            if index == other or not 0 <= other < len(line):
                end = "last" if way == Way.DOWN else "first"
                raise Conflict(
                    f"{self.task.key} is the {end} of its priority in {self.task.project.name}; "
                    "only another priority takes it past others.",
                    code="end_of_line",
                )
            first, second = sorted((index, other))
            line[second]._pass(line[first], to_top=way == Way.TOP)
            self.task.note("task.moved", by=by, to=str(way))

    def _pass(self, ahead: "Placed", *, to_top: bool) -> None:
        """Swap places with the one ahead, or stand just before it. Raises `Conflict` where a worker took one of them meanwhile."""
        moves = [(self, ahead.stands_at), (ahead, self.stands_at)]
        if to_top or self.stands_at == ahead.stands_at:
            moves = [(self, ahead.stands_at - timedelta(microseconds=1))]
        for each, place in moves:
            same = type(self).objects.filter(pk=each.pk, lease=CLAIMABLE, claimable_at=each.claimable_at)
            if not same.update(place=place):
                raise Conflict("The queue has moved on meanwhile; look again.", code="claimed")
