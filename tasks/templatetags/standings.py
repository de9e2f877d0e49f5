"""Where tasks stand, for templates that are given a task and nothing else."""

from typing import Any

from django import template
from django.template import Context

from studio.roles import Role
from tasks import needs, timeline
from tasks.models import Event, Project, Task
from tasks.standing import Standing

register = template.Library()


@register.filter
def standing(task: Task) -> Standing:
    """Where the task stands, read now."""
    return Standing(task)


@register.simple_tag(takes_context=True)
def visible_projects(context: Context) -> list[Project]:
    """The projects that the reader may see, but for archived ones."""
    request = context.get("request")
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return []
    return list(Project.objects.visible_to(user).open())


@register.simple_tag(takes_context=True)
def needs_count(context: Context) -> int:
    """How many tasks wait for the reader."""
    user = getattr(context.get("request"), "user", None)
    return needs.needing(user).count() if user is not None and user.is_authenticated else 0


@register.simple_tag(takes_context=True)
def role_in(context: Context, project: Any) -> str:
    """The reader's role in the project; empty outside of any. An archived one everybody only reads."""
    user = getattr(context.get("request"), "user", None)
    if not isinstance(project, Project) or user is None or not user.is_authenticated:
        return ""
    role = project.role_of(user)
    return str(Role.VIEWER if role and project.archived_at else role or "")


@register.filter
def maintained_by(project: Project, user: Any) -> bool:
    """Whether the person is one of its maintainers, also while it is archived."""
    return _covers(project, user, Role.MAINTAINER)


@register.filter
def administered_by(project: Project, user: Any) -> bool:
    """Whether the person is one of its admins, also while it is archived."""
    return _covers(project, user, Role.ADMIN)


def _covers(project: Project, user: Any, wanted: Role) -> bool:
    role = project.role_of(user)
    return role is not None and role.covers(wanted)


@register.filter
def in_words(event: Event) -> str:
    """An event as a sentence's end: who did it stands before it."""
    return timeline.in_words(event.name, event.data)
