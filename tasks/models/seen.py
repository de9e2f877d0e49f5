"""What a person has seen of a change: files as they were, and the commit of their last look."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models

from studio.errors import Conflict

if TYPE_CHECKING:
    from tasks.models.task import Task


class Viewed(models.Model):
    """A file that the person has viewed; it holds while the file's content (git's id of it) is the same."""

    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="viewed")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    path = models.CharField(max_length=1000)
    content = models.CharField(max_length=64)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "by", "path"], name="viewed_once_by_each")
        ]

    def __str__(self) -> str:
        return self.path

    @classmethod
    def mark(cls, task: "Task", path: str, content: str, *, by: Any) -> None:
        """The person has viewed the file with that content; an empty one takes the mark away."""
        if content:
            cls.objects.update_or_create(task=task, by=by, path=path, defaults={"content": content})
        else:
            cls.objects.filter(task=task, by=by, path=path).delete()


class Look(models.Model):
    """The commit up to which the person has looked at the change."""

    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="looks")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    oid = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["task", "by"], name="one_last_look_of_each")]

    def __str__(self) -> str:
        return self.oid

    @classmethod
    def take(cls, task: "Task", oid: str = "", *, by: Any) -> None:
        """The person has seen the change up to its last commit. Raises Conflict where there is none, or `oid` names another."""
        attempt = task.current_attempt
        head = attempt.head_oid if attempt else ""
        if not head:
            raise Conflict(f"{task.key} has no change yet.")
        if oid and oid != head:
            raise Conflict("The change has gone on since you looked at it.", head_oid=head)
        cls.objects.update_or_create(task=task, by=by, defaults={"oid": head})
