"""Which of its attempts a task follows: a new one beside the old, and the way back to an older one."""

from typing import TYPE_CHECKING, Any

from django.db import models, transaction

from sessions.models.session import LIVE, Session
from studio import disk
from studio.errors import Conflict
from tasks.lifecycle import Status
from tasks.models import Blocker, Task

if TYPE_CHECKING:
    from datetime import datetime

    from sessions.models.step import StepQuerySet

IDLE, CLAIMED, CLAIMABLE = "idle", "claimed", "claimable"  # the leases that matter here


class Choosable(models.Model):
    """What a task follows, until it follows another; nothing of it is lost by that."""

    is_current = models.BooleanField(default=True)
    plan_version = models.PositiveIntegerField(
        null=True, help_text="The newest version of the task's plan when it was set aside."
    )
    if TYPE_CHECKING:
        pk: int
        task: Task
        number: int
        status: str
        ended_at: datetime | None
        objects: Any
        steps: StepQuerySet

    class Meta:
        abstract = True

    @classmethod
    def anew(cls, task: Task, *, by: Any) -> Session:
        """Try the task again from scratch: a new attempt, which the task follows, beside the old one. The new one's first session.

        Raises Conflict where something runs, or nothing was tried yet, and NoSpace.
        """
        disk.require(task.project.path)
        with transaction.atomic():
            task.lock()
            old = cls._set_aside(task)
            if task.status == Status.TODO:
                Blocker.refuse_start(task)
            planned = task.policy.planning
            task.move("new-attempt", Status.PLANNING if planned else Status.IN_PROGRESS, by=by)
            number = cls.objects.filter(task=task).count() + 1
            task.note("attempt.begun", by=by, attempt=number, beside=old.number)
            session: Session = cls.objects.start(
                task, number, "planning" if planned else "implementation", by=by
            )
        return session

    def choose(self, *, by: Any) -> None:
        """Let the task follow this attempt again, in the state in which it was left, with the plan that it had. Starts nothing.

        Raises Conflict where it is followed already, has ended, or something runs.
        """
        task = self.task
        with transaction.atomic():
            task.lock()
            self.refresh_from_db(fields=["is_current", "status", "ended_at", "plan_version"])
            if self.is_current:
                raise Conflict(f"{task.key} follows attempt {self.number} already.", code="current_already")
            if self.ended_at is not None:
                raise Conflict(
                    f"Attempt {self.number} has ended, so {task.key} cannot go back to it.",
                    code="attempt_ended",
                )
            old = self._set_aside(task)
            type(self).objects.filter(pk=self.pk).update(is_current=True)
            self.is_current = True
            task.move("choose", Status(self.status), by=by)
            task.note("attempt.chosen", by=by, attempt=self.number, instead=old.number)
            self._bring_plan(by)

    @classmethod
    def _set_aside(cls, task: Task) -> Any:
        """The task's current attempt, which it follows no more. Its row is swapped, as a worker may claim it at any moment."""
        mine = cls.objects.filter(task=task, is_current=True)
        old: Any = mine.first()
        if old is None:
            raise Conflict(f"{task.key} has not been tried yet: start it.", code="no_attempt")
        live = old.live_session
        if live is not None:
            raise Conflict(
                f"{task.key} is running: session {live.pk}. Stop it first, by “Back to To do”.",
                code="already_running",
                session_id=live.pk,
            )
        plan = task.plan
        free = mine.exclude(lease=CLAIMED).exclude(sessions__state__in=LIVE).filter(pk=old.pk)
        if not free.update(is_current=False, plan_version=plan.version if plan else None):
            raise Conflict(f"{task.key} is being worked on right now; try again in a moment.", code="busy")
        cls.objects.filter(pk=old.pk, lease=CLAIMABLE).update(lease=IDLE)
        return old

    def _bring_plan(self, by: Any) -> None:
        """The plan that it had becomes the newest version again, approved where it was, and its phases stand as they stood."""
        task = self.task
        newest, mine = task.plan, task.plans.filter(version=self.plan_version or 0).first()
        if newest is None or mine is None or newest.version == mine.version:
            return
        kept = {"approved_at": mine.approved_at, "approved_by": mine.approved_by}
        version = newest.version + 1
        task.plans.create(version=version, body=mine.body, by=mine.by, session_id=mine.session_id, **kept)
        self.steps.filter(plan_version=mine.version).update(plan_version=version)
        task.note("plan.written", by=by, version=version)
