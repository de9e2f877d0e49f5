"""Where tasks stand, for templates that are given a task and nothing else."""

from typing import Any

from django import template
from django.template import Context

from tasks.models import Project, Task
from tasks.standing import Standing

register = template.Library()


@register.filter
def standing(task: Task) -> Standing:
    """Where the task stands, read now."""
    return Standing(task)


@register.simple_tag(takes_context=True)
def visible_projects(context: Context) -> list[Project]:
    """The projects that the reader may see."""
    request = context.get("request")
    user = getattr(request, "user", None)
    return list(Project.objects.visible_to(user)) if user is not None and user.is_authenticated else []


@register.simple_tag(takes_context=True)
def role_in(context: Context, project: Any) -> str:
    """The reader's role in the project; empty outside of any."""
    user = getattr(context.get("request"), "user", None)
    if not isinstance(project, Project) or user is None or not user.is_authenticated:
        return ""
    return str(project.role_of(user) or "")


@register.filter
def in_words(event: Any) -> str:
    """An event as a sentence's end: who did it stands before it."""
    return str(SENTENCES.get(event.name, lambda data: event.name)(event.data))


def _status(data: dict[str, Any]) -> str:
    from_, to = (str(data.get(end, "")).replace("_", " ") for end in ("from", "to"))
    return f"moved it from {from_} to {to} ({data.get('verb', '')})"


def _ended(data: dict[str, Any]) -> str:
    why = f": {str(data['reason']).replace('_', ' ')}" if data.get("reason") else ""
    return f"{data.get('phase', 'session')} ended as {data.get('state', '')}{why}"


SENTENCES: dict[str, Any] = {
    "task.created": lambda data: "filed the task",
    "task.updated": lambda data: f"changed {', '.join(data.get('fields', []))}",
    "task.status_changed": _status,
    "task.stopping": lambda data: "asked the agent to stop",
    "plan.written": lambda data: f"wrote version {data.get('version')} of the plan",
    "plan.approved": lambda data: f"approved version {data.get('version')} of the plan",
    "plan.changes_requested": lambda data: f"asked for changes to the plan: {data.get('comment', '')}",
    "comment.created": lambda data: f"asked for changes: {data.get('comment', '')}",
    "session.queued": lambda data: f"{data.get('phase', 'session')} was queued",
    "session.started": lambda data: f"{data.get('phase', 'session')} started",
    "session.running": lambda data: f"{data.get('phase', 'session')} is running",
    "session.waiting": lambda data: f"{data.get('phase', 'session')} waits for a person",
    "session.ended": _ended,
    "review.completed": lambda data: (
        f"AI review: {str(data.get('verdict', '')).replace('_', ' ')}, {data.get('findings', 0)} findings"
    ),
    "request.opened": lambda data: "the agent asked something",
    "request.answered": lambda data: "answered the agent",
}
