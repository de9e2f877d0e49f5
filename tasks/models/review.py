"""What reviews say: findings of the agent's and comments of people."""

from typing import ClassVar

from django.conf import settings
from django.db import models


class Finding(models.Model):
    """What a review found. Lines count from 1 in the new file; null where it is about the whole file or change."""

    class Severity(models.TextChoices):
        ERROR = "error", "Error"
        WARNING = "warning", "Warning"
        INFO = "info", "Info"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        FIXED = "fixed", "Fixed"
        WAIVED = "waived", "Waived"

    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="findings")
    session_id = models.BigIntegerField()
    attempt_number = models.PositiveIntegerField()
    severity = models.CharField(max_length=10, choices=Severity.choices)
    title = models.CharField(max_length=300)
    body = models.TextField(blank=True)
    path = models.CharField(max_length=1000, blank=True)
    line = models.PositiveIntegerField(null=True)
    end_line = models.PositiveIntegerField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.title

    @property
    def wants_fix(self) -> bool:
        """Whether a fix round should take it on: an info is for people to read."""
        return self.state == self.State.OPEN and self.severity != self.Severity.INFO


class Comment(models.Model):
    """What a person wrote, on a line of the diff or (without a path) on the whole change."""

    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="comments")
    attempt_number = models.PositiveIntegerField(null=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    body = models.TextField()
    path = models.CharField(max_length=1000, blank=True)
    line = models.PositiveIntegerField(null=True)
    end_line = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.body[:80]
