"""What the API takes and shows of a review: findings, comments, approvals, and what a person has seen."""

from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import StringConstraints

from studio.api import FilledText, Id, Input, Text, Timestamp
from tasks.models import Approval, Comment, Finding
from tasks.schemas import COMMENT_LIMIT, Line

PLACE = ("path", "line", "end_line", "found_oid", "oid", "quote", "outdated")


class ChangesIn(Input):
    """What should change. It may be empty where comments say it."""

    comment: Annotated[Text, StringConstraints(strip_whitespace=True, max_length=COMMENT_LIMIT)] = ""


class ChosenIn(Input):
    """Which findings to fix; all open ones where it is left out."""

    findings: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = None


class ReasonIn(Input):
    """Why."""

    reason: Annotated[FilledText, StringConstraints(max_length=COMMENT_LIMIT)]


class OverrideIn(ReasonIn):
    """Why it may be merged in spite of the policy, and which commit you looked at (the last one)."""

    oid: Annotated[Text, StringConstraints(max_length=64)] = ""


class ApproveIn(Input):
    """The commit that you looked at; 409 where the change has gone on."""

    oid: Annotated[Text, StringConstraints(max_length=64)] = ""


class ViewedIn(Input):
    """A file of the diff with the `content` that the diff names; an empty one takes the mark away."""

    path: Annotated[FilledText, StringConstraints(max_length=1000)]
    content: Annotated[Text, StringConstraints(max_length=64)]


class CommentIn(Input):
    """A comment on a line of the diff, on a file, or (without a path) on the whole change."""

    body: Annotated[FilledText, StringConstraints(max_length=COMMENT_LIMIT)]
    path: Annotated[Text, StringConstraints(max_length=1000)] = ""
    line: Line | None = None
    end_line: Line | None = None
    send: bool = Field(default=False, description="Show it at once, instead of keeping it as your draft.")


# --- out ----------------------------------------------------------------------------------------------------------


class PlaceOut(Schema):
    """Lines of the file as of the commit `oid`; `outdated` where they were changed since."""

    path: str
    line: int | None
    end_line: int | None
    found_oid: str
    oid: str
    quote: str
    outdated: bool


class FindingOut(PlaceOut):
    id: int
    task: int
    session: int
    attempt_number: int
    severity: Finding.Severity
    title: str
    body: str
    state: Finding.State
    reason: str
    waived_by: int | None
    waived_at: Timestamp | None
    created_at: Timestamp


class CommentOut(PlaceOut):
    id: int
    task: int
    attempt_number: int | None
    by: int | None
    body: str
    state: Comment.State
    created_at: Timestamp
    sent_at: Timestamp | None
    resolved_by: int | None
    answer: str
    answered_at: Timestamp | None


class ApprovalOut(Schema):
    """A `reason` makes it an override."""

    id: int
    oid: str
    by: int | None
    reason: str
    created_at: Timestamp


class GateOut(Schema):
    """What the policy has against a merge now, in sentences, and who approved or overrode this commit."""

    task_id: int
    head_oid: str
    obstacles: list[str]
    overridden: bool
    approvals: list[ApprovalOut]


class SentOut(Schema):
    """How many drafts were sent."""

    sent: int


class SeenOut(Schema):
    """The files that you have viewed as they are noted with you, and the commit of your last look."""

    viewed: dict[str, str] = Field(description="Content by path.")
    look: str


def show_approval(approval: Approval) -> dict[str, Any]:
    """As `ApprovalOut`."""
    return {
        "id": approval.pk,
        "oid": approval.oid,
        "by": approval.by_id,
        "reason": approval.reason,
        "created_at": approval.created_at.isoformat(),
    }


def show_finding(finding: Finding) -> dict[str, Any]:
    """As `FindingOut`."""
    plain = ["id", "attempt_number", "severity", "title", "body", "state", "reason", *PLACE]
    return {name: getattr(finding, name) for name in plain} | {
        "task": finding.task_id,
        "session": finding.session_id,
        "waived_by": finding.waived_by_id,
        "waived_at": finding.waived_at and finding.waived_at.isoformat(),
        "created_at": finding.created_at.isoformat(),
    }


def show_comment(comment: Comment) -> dict[str, Any]:
    """As `CommentOut`."""
    plain = ["id", "attempt_number", "body", "state", "answer", *PLACE]
    return {name: getattr(comment, name) for name in plain} | {
        "resolved_by": comment.resolved_by_id,
        "answered_at": comment.answered_at and comment.answered_at.isoformat(),
        "task": comment.task_id,
        "by": comment.by_id,
        "created_at": comment.created_at.isoformat(),
        "sent_at": comment.sent_at and comment.sent_at.isoformat(),
    }
