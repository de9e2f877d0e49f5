"""Approval: what a person decided about one commit of a change. It falls by itself when the change goes on to another commit."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models, transaction

from studio.errors import Conflict
from studio.roles import Role
from tasks.lifecycle import Status
from tasks.redaction import Redacted

if TYPE_CHECKING:
    from tasks.models.task import Task


class Approval(Redacted):
    """With a `reason` it is an override: a maintainer lets the commit be merged though the policy does not."""

    TEXTS = ("reason",)

    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="approvals")
    oid = models.CharField(max_length=64)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.task}: {self.oid[:7]} by {self.by}"

    @classmethod
    def approve(cls, task: "Task", oid: str = "", *, by: Any) -> "Approval":
        """The person has read the change up to the commit `oid` (the last one) and finds it right. Raises Conflict, also where the
        change has gone on. Approving twice is approving once."""
        with transaction.atomic():
            oid = _reviewed(task, oid)
            approval, is_new = cls.objects.get_or_create(task=task, oid=oid, by=by, reason="")
            if is_new:
                task.note("review.approved", by=by, oid=oid)
        return approval

    @classmethod
    def override(cls, task: "Task", reason: str, oid: str = "", *, by: Any) -> "Approval":
        """Let this commit be merged whatever the policy says, for that reason; maintainers may. Raises Forbidden or Conflict."""
        task.project.require(by, Role.MAINTAINER)
        with transaction.atomic():
            oid = _reviewed(task, oid)
            approval = cls.objects.create(task=task, oid=oid, by=by, reason=reason)
            task.note("review.overridden", by=by, oid=oid, reason=approval.reason)
        return approval


def _reviewed(task: "Task", oid: str) -> str:
    """The commit that is up for review; holds the task's row."""
    task.lock()
    attempt = task.current_attempt
    if task.status != Status.REVIEW or attempt is None or not attempt.head_oid:
        raise Conflict(f"{task.key} has no change in review.", status_now=task.status)
    if oid and oid != attempt.head_oid:
        raise Conflict("The change has gone on since you looked at it.", head_oid=attempt.head_oid)
    return attempt.head_oid
