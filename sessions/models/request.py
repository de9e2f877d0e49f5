"""Request: the agent waits for a person, who grants or refuses a permission or answers a question."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from studio.errors import Conflict


class RequestQuerySet(models.QuerySet["Request"]):
    def visible_to(self, user: Any) -> "RequestQuerySet":
        """The requests of the projects that the person may see."""
        if user.is_superuser:
            return self
        mine = self.filter(session__attempt__task__project__memberships__user_id=user.pk)
        return mine if user.is_authenticated else self.none()


class Request(models.Model):
    """`body` is what OpenCode sent: the permission with its patterns and metadata, or the questions with their options.

    `answer` is `{"reply": "once" | "always" | "reject", "message"}` for a permission, `{"answers": [[label, …], …]}` or
    `{"reject": true}` for a question.
    """

    class Kind(models.TextChoices):
        PERMISSION = "permission", "Permission"
        QUESTION = "question", "Question"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        ANSWERED = "answered", "Answered"
        WITHDRAWN = "withdrawn", "Withdrawn"

    session = models.ForeignKey("agent_sessions.Session", on_delete=models.CASCADE, related_name="requests")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    opencode_id = models.CharField(max_length=80)
    body = models.JSONField(default=dict)
    state = models.CharField(max_length=20, choices=State.choices, default=State.OPEN)
    answer = models.JSONField(null=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    answered_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True, help_text="When OpenCode took the answer.")
    opened_at = models.DateTimeField(auto_now_add=True)

    objects = RequestQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["session", "opencode_id"], name="one_row_per_opencode_request")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.opencode_id}"

    def give_answer(self, answer: dict[str, Any], *, by: Any) -> None:
        """The first answer wins; a later one raises `Conflict`, which says who was first."""
        with transaction.atomic():
            given = Request.objects.filter(pk=self.pk, state=self.State.OPEN).update(
                state=self.State.ANSWERED, answer=answer, answered_by=by, answered_at=timezone.now()
            )
            if not given:
                first = Request.objects.select_related("answered_by").get(pk=self.pk)
                who = first.answered_by or "nobody: the run ended before"
                raise Conflict(f"It was answered already, by {who}.", code="answered_already")
            task = self.session.task
            task.note("request.answered", by=by, session_id=self.session_id, request=self.pk, answer=answer)

    def delivered(self) -> None:
        """OpenCode has the answer."""
        Request.objects.filter(pk=self.pk).update(delivered_at=timezone.now())
