"""How a change lands, for people: what it would run into, how and with which words, and the buttons."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from sessions import landing
from sessions.forms import MergeForm
from sessions.models import Attempt
from sessions.push_pages import standing
from studio.errors import Invalid, Refusal
from studio.http import PageRequest
from tasks.views import answer, page, task_for_member


@login_required
@require_safe
def how(request: PageRequest, pk: int) -> HttpResponse:
    """The conflicts, file by file, and the form: strategy, target, message."""
    context = page(request, pk, "changes")
    attempt = Attempt.objects.current_of(pk)
    context |= _foreseen(attempt) | standing(context["task"])
    if context["pull"] is not None:
        context["pull"].look()
    if attempt is not None:
        words = landing.wording(attempt, by=request.user)
        context["trailers"] = words["trailers"]
        context["form"] = MergeForm(
            initial={
                "strategy": context["project"].merge_strategy,
                "target": context["task"].target,
                "message": words["message"],
            }
        )
    return render(request, "sessions/landing.html", context)


@login_required
@require_safe
def conflicts(request: PageRequest, pk: int) -> HttpResponse:
    """The forecast in a few words, for the gate; without htmx, the page that has all of it."""
    if not request.htmx:
        return redirect("sessions:landing", pk)
    context = page(request, pk, "changes")
    attempt = Attempt.objects.current_of(pk)
    return render(request, "sessions/_forecast.html", context | _foreseen(attempt))


def _foreseen(attempt: Attempt | None) -> dict[str, Any]:
    try:
        return {"forecast": landing.foresee(attempt) if attempt else None, "trouble": ""}
    except Refusal as refusal:
        return {"forecast": None, "trouble": refusal.message}


@login_required
@require_POST
def merge(request: PageRequest, pk: int) -> HttpResponse:
    """Land the change on its target branch."""
    task = task_for_member(request, pk)
    form = MergeForm(request.POST)
    if not form.is_valid():
        raise Invalid(" ".join(str(wrong) for errors in form.errors.values() for wrong in errors))
    landing.merge(task, by=request.user, **form.cleaned_data)
    return answer(request, task)


@login_required
@require_POST
def resolve_conflicts(request: PageRequest, pk: int) -> HttpResponse:
    """Have the agent resolve them."""
    task = task_for_member(request, pk)
    landing.resolve_conflicts(task, by=request.user)
    return answer(request, task)
