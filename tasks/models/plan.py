"""Plan: one version of how a task will be done."""

from typing import ClassVar

from django.conf import settings
from django.db import models


class Plan(models.Model):
    """Versions count from 1 within the task; `by` is the person who wrote it, None for the agent."""

    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="plans")
    version = models.PositiveIntegerField()
    body = models.TextField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    session_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    change_request = models.TextField(blank=True, help_text="What a person wants changed in this version.")

    class Meta:
        ordering: ClassVar = ["task", "version"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "version"], name="one_plan_per_version")
        ]

    def __str__(self) -> str:
        return f"plan v{self.version} of {self.task}"
