"""Who looks at what a task waits for, so that two people do not do the same."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

if TYPE_CHECKING:
    from tasks.models.task import Task

LASTS = timedelta(minutes=30)


class Attention(models.Model):
    """It holds for half an hour, and only for what the task waited for then: once the task has moved, it says nothing."""

    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="attentions")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["task"], name="one_looks_at_a_task")]

    def __str__(self) -> str:
        return f"{self.by} since {self.since:%H:%M}"

    def holds(self, waits_since: datetime) -> bool:
        """Whether it is about what has waited since then, and not too old."""
        return max(waits_since, timezone.now() - LASTS) <= self.since

    @classmethod
    def attend(cls, task: "Task", *, by: Any) -> None:
        """The person looks at it; whoever did before no longer does."""
        with transaction.atomic():
            task.lock()
            cls.objects.update_or_create(task=task, defaults={"by": by, "since": timezone.now()})
            task.note("task.attended", by=by)

    @classmethod
    def leave(cls, task: "Task", *, by: Any) -> None:
        """The person does not look at it any more; nothing where another does."""
        with transaction.atomic():
            task.lock()
            if cls.objects.filter(task=task, by=by).delete()[0]:
                task.note("task.left", by=by)
