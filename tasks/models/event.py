"""Event: one fact, appended in the transaction that made it true, and never changed."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models


class EventQuerySet(models.QuerySet["Event"]):
    def visible_to(self, user: Any) -> "EventQuerySet":
        """The events of the projects that the person may see."""
        if user.is_superuser:
            return self
        return self.filter(project__memberships__user_id=user.pk) if user.is_authenticated else self.none()


class Event(models.Model):
    """`id` is the global order. Names are `task.…`, `session.…`, `request.…`, `plan.…`, `comment.…`, `workspace.…`, `project.…`."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=60)
    project = models.ForeignKey("tasks.Project", on_delete=models.CASCADE, related_name="events")
    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, null=True, related_name="events")
    session_id = models.BigIntegerField(null=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    data = models.JSONField(default=dict)
    at = models.DateTimeField(auto_now_add=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["task", "id"], name="event_by_task")]

    def __str__(self) -> str:
        return f"{self.id} {self.name}"

    def to_dict(self) -> dict[str, Any]:
        """As scripts get it, in the API and in the stream."""
        return {
            "id": self.pk,
            "name": self.name,
            "project": self.project_id,
            "task": self.task_id,
            "session": self.session_id,
            "by": self.by_id,
            "at": self.at.isoformat(),
            "data": self.data,
        }
