"""What waits for a person: the tasks that nothing moves on by itself, over all projects where the person may do so."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from studio.roles import Role
from tasks.lifecycle import Status
from tasks.models import Attention, Plan, Project, Task
from tasks.standing import Standing, load

KINDS = {
    "plan": "Plans",
    "permission": "Permissions",
    "question": "Questions",
    "review": "Reviews",
    "failure": "Failures",
    "limit": "Limits",
    "rest": "Rests",
}
LIMITS = {"deadline", "provider_limited", "provider_quota"}  # of a failed session's reasons
GATES = (Status.PLANNING_REVIEW, Status.REVIEW)
MOVING = (Status.PLANNING, Status.IN_PROGRESS, Status.AI_REVIEW, Status.FIX)
MOST = 200  # on one page; the oldest of them


def needing(user: Any) -> QuerySet[Task]:
    """The tasks that wait for somebody who works on their project, as the person does: one query."""
    projects = Project.objects.where(user, Role.MEMBER).open()
    model: Any = Task._meta.get_field("attempts").related_model
    current = model._default_manager.filter(task=OuterRef("pk"), is_current=True)
    asks = Exists(current.filter(sessions__ended_at=None, sessions__requests__state="open"))
    live = Exists(current.filter(sessions__isnull=False, sessions__ended_at=None))
    stopping = Exists(current.filter(cancel_requested_at__isnull=False))
    mine = Task.objects.filter(project__in=projects)
    return mine.filter(asks | Q(~live, status__in=[*GATES, *MOVING])).exclude(stopping)


@dataclass
class Need:
    """A task with what it needs: a kind of `KINDS`, and since when."""

    task: Task
    standing: Standing
    kind: str
    attention: Attention | None = None
    plan: Plan | None = None  # that waits for approval

    @property
    def since(self) -> datetime:
        """Since when it waits."""
        return self.standing.words.since or self.task.status_changed_at

    @property
    def requests(self) -> list[Any]:
        """What the agent asks."""
        return list(self.standing.live.open_requests) if self.standing.live else []


def of(user: Any) -> list[Need]:
    """All that waits for the person, the oldest first, with who looks at it."""
    rows = needing(user).select_related("project").order_by("status_changed_at", "pk")
    tasks = list(rows.prefetch_related("attentions__by")[:MOST])
    load(tasks)
    needs = [_need(task) for task in tasks]
    written = Plan.objects.filter(task__in=[need.task for need in needs if need.kind == "plan"])
    newest = {plan.task_id: plan for plan in written.order_by("version")}
    for need in needs:
        need.plan = newest.get(need.task.pk)
    return sorted(needs, key=lambda need: (need.since, need.task.pk))


def _need(task: Task) -> Need:
    standing = Standing(task)
    need = Need(task, standing, _kind(standing))
    need.attention = next((each for each in task.attentions.all() if each.holds(need.since)), None)
    return need


def _kind(standing: Standing) -> str:
    if standing.live is not None and standing.live.open_requests:
        return str(standing.live.open_requests[0].kind)
    if standing.failure is not None:
        return "limit" if standing.failure.reason in LIMITS else "failure"
    return {Status.PLANNING_REVIEW: "plan", Status.REVIEW: "review"}.get(Status(standing.task.status), "rest")
