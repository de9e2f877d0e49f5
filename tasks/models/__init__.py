"""What should be done."""

from tasks.models.event import Event
from tasks.models.plan import Plan
from tasks.models.project import Membership, Project
from tasks.models.review import Comment, Finding
from tasks.models.task import Task

__all__ = ["Comment", "Event", "Finding", "Membership", "Plan", "Project", "Task"]
