"""The API of a review: findings, comments, approval, and what the caller has seen."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router
from ninja.responses import Status as Reply

from sessions import remarks
from sessions.api import STARTED, start
from sessions.progress import against_policy, obstacles
from studio.api import Cursor, Limit, Page, page, responses
from studio.repeat import DOCUMENTED, repeatable
from studio.roles import Role
from tasks import review_schemas as schemas
from tasks.api import find
from tasks.models import Approval, Comment, Finding, Look, Task, Viewed

tasks = Router(tags=["Reviews"])
findings = Router(tags=["Reviews"])
comments = Router(tags=["Reviews"])


# --- findings -------------------------------------------------------------------------------------------------------


@tasks.get("/{int:task_id}/findings", response=responses({200: Page[schemas.FindingOut]}))
def list_findings(request: HttpRequest, task_id: int, cursor: Cursor = 0, limit: Limit = 100) -> Any:
    """What its reviews found, oldest first."""
    rows = find(request, task_id).findings.filter(pk__gt=cursor).order_by("pk")
    return page(rows, schemas.show_finding, limit)


@tasks.post("/{int:task_id}/fix-findings", response=STARTED, openapi_extra=DOCUMENTED)
@repeatable
def fix_findings(request: HttpRequest, task_id: int, chosen: schemas.ChosenIn | None = None) -> Any:
    """Send open findings to the agent: those that you name and none else, or all."""
    named = chosen.findings if chosen else None
    return start(request, task_id, lambda task: task.fix_findings(named, by=request.user))


@findings.post("/{int:finding_id}/waive", response=responses({200: schemas.FindingOut}, 409))
def waive(request: HttpRequest, finding_id: int, why: schemas.ReasonIn) -> Any:
    """Decide that it may stay as it is."""
    finding = _of_task(Finding, request, finding_id)
    finding.waive(why.reason, by=request.user)
    return schemas.show_finding(finding)


@findings.post("/{int:finding_id}/reopen", response=responses({200: schemas.FindingOut}, 409))
def reopen_finding(request: HttpRequest, finding_id: int) -> Any:
    """Take back that it was waived, or fixed."""
    finding = _of_task(Finding, request, finding_id)
    finding.reopen(by=request.user)
    return schemas.show_finding(finding)


# --- comments -------------------------------------------------------------------------------------------------------


@tasks.get("/{int:task_id}/comments", response=responses({200: Page[schemas.CommentOut]}))
def list_comments(request: HttpRequest, task_id: int, cursor: Cursor = 0, limit: Limit = 100) -> Any:
    """What people wrote on its change, and your own drafts, oldest first."""
    rows = find(request, task_id).comments.visible_to(request.user).filter(pk__gt=cursor).order_by("pk")
    return page(rows, schemas.show_comment, limit)


@tasks.post(
    "/{int:task_id}/comments", response=responses({201: schemas.CommentOut}), openapi_extra=DOCUMENTED
)
@repeatable
def create_comment(request: HttpRequest, task_id: int, new: schemas.CommentIn) -> Any:
    """Comment on its change. It is your draft until `request-changes` or `send-comments` sends it."""
    task = find(request, task_id, Role.MEMBER)
    return Reply(201, schemas.show_comment(remarks.write_comment(task, by=request.user, **new.dict())))


@tasks.post("/{int:task_id}/send-comments", response=responses({200: schemas.SentOut}))
def send_comments(request: HttpRequest, task_id: int) -> Any:
    """Show your drafts to everybody, and start nothing."""
    return {"sent": remarks.send_drafts(find(request, task_id, Role.MEMBER), by=request.user)}


@comments.delete("/{int:comment_id}", response=responses({204: None}, 409))
def discard(request: HttpRequest, comment_id: int) -> Any:
    """Delete a draft of yours."""
    _of_task(Comment, request, comment_id).discard()
    return Reply(204, None)


@comments.post("/{int:comment_id}/resolve", response=responses({200: schemas.CommentOut}, 409))
def resolve(request: HttpRequest, comment_id: int) -> Any:
    """It is settled."""
    comment = _of_task(Comment, request, comment_id)
    comment.resolve(by=request.user)
    return schemas.show_comment(comment)


@comments.post("/{int:comment_id}/reopen", response=responses({200: schemas.CommentOut}, 409))
def reopen_comment(request: HttpRequest, comment_id: int) -> Any:
    """It is not settled after all."""
    comment = _of_task(Comment, request, comment_id)
    comment.reopen(by=request.user)
    return schemas.show_comment(comment)


# --- the gate -------------------------------------------------------------------------------------------------------


@tasks.get("/{int:task_id}/gate", response=responses({200: schemas.GateOut}))
def get_gate(request: HttpRequest, task_id: int) -> Any:
    """What stands in the way of a merge, and who approved the last commit."""
    return _gate(find(request, task_id))


@tasks.post("/{int:task_id}/approve", response=responses({200: schemas.GateOut}, 409))
def approve(request: HttpRequest, task_id: int, what: schemas.ApproveIn | None = None) -> Any:
    """You have read the change and find it right. It holds for this commit."""
    task = find(request, task_id, Role.MEMBER)
    Approval.approve(task, what.oid if what else "", by=request.user)
    return _gate(task)


@tasks.post("/{int:task_id}/override", response=responses({200: schemas.GateOut}, 409))
def override(request: HttpRequest, task_id: int, why: schemas.OverrideIn) -> Any:
    """Let this commit be merged in spite of the policy; maintainers may. The reason is recorded."""
    task = find(request, task_id, Role.MAINTAINER)
    Approval.override(task, why.reason, why.oid, by=request.user)
    return _gate(task)


def _gate(task: Task) -> dict[str, Any]:
    attempt = task.current_attempt
    head = attempt.head_oid if attempt else ""
    found = against_policy(attempt) if attempt else []
    return {
        "task_id": task.pk,
        "head_oid": head,
        "obstacles": found,
        "overridden": bool(attempt and found and not obstacles(attempt)),
        "approvals": [schemas.show_approval(each) for each in task.approvals.filter(oid=head)],
    }


# --- what the caller has seen ---------------------------------------------------------------------------------------


@tasks.get("/{int:task_id}/seen", response=responses({200: schemas.SeenOut}))
def get_seen(request: HttpRequest, task_id: int) -> Any:
    """Which files you have viewed, and up to which commit you have looked."""
    return _seen(request, find(request, task_id))


@tasks.post("/{int:task_id}/viewed", response=responses({200: schemas.SeenOut}))
def mark_viewed(request: HttpRequest, task_id: int, file: schemas.ViewedIn) -> Any:
    """Mark a file as viewed, until its content changes."""
    task = find(request, task_id)
    Viewed.mark(task, file.path, file.content, by=request.user)
    return _seen(request, task)


@tasks.post("/{int:task_id}/look", response=responses({200: schemas.SeenOut}, 409))
def look(request: HttpRequest, task_id: int) -> Any:
    """You have looked at the change as it is now; `diff?since=look` then shows what comes after."""
    task = find(request, task_id)
    Look.take(task, by=request.user)
    return _seen(request, task)


def _seen(request: HttpRequest, task: Task) -> dict[str, Any]:
    mine = task.looks.filter(by_id=request.user.pk).first()
    viewed = task.viewed.filter(by_id=request.user.pk).values_list("path", "content")
    return {"viewed": dict(viewed), "look": mine.oid if mine else ""}


# --- shared ---------------------------------------------------------------------------------------------------------


def _of_task(kind: Any, request: HttpRequest, pk: int) -> Any:
    """The row, where the caller may work on its task and may see it; 404 and 403 otherwise."""
    row = get_object_or_404(kind.objects.visible_to(request.user).select_related("task__project"), pk=pk)
    row.task.project.require(request.user, Role.MEMBER)
    return row
