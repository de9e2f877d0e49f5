"""Request: the agent waits for a person, who grants or refuses a permission or answers a question."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from studio.errors import Conflict
from tasks.redaction import redact


class RequestQuerySet(models.QuerySet["Request"]):
    def visible_to(self, user: Any) -> "RequestQuerySet":
        """The requests of the projects that the person may see."""
        if user.is_superuser:
            return self
        mine = self.filter(session__attempt__task__project__memberships__user_id=user.pk)
        return mine if user.is_authenticated else self.none()

    def refused_and_ended(self) -> "RequestQuerySet":
        """The refusals that OpenCode heard and ended its run over, whatever was said with them. Of all classes only `doom_loop` does."""
        heard = self.filter(state=Request.State.ANSWERED, delivery=Request.Delivery.REPLY)
        return heard.filter(answer__reply="reject", body__permission="doom_loop")

    def have_to_be_told(self) -> bool:
        """Hand these answers over once more, with the next prompt; whether there were any. Called inside a transaction."""
        return bool(self.update(delivered_at=None, delivery=""))


class Request(models.Model):
    """`body` is what OpenCode sent: the permission with its patterns, its metadata and the `call` that needs it (a tool and its input), or
    the questions with their options.

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

    class Delivery(models.TextChoices):
        REPLY = "reply", "To the call that waited"
        PROMPT = "prompt", "As a new prompt"

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
    delivery = models.CharField(max_length=10, choices=Delivery.choices, blank=True)
    opened_at = models.DateTimeField(auto_now_add=True)

    objects = RequestQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["session", "opencode_id"], name="one_row_per_opencode_request")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.opencode_id}"

    @property
    def wish(self) -> str:
        """What the agent wants, exactly: the command, the path, the address, or the questions; a line each."""
        if self.kind == self.Kind.QUESTION:
            return "\n".join(str(each.get("question", "")) for each in self.body.get("questions") or [])
        metadata = self.body.get("metadata") or {}
        said = metadata.get("command") or metadata.get("filepath") or metadata.get("url")
        patterns = [str(pattern) for pattern in self.body.get("patterns") or []]
        return str(said) if said else "\n".join(patterns) or str(self.body.get("permission", ""))

    @property
    def call(self) -> str:
        """The tool call that needs it, as `bash cat /etc/hosts`; empty where it is not known, or the wish has it."""
        call = self.body.get("call") or {}
        given = [value for value in (call.get("input") or {}).values() if isinstance(value, str)]
        return f"{call['tool']} {given[0]}" if given and given[0] != self.wish else ""

    @property
    def is_of_sub_agent(self) -> bool:
        """Whether a sub-agent asks."""
        return self.body.get("session_id", "") not in ("", self.session.opencode_session_id)

    @property
    def is_leave_unused(self) -> bool:
        """Whether it was allowed once when nobody waited for it any more, and OpenCode could be told in words only."""
        once = (self.answer or {}).get("reply") == "once"
        return once and self.state == self.State.ANSWERED and self.delivery == self.Delivery.PROMPT

    def allows(self, body: dict[str, Any]) -> bool:
        """Whether a permission that is asked for is the very same as this one."""
        patterns = [list(each.get("patterns") or ()) for each in (self.body, body)]
        return patterns[0] == patterns[1] and self.body.get("permission") == body.get("permission")

    def comes_again(self, opencode_id: str) -> None:
        """The agent asks for the same once more, under another id: the answer is still to be handed over. Called inside a transaction."""
        self.opencode_id, self.delivered_at, self.delivery = opencode_id, None, ""
        self.save(update_fields=["opencode_id", "delivered_at", "delivery"])

    def give_answer(self, answer: dict[str, Any], *, by: Any) -> None:
        """The first answer wins; a later one raises `Conflict`, which says who was first. The last one that a parked session waits for
        lets a worker go on with it. `by` is None where nobody answered in time."""
        with transaction.atomic():
            task = self.session.task
            answer = redact(task.project, answer)
            task.lock()  # as whoever parks the session does: one of the two comes first
            given = Request.objects.filter(pk=self.pk, state=self.State.OPEN).update(
                state=self.State.ANSWERED, answer=answer, answered_by=by, answered_at=timezone.now()
            )
            if not given:
                raise self._too_late()
            task.note("request.answered", by=by, session_id=self.session_id, request=self.pk, answer=answer)
            self.session.attempt.wake()

    def _too_late(self) -> Conflict:
        first = Request.objects.select_related("answered_by").get(pk=self.pk)
        if first.state == self.State.WITHDRAWN:
            return Conflict("The agent does not wait for it any more.", code="withdrawn")
        who = first.answered_by or "Studio, since nobody did in time"
        return Conflict(
            f"It was answered already, by {who}.",
            code="answered_already",
            answered_by=first.answered_by_id,
            answer=first.answer,
        )

    def expire(self) -> None:
        """Nobody has answered in time: it is refused, or declined, and the agent goes on without."""
        permission = {"reply": "reject", "message": "Nobody answered in time."}
        self.give_answer(permission if self.kind == self.Kind.PERMISSION else {"reject": True}, by=None)

    def withdraw(self) -> None:
        """OpenCode does not wait for it any more; an answer that came first stays. Called inside a transaction."""
        gone = Request.objects.filter(pk=self.pk, state=self.State.OPEN).update(state=self.State.WITHDRAWN)
        if gone:
            self.session.task.note("request.withdrawn", session_id=self.session_id, request=self.pk)

    def delivered(self, delivery: Delivery) -> None:
        """OpenCode has the answer."""
        Request.objects.filter(pk=self.pk).update(delivered_at=timezone.now(), delivery=delivery)
