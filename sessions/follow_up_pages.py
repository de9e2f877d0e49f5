"""What people write to the agent, on a task's page: the box, and the queue of what waits."""

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from sessions.models import FollowUp
from sessions.models.follow_up import TEXT_LIMIT, ways
from studio.errors import Conflict, Invalid
from studio.http import PageRequest
from studio.roles import Role
from tasks.attachment_form import FilesField
from tasks.models import Task
from tasks.models.attachment import LIMITS, stage
from tasks.views import page, task_for_member

SHOWN_SENT = 20


class FollowUpForm(forms.Form):
    """The words of a message."""

    text = forms.CharField(
        label="Message to the agent", max_length=TEXT_LIMIT, widget=forms.Textarea(attrs={"rows": 3})
    )
    attached = FilesField()


def box(task: Task) -> dict[str, Any]:
    """What the box shows: how a message may go now, what waits, and what was sent last."""
    attempt = task.current_attempt
    live = attempt.live_session if attempt else None
    rows = FollowUp.objects.filter(attempt=attempt) if attempt else FollowUp.objects.none()
    rows = rows.select_related("by").prefetch_related("attachments")
    sent = rows.filter(state=FollowUp.State.SENT).order_by("-pk")[:SHOWN_SENT]
    return {
        "limits": LIMITS,
        "ways": ways(task, attempt, live),
        "live_phase": live.get_phase_display() if live else "",
        "sending": rows.filter(state=FollowUp.State.SENDING),
        "queue": list(rows.queued()),
        "sent": list(sent)[::-1],
    }


@login_required
@require_safe
def follow_ups(request: PageRequest, pk: int) -> HttpResponse:
    """The box, for a page that fetches it or one of its parts afresh."""
    context = page(request, pk, "activity")
    if not request.htmx:
        return redirect(context["task"])
    return render(request, "sessions/_follow_ups.html", context | box(context["task"]))


@login_required
@require_POST
def follow_up(request: PageRequest, pk: int) -> HttpResponse:
    """Send a message, or queue it, or by the button for it interrupt the agent."""
    task = task_for_member(request, pk)
    said = _said(request)
    interrupt = "interrupt" in request.POST
    drafts = stage(said["attached"])
    FollowUp.objects.write(task, said["text"], by=request.user, interrupt=interrupt, drafts=drafts)
    return _box(request, pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit_follow_up(request: PageRequest, pk: int) -> HttpResponse:
    """Change the words of a message that waits. Where it was sent meanwhile, the new words stay in the form."""
    message = _message(request, pk)
    form = FollowUpForm(request.POST or None, initial={"text": message.text})
    status = 422 if form.is_bound else 200
    if request.method == "POST" and form.is_valid():
        try:
            message.edit(form.cleaned_data["text"], by=request.user)
            return redirect(message.task)
        except Conflict as late:
            form.add_error("text", late.message)
            status = late.status
    context = {"form": form, "task": message.task, "project": message.task.project}
    return render(request, "sessions/follow_up.html", context, status=status)


@login_required
@require_POST
def move_follow_up(request: PageRequest, pk: int) -> HttpResponse:
    """Give it another place in the queue."""
    message = _message(request, pk)
    place = request.POST.get("place", "")
    if not (place.isascii() and place.isdecimal() and len(place) < 10):
        raise Invalid("Say which place.", fields={"place": "A number, 1 for the first."})
    message.move_to(int(place), by=request.user)
    return _box(request, message.task.pk, "sessions/_follow_up_queue.html")


@login_required
@require_POST
def withdraw_follow_up(request: PageRequest, pk: int) -> HttpResponse:
    """Delete a message that waits."""
    message = _message(request, pk)
    message.withdraw(by=request.user)
    return _box(request, message.task.pk, "sessions/_follow_up_queue.html")


def _box(request: PageRequest, pk: int, template: str = "sessions/_follow_ups.html") -> HttpResponse:
    """What a verb answers: the box or its queue as it is now, without htmx the task's page."""
    context = page(request, pk, "activity")
    if not request.htmx:
        return redirect(f"{context['task'].get_absolute_url()}#follow-ups")
    return render(request, template, context | box(context["task"]))


def _message(request: PageRequest, pk: int) -> FollowUp:
    rows = FollowUp.objects.visible_to(request.user).select_related("attempt__task__project")
    message: FollowUp = get_object_or_404(rows, pk=pk)
    message.task.project.require(request.user, Role.MEMBER)
    return message


def _said(request: PageRequest) -> dict[str, Any]:
    form = FollowUpForm(request.POST, request.FILES)
    if not form.is_valid():
        fields = {name: " ".join(map(str, errors)) for name, errors in form.errors.items()}
        raise Invalid(fields.get("attached") or "Write something to the agent.", fields=fields)
    return form.cleaned_data
