"""Evidence: what shows that an acceptance criterion of the plan is met."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models, transaction

from studio.errors import Invalid
from tasks.redaction import redact

if TYPE_CHECKING:
    from tasks.models.task import Task

NOTE_LIMIT = 1000  # characters


class EvidenceQuerySet(models.QuerySet["Evidence"]):
    def tick(
        self, task: "Task", criterion: str, *, by: Any = None, note: str = "", session_id: int | None = None
    ) -> None:
        """Say that a criterion of the newest plan is met; whoever said so first stays. Raises Invalid where the plan has none such."""
        note = redact(task.project, note)
        with transaction.atomic():
            self._hold(task, criterion)
            said = {"by": by, "note": note[:NOTE_LIMIT], "session_id": session_id}
            if self.get_or_create(task=task, criterion=criterion, defaults=said)[1]:
                task.note("criterion.met", by=by, session_id=session_id, criterion=criterion, note=note)

    def untick(self, task: "Task", criterion: str, *, by: Any) -> None:
        """Say that it is not met, or not any more. Raises Invalid as `tick` does."""
        with transaction.atomic():
            self._hold(task, criterion)
            if self.filter(task=task, criterion=criterion).delete()[0]:
                task.note("criterion.unmet", by=by, criterion=criterion)

    def _hold(self, task: "Task", criterion: str) -> None:
        task.lock()
        plan = task.plan
        if plan is None or criterion not in plan.fields.criteria:
            raise Invalid("The plan has no such criterion.", fields={"criterion": "As the plan words it."})


class Evidence(models.Model):
    """Said by a person, or (by None) by the review of that session. It is bound to the criterion's words, so that it stands over
    versions of the plan that keep them."""

    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, related_name="evidence")
    criterion = models.TextField()
    note = models.TextField(blank=True, help_text="What shows it.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    session_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(auto_now_add=True)

    objects = EvidenceQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return self.criterion[:80]
