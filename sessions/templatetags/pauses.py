"""Pauses, for the banner of every page."""

from typing import Any

from django import template
from django.template import Context

from sessions import pauses
from sessions.models import Pause

register = template.Library()


@register.simple_tag(takes_context=True)
def pauses_over(context: Context, project: Any) -> list[Pause]:
    """Those that hold the page's project, or, on a page of none, that of everything."""
    return pauses.over(project or None, context["user"])
