"""Plan: one version of how a task will be done, with what people write on its lines."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from studio.errors import Conflict, Invalid
from tasks import plan_text
from tasks.lifecycle import Status
from tasks.redaction import Redacted

if TYPE_CHECKING:
    from tasks.models.evidence import Evidence
    from tasks.models.task import Task

MOST_COMMENTS = 200  # of one version


class PlanQuerySet(models.QuerySet["Plan"]):
    def accepted(self) -> "Plan | None":
        """The newest version that a person, or the policy, accepted."""
        return self.exclude(approved_at=None).order_by("-version").first()

    def write(
        self,
        task: "Task",
        body: str,
        *,
        by: Any = None,
        session_id: int | None = None,
        base: int | None = None,
    ) -> "Plan":
        """A new version of the task's plan, by a person or (by None) the agent.

        `base` is the version that the person began with: Conflict where it is not the newest any more.
        """
        with transaction.atomic():
            task.lock()
            if by is not None and task.status != Status.PLANNING_REVIEW:
                raise Conflict(f"{task.key} has no plan in review, so there is nothing to edit.")
            newest = task.plans.count()
            if base is not None and base != newest:
                raise Conflict(
                    f"You edited version {base}, and version {newest} has come since. Nothing was saved.",
                    code="old_plan",
                    newest=newest,
                )
            plan = self.create(task=task, version=newest + 1, body=body, by=by, session_id=session_id)
            task.note("plan.written", by=by, session_id=session_id, version=plan.version)
        return plan


class Plan(Redacted):
    """Versions count from 1 within the task; `by` is the person who wrote it, None for the agent."""

    TEXTS = ("body",)

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

    objects = PlanQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["task", "version"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "version"], name="one_plan_per_version")
        ]

    def __str__(self) -> str:
        return f"plan v{self.version} of {self.task}"

    @cached_property
    def fields(self) -> plan_text.PlanText:
        """What can be read from its text."""
        return plan_text.read(self.body)

    @property
    def criteria(self) -> "list[tuple[str, Evidence | None]]":
        """Its acceptance criteria, each with what shows that it is met, or None."""
        shown = {each.criterion: each for each in self.task.evidence.select_related("by")}
        return [(criterion, shown.get(criterion)) for criterion in self.fields.criteria]

    @property
    def lines(self) -> list[str]:
        """Its text by lines, which comments count from 1."""
        return self.body.replace("\r\n", "\n").split("\n")

    def approve(self, *, by: Any) -> None:
        """Accept it. In the transaction that moves the task."""
        Plan.objects.filter(pk=self.pk).update(approved_at=timezone.now(), approved_by=by)
        self.task.note("plan.approved", by=by, version=self.version)

    def comment(self, body: str, *, line: int, end_line: int | None = None, by: Any) -> "PlanComment":
        """A draft of the person's on these lines, sent with a request for changes. Raises Conflict or Invalid."""
        last = end_line or line
        with transaction.atomic():
            task = self.task
            task.lock()
            if task.status != Status.PLANNING_REVIEW or self.version != task.plans.count():
                raise Conflict(f"Version {self.version} of {task.key}'s plan is not in review.")
            if not 1 <= line <= last <= len(self.lines):
                raise Invalid(
                    "The plan has no such lines.", fields={"end_line": f"1 to {len(self.lines)}, in order."}
                )
            if self.comments.count() >= MOST_COMMENTS:
                raise Invalid(f"At most {MOST_COMMENTS} comments on one version.")
            quote = "\n".join(self.lines[line - 1 : last])
            return self.comments.create(line=line, end_line=last, quote=quote, body=body, by=by)

    def send_back(self, comment: str, *, by: Any) -> list[int]:
        """Keep what the person wants changed; the ids of their comments on lines, sent now. In the transaction that moves the task."""
        drafts = self.comments.filter(by=by, sent_at=None)
        remarks = list(drafts.values_list("pk", flat=True))
        if not comment and not remarks:
            raise Invalid("Say what should change.", fields={"comment": "Write it, or comment on lines."})
        drafts.update(sent_at=timezone.now())
        Plan.objects.filter(pk=self.pk).update(change_request=comment)
        self.task.note("plan.changes_requested", by=by, comment=comment, comments=len(remarks))
        return remarks


class PlanComment(Redacted):
    """What a person wrote on lines of a version, which count from 1; `quote` is how they read. A draft until it is sent, and until then
    its author's own."""

    TEXTS = ("body",)
    PROJECT = "plan.task.project"

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="comments")
    line = models.PositiveIntegerField()
    end_line = models.PositiveIntegerField()
    quote = models.TextField(blank=True)
    body = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["line", "pk"]

    def __str__(self) -> str:
        return self.body[:80]

    @property
    def where(self) -> str:
        """`line 3`, or `lines 3-5`."""
        return f"line {self.line}" if self.line == self.end_line else f"lines {self.line}-{self.end_line}"

    def discard(self) -> None:
        """Throw a draft away; one that was sent stays."""
        if not PlanComment.objects.filter(pk=self.pk, sent_at=None).delete()[0]:
            raise Conflict("The comment was sent already.")
