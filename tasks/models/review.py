"""What reviews say: findings of the agent's and comments of people, each at its lines."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from studio.errors import Conflict
from tasks.redaction import Redacted, redact


class Place(models.Model):
    """Lines of a file as of the commit `oid`, which Studio moves on with the change, and `quote`, how they read at first.

    Lines count from 1 in the new file; null where it is about the whole file, and no path where it is about the whole change.
    `outdated`: the lines were changed or are gone since `oid`, where the place stays.
    """

    path = models.CharField(max_length=1000, blank=True)
    line = models.PositiveIntegerField(null=True)
    end_line = models.PositiveIntegerField(null=True)
    found_oid = models.CharField(max_length=64, blank=True)
    oid = models.CharField(max_length=64, blank=True)
    quote = models.TextField(blank=True)
    outdated = models.BooleanField(default=False)

    class Meta:
        abstract = True

    @property
    def where(self) -> str:
        """`src/a.py:3-5`, `src/a.py:3`, `src/a.py`, or nothing."""
        last = f"-{self.end_line}" if self.end_line and self.end_line != self.line else ""
        return f"{self.path}:{self.line}{last}" if self.line else self.path


def _of_projects(user: Any) -> models.Q:
    """What belongs to the projects that the person may see."""
    return models.Q() if user.is_superuser else models.Q(task__project__memberships__user_id=user.pk)


class FindingQuerySet(models.QuerySet["Finding"]):
    def visible_to(self, user: Any) -> "FindingQuerySet":
        """The findings of the projects that the person may see."""
        return self.filter(_of_projects(user)) if user.is_authenticated else self.none()


class Finding(Redacted, Place):
    """What a review found."""

    TEXTS = ("title", "body")

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
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    waived_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    waived_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True, help_text="Why it was waived.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = FindingQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.title

    @property
    def wants_fix(self) -> bool:
        """Whether a fix round should take it on: an info is for people to read."""
        return self.state == self.State.OPEN and self.severity != self.Severity.INFO

    def found_again(self, before: "Finding") -> None:
        """Take the place of the same finding of an earlier review; what people decide about it stays."""
        for name in ("pk", "state", "waived_by", "waived_at", "reason", "created_at"):
            setattr(self, name, getattr(before, name))
        said = ["session_id", "severity", "title", "body"]
        self.save(force_update=True, update_fields=[*said, *(field.name for field in Place._meta.fields)])

    def waive(self, reason: str, *, by: Any) -> None:
        """Decide that it may stay as it is. Raises Conflict where it is not open."""
        self._decide(
            "finding.waived",
            self.State.OPEN,
            self.State.WAIVED,
            by,
            redact(self.task.project, reason),
            waived_by=by,
            waived_at=timezone.now(),
        )

    def reopen(self, *, by: Any) -> None:
        """Take a waiver, or that it was fixed, back. Raises Conflict where it is open."""
        before = self.State.FIXED if self.state == self.State.FIXED else self.State.WAIVED
        self._decide("finding.reopened", before, self.State.OPEN, by, "", waived_by=None, waived_at=None)

    def _decide(self, event: str, before: str, after: str, by: Any, reason: str, **fields: Any) -> None:
        with transaction.atomic():
            mine = Finding.objects.filter(pk=self.pk, state=before)
            if not mine.update(state=after, reason=reason, **fields):
                self.refresh_from_db(fields=["state"])
                raise Conflict(f"“{self.title}” is {self.get_state_display().lower()} already.")
            self.task.note(event, by=by, finding=self.pk, title=self.title, reason=reason)
        self.refresh_from_db()


class CommentQuerySet(models.QuerySet["Comment"]):
    def visible_to(self, user: Any) -> "CommentQuerySet":
        """The comments of the projects that the person may see: those that were sent, and their own drafts."""
        mine = self.filter(_of_projects(user)) if user.is_authenticated else self.none()
        return mine.exclude(~models.Q(by_id=user.pk), state=Comment.State.DRAFT)

    def drafts_of(self, user: Any) -> "CommentQuerySet":
        """What the person wrote and has not sent."""
        return self.filter(by_id=user.pk, state=Comment.State.DRAFT)


class Comment(Redacted, Place):
    """What a person wrote, on lines of the change or on the whole of it. A draft is its author's until it is sent."""

    TEXTS = ("body",)

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        OPEN = "open", "Open"
        RESOLVED = "resolved", "Resolved"

    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="comments")
    attempt_number = models.PositiveIntegerField(null=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    body = models.TextField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    answer = models.TextField(blank=True, help_text="What the agent answered.")
    answered_at = models.DateTimeField(null=True)

    objects = CommentQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.body[:80]

    def send(self, *, by: Any) -> None:
        """Show it to everybody. In a transaction; a comment that was sent stays as it is."""
        now = timezone.now()
        mine = Comment.objects.filter(pk=self.pk, state=self.State.DRAFT)
        if mine.update(state=self.State.OPEN, sent_at=now):
            self.state, self.sent_at = self.State.OPEN, now
            self.task.note("comment.created", by=by, id=self.pk, comment=self.body, path=self.path)

    def discard(self) -> None:
        """Delete a draft. Raises Conflict for what was sent."""
        if not Comment.objects.filter(pk=self.pk, state=self.State.DRAFT).delete()[0]:
            raise Conflict("This comment was sent, so it stays; it can be resolved.")

    def resolve(self, *, by: Any) -> None:
        """It is settled. Raises Conflict where it is not open."""
        self._decide("comment.resolved", self.State.OPEN, self.State.RESOLVED, by, resolved_by=by)

    def reopen(self, *, by: Any) -> None:
        """It is not settled after all. Raises Conflict where it is not resolved."""
        self._decide("comment.reopened", self.State.RESOLVED, self.State.OPEN, by, resolved_by=None)

    def _decide(self, event: str, before: str, after: str, by: Any, **fields: Any) -> None:
        with transaction.atomic():
            if not Comment.objects.filter(pk=self.pk, state=before).update(state=after, **fields):
                self.refresh_from_db(fields=["state"])
                raise Conflict(f"This comment is {self.get_state_display().lower()}.")
            self.task.note(event, by=by, id=self.pk, comment=self.body)
        self.refresh_from_db()
