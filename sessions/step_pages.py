"""The phases of the plan on a task's page: how far the work is, and steering it."""

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from sessions.models import Step
from sessions.models.step import REASON_LIMIT
from studio.errors import Invalid
from studio.http import PageRequest
from studio.roles import Role
from tasks.views import page


class SkipForm(forms.Form):
    """Why a phase is left out."""

    reason = forms.CharField(label="Why", max_length=REASON_LIMIT)


@login_required
@require_safe
def steps(request: PageRequest, pk: int) -> HttpResponse:
    """Each phase with its state, time, cost, commit and what it handed over."""
    return _steps(request, pk)


@login_required
@require_POST
def pause(request: PageRequest, pk: int) -> HttpResponse:
    """Let the work stop after it."""
    step = _step(request, pk)
    step.pause(by=request.user)
    return _answer(request, step)


@login_required
@require_POST
def go_on(request: PageRequest, pk: int) -> HttpResponse:
    """Lift the pause after it."""
    step = _step(request, pk)
    step.go_on(by=request.user)
    return _answer(request, step)


@login_required
@require_POST
def retry(request: PageRequest, pk: int) -> HttpResponse:
    """Run it again."""
    step = _step(request, pk)
    step.retry(by=request.user)
    return _answer(request, step)


@login_required
@require_POST
def skip(request: PageRequest, pk: int) -> HttpResponse:
    """Leave it out, for a reason."""
    step = _step(request, pk)
    form = SkipForm(request.POST)
    if not form.is_valid():
        raise Invalid("Say why it is skipped.", fields={"reason": " ".join(map(str, form.errors["reason"]))})
    step.skip(form.cleaned_data["reason"], by=request.user)
    return _answer(request, step)


def _steps(request: PageRequest, pk: int) -> HttpResponse:
    context: dict[str, Any] = page(request, pk, "steps")
    attempt = context["standing"].attempt
    rows = Step.objects.filter(attempt=attempt) if attempt else Step.objects.none()
    rows = rows.select_related("attempt__task__project", "by").prefetch_related("sessions")
    every = list(rows.order_by("-plan_version", "number"))
    newest = [step for step in every if step.plan_version == every[0].plan_version]
    older = [step for step in every if step.plan_version != every[0].plan_version]
    context |= {"steps": newest, "older": older, "reason_limit": REASON_LIMIT}
    return render(request, "sessions/_steps.html" if request.htmx else "sessions/steps.html", context)


def _answer(request: PageRequest, step: Step) -> HttpResponse:
    if request.htmx:
        return _steps(request, step.attempt.task_id)
    return redirect(f"{reverse('sessions:steps', args=[step.attempt.task_id])}#step-{step.pk}")


def _step(request: PageRequest, pk: int) -> Step:
    rows = Step.objects.visible_to(request.user).select_related("attempt__task__project")
    step: Step = get_object_or_404(rows, pk=pk)
    step.task.project.require(request.user, Role.MEMBER)
    return step
