"""Plan: one version of how a task will be done."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models, transaction

from studio.errors import Conflict

if TYPE_CHECKING:
    from tasks.models.task import Task


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

    def edit(self, body: str, *, by: Any) -> "Plan":
        """The version that a person makes of this one. Raises Conflict where a newer one has come since: it was not seen."""
        with transaction.atomic():
            self.task.lock()
            newest = self.task.plans.latest("version").version
            if newest != self.version:
                raise Conflict(
                    f"You edited version {self.version}, and version {newest} has come since. Nothing was saved.",
                    code="old_plan",
                    newest=newest,
                )
            plan: Plan = self.task.write_plan(body, by=by)
        return plan


def write_version(task: "Task", body: str, base: int | None, *, by: Any) -> Plan:
    """A person's version of the plan, made of version `base` where they name one. Raises Conflict."""
    if base is None:
        return task.write_plan(body, by=by)
    made_of = task.plans.filter(version=base).first()
    if made_of is None:
        raise Conflict(f"{task.key} has no version {base} of the plan.", code="old_plan")
    return made_of.edit(body, by=by)
