"""Where tasks stand, for templates that are given a task and nothing else."""

from typing import Any

from django import template
from django.template import Context

from tasks import timeline
from tasks.models import Event, Project, Task
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
def in_words(event: Event) -> str:
    """An event as a sentence's end: who did it stands before it."""
    return timeline.in_words(event.name, event.data)
