"""The change as people read it: the diff with remarks at its lines, what each person has seen of it, and the gate."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from sessions import landing, looks, pull_requests
from sessions.forms import LineCommentForm, ViewedForm
from sessions.models import Attempt
from sessions.progress import against_policy, obstacles
from sessions.remarks import write_comment
from sessions.workspaces.diff import Diff
from studio.errors import Invalid
from studio.http import PageRequest
from studio.roles import Role
from tasks.forms import ChangesForm
from tasks.lifecycle import Status
from tasks.models import Comment, Finding, Look, Task, Viewed
from tasks.views import page

Remarks = dict[tuple[str, int], list[Finding | Comment]]


@login_required
@require_safe
def changes(request: PageRequest, pk: int) -> HttpResponse:
    """All that the current attempt changed, with findings and comments at their lines, and the gate to the merge."""
    context = page(request, pk, "changes")
    attempt = Attempt.objects.current_of(pk)
    diff = landing.attempt_diff(attempt) if attempt else None
    context |= _reading(request, context["task"], attempt, diff) | gate_of(request, context["task"], attempt)
    return render(request, "sessions/changes.html", context)


@login_required
@require_safe
def since(request: PageRequest, pk: int) -> HttpResponse:
    """What has changed since the reader's last look."""
    context = page(request, pk, "changes", is_since=True)
    attempt = Attempt.objects.current_of(pk)
    diff = looks.since(attempt, looks.last(attempt, request.user)) if attempt else None
    context |= _reading(request, context["task"], attempt, diff) | gate_of(request, context["task"], attempt)
    return render(request, "sessions/changes.html", context)


@login_required
@require_safe
def attempt_changes(request: PageRequest, pk: int) -> HttpResponse:
    """What an attempt changed that the task does not follow now: to read, as it was left."""
    attempt = get_object_or_404(
        Attempt.objects.visible_to(request.user).select_related("task__project"), pk=pk
    )
    if attempt.is_current:
        return redirect("sessions:changes", attempt.task_id)
    context = page(request, attempt.task_id, "attempts", is_aside=True)
    context |= _reading(request, context["task"], attempt, landing.attempt_diff(attempt))
    context |= {"may_comment": {}, "has_news": False}
    return render(request, "sessions/changes.html", context)


@login_required
@require_safe
def gate(request: PageRequest, pk: int) -> HttpResponse:
    """Where a person decides about the change."""
    context = page(request, pk, "changes")
    return render(
        request,
        "sessions/_gate.html",
        context | gate_of(request, context["task"], Attempt.objects.current_of(pk)),
    )


@login_required
@require_POST
def viewed(request: PageRequest, pk: int) -> HttpResponse:
    """Mark a file as viewed, or not; the file anew, without htmx the change at that file."""
    task = page(request, pk, "changes")["task"]
    form = ViewedForm(request.POST)
    if not form.is_valid():
        raise Invalid("Name a file of the change.", fields={"path": "The file that was viewed."})
    path, number = form.cleaned_data["path"], str(form.cleaned_data["number"] or 1)
    Viewed.mark(task, path, form.cleaned_data["content"], by=request.user)
    if not request.htmx:
        return redirect(reverse("sessions:changes", args=[pk]) + f"#file-{number}")
    return _file(request, pk, path, number)


@login_required
@require_POST
def look(request: PageRequest, pk: int) -> HttpResponse:
    """The reader has looked at the change as it is now."""
    Look.take(page(request, pk, "changes")["task"], request.POST.get("oid", "")[:64], by=request.user)
    return redirect("sessions:changes", pk)


@login_required
def new_comment(request: PageRequest, pk: int) -> HttpResponse:
    """Write a comment on lines of a file: a draft, until it is sent. With htmx the form stands below the line."""
    context = page(request, pk, "changes")
    task: Task = context["task"]
    task.project.require(request.user, Role.MEMBER)
    form = LineCommentForm(request.POST or None, initial=request.GET.dict())
    if request.method == "POST" and form.is_valid():
        try:
            comment = write_comment(task, by=request.user, **form.cleaned_data)
        except Invalid as wrong:
            form.refuse(wrong)
        else:
            return redirect(reverse("sessions:changes", args=[pk]) + f"#comment-{comment.pk}")
    template = "sessions/_new_comment.html" if request.htmx else "sessions/new_comment.html"
    return render(request, template, context | {"form": form}, status=422 if form.is_bound else 200)


def gate_of(request: PageRequest, task: Task, attempt: Attempt | None) -> dict[str, Any]:
    """What the gate needs: what is against a merge, who approved, and what the reader has not sent."""
    in_review = attempt is not None and task.status == Status.REVIEW
    head = attempt.head_oid if attempt else ""
    approvals = list(task.approvals.filter(oid=head).select_related("by")) if in_review else []
    against = against_policy(attempt) if in_review and attempt else []
    return {
        "head_oid": head,
        "push": task.pushes.first() if in_review else None,
        "pull": pull_requests.of(task) if in_review else None,
        "against": against,
        "blocked": bool(against and attempt and obstacles(attempt)),
        "approvals": [each for each in approvals if not each.reason],
        "overrides": [each for each in approvals if each.reason],
        "has_approved": any(each.by_id == request.user.pk and not each.reason for each in approvals),
        "drafts": task.comments.drafts_of(request.user).count(),
        "form": ChangesForm(),
    }


def _reading(request: PageRequest, task: Task, attempt: Attempt | None, diff: Diff | None) -> dict[str, Any]:
    """The diff with what stands at its lines, and what the reader has seen of it."""
    number = attempt.number if attempt else 0
    findings = task.findings.filter(attempt_number=number).select_related("waived_by")
    comments = task.comments.visible_to(request.user).filter(attempt_number=number).select_related("by")
    seen = task.looks.filter(by_id=request.user.pk).first()
    address = reverse("sessions:new-comment", args=[task.pk])
    files = diff.files if diff else []
    role = task.project.role_of(request.user)
    may_comment = task.status == Status.REVIEW and role is not None and role.covers(Role.MEMBER)
    return {
        "diff": diff,
        "attempt": attempt,
        "remarks": by_line([*findings, *comments], diff),
        "viewed": dict(task.viewed.filter(by_id=request.user.pk).values_list("path", "content")),
        "has_news": bool(seen and attempt and attempt.head_oid and seen.oid != attempt.head_oid),
        "may_comment": {file.path: f"{address}?{urlencode({'path': file.path})}" for file in files}
        if may_comment
        else {},
    }


def by_line(remarks: Iterable[Finding | Comment], diff: Diff | None) -> Remarks:
    """The remarks by file and last line; at line 0 of their file where the diff does not show theirs, or it was changed since."""
    files = diff.files if diff else []
    shown = {(file.path, line.new_no) for file in files for hunk in file.hunks for line in hunk.lines}
    found: Remarks = {}
    for remark in remarks:
        place = (remark.path, remark.end_line or remark.line or 0)
        stays = place in shown and not remark.outdated
        found.setdefault(place if stays else (remark.path, 0), []).append(remark)
    return found


def _file(request: PageRequest, pk: int, path: str, number: str) -> HttpResponse:
    """One file of the change; all of the page where it is not in it any more."""
    context = page(request, pk, "changes")
    attempt = Attempt.objects.current_of(pk)
    diff = landing.attempt_diff(attempt) if attempt else None
    file = next((each for each in diff.files if each.path == path), None) if diff else None
    if file is None:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    context |= _reading(request, context["task"], attempt, diff) | {"file": file, "number": number}
    return render(request, "sessions/_file.html", context)
