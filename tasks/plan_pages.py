"""The page of a task's plan: its versions, what is in them, and what people say about their lines."""

import difflib
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from studio.errors import Conflict, Invalid
from studio.http import PageRequest
from tasks.forms import ChangesForm, EvidenceForm, LinesForm, PlanForm
from tasks.models import Evidence, Plan, PlanComment, Task
from tasks.views import page, task_for_member

MOST_COMPARED = 4_000  # lines of both versions: what compares them takes long for very long ones


@login_required
@require_safe
def plan(request: PageRequest, pk: int) -> HttpResponse:
    """The newest version of the plan, or the one that `?version=` names; by `?compare=` what changed since another, by `?lines=` its
    source, to comment on."""
    context = page(request, pk, "plan")
    context |= shown(context["task"], request.user, request.GET)
    return render(request, "tasks/_plan.html" if request.htmx else "tasks/plan.html", context)


def shown(task: Task, reader: Any, asked: Mapping[str, str]) -> dict[str, Any]:
    """What the page shows of the plan that was asked for."""
    plans = list(task.plans.select_related("by", "approved_by"))
    named = {str(each.version): each for each in plans}
    one = named.get(asked.get("version", "")) or (plans[-1] if plans else None)
    if one is None:
        return {"plans": plans, "plan": None}
    one.task = task
    sent = [each for each in one.comments.select_related("by") if each.sent_at or each.by_id == reader.pk]
    other = named.get(asked.get("compare", ""))
    return {
        "plans": plans,
        "plan": one,
        "remarks": sent,
        "drafts": sum(1 for each in sent if not each.sent_at),
        "is_open": task.status == "planning_review" and one == plans[-1],
        "other": other,
        "changes": compared(other, one) if other else None,
        "lines": numbered(one, sent, asked) if "lines" in asked else None,
        "form": ChangesForm(),
    }


def compared(before: Plan, after: Plan) -> list[tuple[str, str]]:
    """The lines of two versions, each with ` `, `+` or `-`, and `@` for what is left out between; one line says where they are too long."""
    if len(before.lines) + len(after.lines) > MOST_COMPARED:
        return [("@", "These versions are too long to be compared here.")]
    rows = difflib.unified_diff(before.lines, after.lines, lineterm="", n=3)
    return [(row[0], row[1:] if row[0] != "@" else "…") for row in list(rows)[2:]]


def numbered(one: Plan, remarks: list[PlanComment], asked: Mapping[str, str]) -> list[dict[str, Any]]:
    """The lines of its text, each with the remarks that end there, and with the form where it was asked for."""
    below: dict[int, list[PlanComment]] = {}
    for remark in remarks:
        below.setdefault(remark.end_line, []).append(remark)
    return [
        {
            "number": number,
            "text": text,
            "remarks": below.get(number, []),
            "form": LinesForm(initial={"end_line": number}) if asked["lines"] == str(number) else None,
        }
        for number, text in enumerate(one.lines, start=1)
    ]


@login_required
@require_POST
def comment_on_plan(request: PageRequest, pk: int, version: int) -> HttpResponse:
    """A draft on lines of a version; it is sent with the request for changes."""
    task = task_for_member(request, pk)
    one = get_object_or_404(Plan, task=task, version=version)
    form = LinesForm(request.POST)
    if not form.is_valid():
        raise Invalid(
            "The comment cannot be kept.",
            fields={name: str(errors[0]) for name, errors in form.errors.items()},
        )
    said = form.cleaned_data
    made = one.comment(said["body"], line=said["line"], end_line=said["end_line"], by=request.user)
    return redirect(f"{reverse('tasks:plan', args=[pk])}?version={version}&lines=yes#line-{made.end_line}")


@login_required
@require_POST
def discard_plan_comment(request: PageRequest, pk: int) -> HttpResponse:
    """Throw one's own draft away."""
    remark = get_object_or_404(PlanComment.objects.select_related("plan"), pk=pk, by_id=request.user.pk)
    task = task_for_member(request, remark.plan.task_id)
    remark.discard()
    address = reverse("tasks:plan", args=[task.pk])
    return redirect(f"{address}?version={remark.plan.version}&lines=yes#line-{remark.end_line}")


@login_required
@require_POST
def tick(request: PageRequest, pk: int) -> HttpResponse:
    """Say that a criterion is met, with what shows it; by `unmet` that it is not."""
    task = task_for_member(request, pk)
    form = EvidenceForm(request.POST)
    if not form.is_valid():
        raise Invalid("Say which criterion.", fields={"criterion": "As the plan words it."})
    said = form.cleaned_data
    if "unmet" in request.POST:
        Evidence.objects.untick(task, said["criterion"], by=request.user)
    else:
        Evidence.objects.tick(task, said["criterion"], by=request.user, note=said["note"])
    return redirect(f"{reverse('tasks:plan', args=[pk])}#criteria")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def write_plan(request: PageRequest, pk: int) -> HttpResponse:
    """A new version of the plan by a person, starting from the newest one. Where another was written meanwhile, theirs stays in the form."""
    task = task_for_member(request, pk)
    newest = task.plan
    form = PlanForm(
        request.POST or None, initial={"body": newest.body, "base": newest.version} if newest else {}
    )
    status, conflict = 422 if form.is_bound else 200, None
    if request.method == "POST" and form.is_valid():
        try:
            Plan.objects.write(
                task, form.cleaned_data["body"], base=form.cleaned_data["base"], by=request.user
            )
            return redirect("tasks:plan", pk)
        except Conflict as late:
            form, status, conflict = conflicting(request.POST, late), late.status, late
    context = {"form": form, "task": task, "project": task.project, "conflict": conflict}
    return render(request, "tasks/write_plan.html", context, status=status)


def conflicting(written: QueryDict, conflict: Conflict) -> PlanForm:
    """The form with what the person wrote, which a second press saves upon the version that came between. Raises other conflicts."""
    if conflict.code != "old_plan":
        raise conflict
    form = PlanForm({"body": written["body"], "base": conflict.data["newest"]})
    form.add_error("body", str(conflict))
    return form
