"""The API of a task's plan: its versions with what they say in fields, comments on lines, and criteria that are met."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema
from ninja.responses import Status as Reply
from pydantic import StringConstraints

from studio.api import FilledText, Input, Missing, Text, Timestamp, responses
from studio.roles import Role
from tasks.api import find
from tasks.models import Evidence, Plan, PlanComment
from tasks.models.evidence import NOTE_LIMIT
from tasks.models.task import DESCRIPTION_LIMIT
from tasks.plan_text import LONGEST_LINE

tasks = Router(tags=["Plans"])

Line = Annotated[int, Field(ge=1, le=DESCRIPTION_LIMIT)]
Version = Annotated[int, Query(ge=1, le=1_000_000)]


class PlanIn(Input):
    """A plan in Markdown. `base`: the version that yours was made of; 409 (`old_plan`) where it is not the newest any more."""

    body: Annotated[FilledText, StringConstraints(max_length=DESCRIPTION_LIMIT)]
    base: int | None = None


class LinesIn(Input):
    """A comment on lines of the newest version, which count from 1. `end_line` is the last of them."""

    line: Line
    end_line: Line | None = None
    body: Annotated[FilledText, StringConstraints(max_length=DESCRIPTION_LIMIT)]


class EvidenceIn(Input):
    """A criterion in the words of the newest version, and what shows that it is met."""

    criterion: Annotated[FilledText, StringConstraints(max_length=LONGEST_LINE)]
    met: bool = True
    note: Annotated[Text, StringConstraints(max_length=NOTE_LIMIT)] = ""


class PhaseOut(Schema):
    number: int
    title: str
    body: str


class FileOut(Schema):
    path: str
    what: str


class CriterionOut(Schema):
    """`by` is null where the review of `session` said so."""

    criterion: str
    met: bool
    note: str
    by: int | None
    session: int | None
    at: Timestamp | None


class FieldsOut(Schema):
    """What can be read from the text; empty where it says nothing."""

    complexity: Literal["", "S", "M", "L", "XL"]
    phases: list[PhaseOut]
    files: list[FileOut]
    risks: str
    test_plan: str
    criteria: list[CriterionOut]


class LinesOut(Schema):
    """A comment on lines; `sent_at` is null while it is a draft of yours."""

    id: int
    version: int
    line: int
    end_line: int
    quote: str
    body: str
    by: int | None
    created_at: Timestamp
    sent_at: Timestamp | None


class PlanOut(Schema):
    version: int
    body: str
    by: int | None
    session: int | None
    created_at: Timestamp
    approved_at: Timestamp | None
    approved_by: int | None
    change_request: str
    fields: FieldsOut
    comments: list[LinesOut]


class VersionOut(Schema):
    version: int
    by: int | None
    created_at: Timestamp
    approved_at: Timestamp | None


@tasks.get("/{int:task_id}/plan", response=responses({200: PlanOut}))
def get_plan(request: HttpRequest, task_id: int, version: Version | None = None) -> Any:
    """Its plan: the newest version, or the one named; 404 while it has none."""
    return show_plan(_plan(request, task_id, version), request.user)


@tasks.put("/{int:task_id}/plan", response=responses({200: PlanOut}, 409))
def write_plan(request: HttpRequest, task_id: int, plan: PlanIn) -> Any:
    """Write a new version of the plan while it waits for approval."""
    task = find(request, task_id, Role.MEMBER)
    made = Plan.objects.write(task, plan.body, by=request.user, base=plan.base)
    return show_plan(made, request.user)


@tasks.get("/{int:task_id}/plan/versions", response=responses({200: list[VersionOut]}))
def list_versions(request: HttpRequest, task_id: int) -> Any:
    """The versions of its plan, oldest first, without their text."""
    return [
        {
            "version": each.version,
            "by": each.by_id,
            "created_at": each.created_at.isoformat(),
            "approved_at": each.approved_at and each.approved_at.isoformat(),
        }
        for each in find(request, task_id).plans.defer("body").order_by("version")
    ]


@tasks.post("/{int:task_id}/plan/comments", response=responses({201: LinesOut}, 409))
def comment_on_plan(request: HttpRequest, task_id: int, remark: LinesIn) -> Any:
    """A draft on lines of the newest version. `request-plan-changes` sends it."""
    plan = _plan(request, task_id, None, Role.MEMBER)
    made = plan.comment(remark.body, line=remark.line, end_line=remark.end_line, by=request.user)
    return Reply(201, show_lines(made))


@tasks.delete("/{int:task_id}/plan/comments/{int:comment_id}", response=responses({204: None}, 409))
def discard_plan_comment(request: HttpRequest, task_id: int, comment_id: int) -> Any:
    """Throw a draft of yours away."""
    task = find(request, task_id, Role.MEMBER)
    get_object_or_404(PlanComment, pk=comment_id, plan__task=task, by_id=request.user.pk).discard()
    return Reply(204, None)


@tasks.post("/{int:task_id}/criteria", response=responses({200: list[CriterionOut]}, 409))
def tick(request: HttpRequest, task_id: int, evidence: EvidenceIn) -> Any:
    """Say that an acceptance criterion is met, or not; all of them as they are then."""
    plan = _plan(request, task_id, None, Role.MEMBER)
    if evidence.met:
        Evidence.objects.tick(plan.task, evidence.criterion, by=request.user, note=evidence.note)
    else:
        Evidence.objects.untick(plan.task, evidence.criterion, by=request.user)
    return show_criteria(plan)


def _plan(request: HttpRequest, task_id: int, version: int | None, role: Role | None = None) -> Plan:
    task = find(request, task_id, role) if role else find(request, task_id)
    plan = task.plans.filter(version=version).first() if version else task.plan
    if plan is None:
        raise Missing(f"{task.key} has no {'such version' if version else 'plan yet'}.", code="no_plan")
    plan.task = task
    return plan


def show_plan(plan: Plan, reader: Any) -> dict[str, Any]:
    """As `PlanOut`, with the drafts of the reader."""
    read = plan.fields
    remarks = [each for each in plan.comments.all() if each.sent_at or each.by_id == reader.pk]
    return {
        "version": plan.version,
        "body": plan.body,
        "by": plan.by_id,
        "session": plan.session_id,
        "created_at": plan.created_at.isoformat(),
        "approved_at": plan.approved_at and plan.approved_at.isoformat(),
        "approved_by": plan.approved_by_id,
        "change_request": plan.change_request,
        "fields": {
            "complexity": read.complexity,
            "phases": [vars(each) for each in read.phases],
            "files": [vars(each) for each in read.files],
            "risks": read.risks,
            "test_plan": read.test_plan,
            "criteria": show_criteria(plan),
        },
        "comments": [show_lines(each) for each in remarks],
    }


def show_criteria(plan: Plan) -> list[dict[str, Any]]:
    """Each as `CriterionOut`."""
    return [
        {
            "criterion": criterion,
            "met": evidence is not None,
            "note": evidence.note if evidence else "",
            "by": evidence.by_id if evidence else None,
            "session": evidence.session_id if evidence else None,
            "at": evidence.at.isoformat() if evidence else None,
        }
        for criterion, evidence in plan.criteria
    ]


def show_lines(remark: PlanComment) -> dict[str, Any]:
    """As `LinesOut`."""
    return {
        "id": remark.pk,
        "version": remark.plan.version,
        "line": remark.line,
        "end_line": remark.end_line,
        "quote": remark.quote,
        "body": remark.body,
        "by": remark.by_id,
        "created_at": remark.created_at.isoformat(),
        "sent_at": remark.sent_at and remark.sent_at.isoformat(),
    }
