"""An agent at work."""

from sessions.models.activity import Activity
from sessions.models.attempt import Attempt
from sessions.models.breaker import Breaker
from sessions.models.check_result import CheckResult
from sessions.models.clone import Clone
from sessions.models.follow_up import FollowUp
from sessions.models.model_list import ModelList
from sessions.models.pause import Pause
from sessions.models.pull_request import PullRequest
from sessions.models.push import Push
from sessions.models.request import Request
from sessions.models.session import Session
from sessions.models.step import Step

__all__ = [
    "Activity",
    "Attempt",
    "Breaker",
    "CheckResult",
    "Clone",
    "FollowUp",
    "ModelList",
    "Pause",
    "PullRequest",
    "Push",
    "Request",
    "Session",
    "Step",
]
