"""A task's place in the order: its priority, and the tasks that have to land before it may start."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models, transaction

from studio.errors import Conflict, Invalid, Refusal
from tasks.lifecycle import Status
from tasks.models.project import Project

if TYPE_CHECKING:
    from tasks.models.task import Task


class Priority(models.IntegerChoices):
    """What is claimed first; before all fairness between projects."""

    URGENT = 1
    HIGH = 2
    NORMAL = 3
    LOW = 4


class BlockerManager(models.Manager["Blocker"]):
    def get_queryset(self) -> "models.QuerySet[Blocker]":
        """Each with its blocker, which is what people are told."""
        return super().get_queryset().select_related("blocker__project")

    def replace(self, task: "Task", blockers: "list[Task]") -> None:
        """Let the task wait for these and no others. Raises `Invalid` as `refuse_wrong` does."""
        Project.objects.select_for_update().get(pk=task.project_id)  # or two people made a circle together
        self.refuse_wrong(task, blockers)
        wanted = {blocker.pk for blocker in blockers}
        self.filter(task=task).exclude(blocker__in=wanted).delete()
        known = set(self.filter(task=task).values_list("blocker_id", flat=True))
        self.bulk_create(Blocker(task=task, blocker_id=pk) for pk in sorted(wanted - known))

    def refuse_wrong(self, task: "Task", blockers: "list[Task]") -> None:
        """Raise `Invalid` for a circle, and for tasks of other projects."""
        if any(blocker.project_id != task.project_id for blocker in blockers):
            raise _wrong("A task can only wait for tasks of its own project.")
        wanted = {blocker.pk for blocker in blockers}
        if task.pk in wanted | self._behind(wanted):
            raise _wrong(f"That is a circle: one of them waits for {task.key} itself.")

    def _behind(self, tasks: set[int]) -> set[int]:
        """All that these tasks wait for, and what that waits for, …"""
        found: set[int] = set()
        frontier = set(tasks)
        while frontier:
            met = set(
                self.filter(task__in=frontier).order_by().values_list("blocker_id", flat=True).distinct()
            )
            frontier = met - found
            found |= met
        return found

    def landed(self, task: "Task") -> None:
        """The task is done: say so to those that waited for nothing else, and start the ones that should. In that same transaction."""
        for row in self.filter(blocker=task, task__status=Status.TODO).select_related("task__project"):
            if not row.task.waits_for:
                row.task.note("task.unblocked", blocker=task.key)
                if row.task.start_when_unblocked:
                    _start(row.task)


class Blocker(models.Model):
    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="blockers")
    blocker = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="blocks")

    objects = BlockerManager()

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "blocker"], name="one_blocker_each"),
            models.CheckConstraint(
                condition=~models.Q(task=models.F("blocker")), name="no_task_blocks_itself"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task} waits for {self.blocker}"

    @staticmethod
    def open_of(task: "Task") -> "list[Task]":
        """Those that the task still waits for."""
        return [row.blocker for row in task.blockers.all() if row.blocker.status != Status.DONE]

    @staticmethod
    def refuse_start(task: "Task") -> None:
        """Raise `Conflict` while the task waits for others."""
        if blockers := Blocker.open_of(task):
            keys = ", ".join(blocker.key for blocker in blockers)
            raise Conflict(
                f"{task.key} waits for {keys}: it can start once that has landed.",
                code="blocked",
                blocked_by=[blocker.pk for blocker in blockers],
            )


def _start(task: Any) -> None:
    """What keeps it from starting must not keep the other from landing."""
    try:
        with transaction.atomic():
            task.execute()
    except Refusal as refusal:
        task.note("task.not_started", message=refusal.message)


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, fields={"blocked_by": sentence})
