"""What people decide in a review: about findings, comments, and the change as a whole."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from sessions import remarks
from studio.errors import Invalid
from studio.http import PageRequest
from studio.roles import Role
from tasks.forms import ReasonForm
from tasks.models import Approval, Comment, Finding, Look
from tasks.views import task_for_member


@login_required
@require_POST
def fix_findings(request: PageRequest, pk: int) -> HttpResponse:
    """Send the ticked findings to the agent, or with the button for it all that are open."""
    task = task_for_member(request, pk)
    ticked = [int(each) for each in request.POST.getlist("findings") if each.isdecimal() and len(each) < 19]
    task.fix_findings(None if "all" in request.POST else ticked, by=request.user)
    return redirect(task)


@login_required
@require_POST
def waive(request: PageRequest, pk: int) -> HttpResponse:
    finding = _of_task(Finding, request, pk)
    finding.waive(_reason(request), by=request.user)
    return _back(request, finding.task_id)


@login_required
@require_POST
def reopen_finding(request: PageRequest, pk: int) -> HttpResponse:
    finding = _of_task(Finding, request, pk)
    finding.reopen(by=request.user)
    return _back(request, finding.task_id)


@login_required
@require_POST
def send_comments(request: PageRequest, pk: int) -> HttpResponse:
    """Show the reader's drafts to everybody, and start nothing."""
    remarks.send_drafts(task_for_member(request, pk), by=request.user)
    return redirect("tasks:review", pk)


@login_required
@require_POST
def discard(request: PageRequest, pk: int) -> HttpResponse:
    comment = _of_task(Comment, request, pk)
    comment.discard()
    return _back(request, comment.task_id)


@login_required
@require_POST
def resolve(request: PageRequest, pk: int) -> HttpResponse:
    comment = _of_task(Comment, request, pk)
    comment.resolve(by=request.user)
    return _back(request, comment.task_id)


@login_required
@require_POST
def reopen_comment(request: PageRequest, pk: int) -> HttpResponse:
    comment = _of_task(Comment, request, pk)
    comment.reopen(by=request.user)
    return _back(request, comment.task_id)


@login_required
@require_POST
def approve(request: PageRequest, pk: int) -> HttpResponse:
    """The reader finds the commit that the page showed right; it counts as a look at it."""
    task = task_for_member(request, pk)
    approval = Approval.approve(task, request.POST.get("oid", "")[:64], by=request.user)
    Look.take(task, approval.oid, by=request.user)
    return redirect("sessions:changes", pk)


@login_required
@require_POST
def override(request: PageRequest, pk: int) -> HttpResponse:
    """A maintainer lets the commit be merged in spite of the policy."""
    task = task_for_member(request, pk)
    Approval.override(task, _reason(request), request.POST.get("oid", "")[:64], by=request.user)
    return redirect("sessions:changes", pk)


def _reason(request: PageRequest) -> str:
    form = ReasonForm(request.POST)
    if not form.is_valid():
        raise Invalid("Give a reason.", fields={"reason": "It is kept with the decision."})
    reason: str = form.cleaned_data["reason"]
    return reason


def _back(request: PageRequest, task: int) -> HttpResponse:
    """The page that the button stood on."""
    return redirect("sessions:changes" if request.POST.get("from") == "changes" else "tasks:review", task)


def _of_task(kind: Any, request: PageRequest, pk: int) -> Any:
    row = get_object_or_404(kind.objects.visible_to(request.user).select_related("task__project"), pk=pk)
    row.task.project.require(request.user, Role.MEMBER)
    return row
