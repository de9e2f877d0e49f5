"""What should be done."""

from tasks.models.approval import Approval
from tasks.models.attachment import Attachment
from tasks.models.attention import Attention
from tasks.models.event import Event
from tasks.models.evidence import Evidence
from tasks.models.instructions import Instructions
from tasks.models.order import Blocker, Priority
from tasks.models.plan import Plan, PlanComment
from tasks.models.project import Membership, Project
from tasks.models.remote import Forge, Remote
from tasks.models.review import Comment, Finding
from tasks.models.saved_filter import SavedFilter
from tasks.models.seen import Look, Viewed
from tasks.models.task import Task
from tasks.models.variable import Audience, Variable

__all__ = [
    "Approval", "Attachment", "Attention", "Audience", "Blocker", "Comment", "Event", "Evidence", "Finding", "Forge", "Instructions", "Look", "Membership", "Plan", "PlanComment", "Priority", "Project", "Remote", "SavedFilter", "Task", "Variable", "Viewed",
]  # fmt: skip
