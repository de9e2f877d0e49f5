"""What an agent does, for people: activity, changes, checks, and the answers that it waits for."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from sessions import undoing
from sessions.follow_up_pages import box
from sessions.forms import AnswerForm
from sessions.models import Attempt, Breaker, Request, Session
from studio.errors import Forbidden, Invalid
from studio.http import PageRequest
from studio.roles import Role
from tasks.models import Project, Task
from tasks.views import answer as answer_with
from tasks.views import back, page

WINDOW = 200  # entries of a session in a page; the earlier ones are behind a link


@login_required
@require_safe
def activity(request: PageRequest, pk: int) -> HttpResponse:
    """A task's page: all sessions of its current attempt, or of the one that `?attempt=` names."""
    context = page(request, pk, "activity")
    context |= _feed(context["task"], request.GET.get("attempt", "")) | box(context["task"])
    return render(request, "sessions/activity.html", context)


@login_required
@require_safe
def later(request: PageRequest, pk: int, after: int) -> HttpResponse:
    """The sessions of the current attempt that began after the session `after`; nothing to swap where none did."""
    context = page(request, pk, "activity")
    context |= _feed(context["task"], "", after=after)
    if not context["feed"]:
        return HttpResponse(status=204)
    return render(request, "sessions/_later.html", context)


def _feed(task: Task, number: str, *, after: int = 0) -> dict[str, Any]:
    """The sessions with their last entries, and the attempts there are."""
    attempts = list(Attempt.objects.filter(task=task).order_by("number"))
    asked = [attempt for attempt in attempts if str(attempt.number) == number]
    chosen = next(iter(asked or [attempt for attempt in attempts if attempt.is_current]), None)
    sessions = Session.objects.filter(attempt=chosen, pk__gt=after).order_by("pk")
    feed = [window(session) for session in sessions.prefetch_related("check_results")]
    last = feed[-1]["session"].pk if feed else after
    return {"feed": feed, "attempts": attempts, "attempt": chosen, "last": last}


def window(session: Session, *, before: int = 0) -> dict[str, Any]:
    """A session with its last entries (before the one with that `seq`), and how many come earlier."""
    rows = session.activity.filter(seq__lt=before) if before else session.activity.all()
    entries = list(rows.order_by("-seq")[: WINDOW + 1])
    shown = entries[:WINDOW][::-1]
    more = len(entries) > WINDOW
    return {"session": session, "entries": shown, "earlier": shown[0].seq if more else 0}


@login_required
@require_safe
def earlier(request: PageRequest, pk: int) -> HttpResponse:
    """The entries of a session before `?before=`, with the link to still earlier ones."""
    session = get_object_or_404(_sessions(request), pk=pk)
    before = request.GET.get("before", "")
    context = window(session, before=int(before) if before.isdecimal() else 0)
    template = "sessions/_entries.html" if request.htmx else "sessions/earlier.html"
    return render(request, template, context | {"task": session.task, "project": session.task.project})


@login_required
@require_safe
def head(request: PageRequest, pk: int) -> HttpResponse:
    """A session's heading: phase, state, time, cost, why it ended, and what its checks said."""
    return render(request, "sessions/_head.html", {"session": get_object_or_404(_sessions(request), pk=pk)})


@login_required
@require_safe
def entry(request: PageRequest, pk: int, entry_pk: int) -> HttpResponse:
    """All of an entry: arguments, output, the whole text."""
    session = get_object_or_404(_sessions(request), pk=pk)
    entry = get_object_or_404(session.activity, pk=entry_pk)
    template = "sessions/_entry_body.html" if request.htmx else "sessions/entry.html"
    context = {"entry": entry, "task": session.task, "project": session.task.project}
    return render(request, template, context)


def _sessions(request: PageRequest) -> Any:
    return Session.objects.visible_to(request.user).select_related("attempt__task__project")


# --- the change ------------------------------------------------------------------------------------------------------


@login_required
@require_safe
def checks(request: PageRequest, pk: int) -> HttpResponse:
    """Every run of the checks of the current attempt, the newest first, with what they printed."""
    context = page(request, pk, "checks")
    mine = Session.objects.filter(attempt__task=pk, attempt__is_current=True, check_results__isnull=False)
    context["sessions"] = mine.distinct().order_by("-pk").prefetch_related("check_results")
    return render(request, "sessions/_checks.html" if request.htmx else "sessions/checks.html", context)


@login_required
@require_POST
def undo_merge(request: PageRequest, pk: int) -> HttpResponse:
    """Take the merge back, and look at the change again."""
    task = get_object_or_404(Task.objects.visible_to(request.user).select_related("project"), pk=pk)
    task.project.require(request.user, Role.MEMBER)
    undoing.undo_merge(task, by=request.user)
    return answer_with(request, task)


# --- requests --------------------------------------------------------------------------------------------------------


@login_required
@require_safe
def requests(request: PageRequest, pk: int) -> HttpResponse:
    """The open requests of a task's agent."""
    return render(request, "sessions/_requests.html", page(request, pk, "activity"))


@login_required
@require_POST
def answer(request: PageRequest, pk: int) -> HttpResponse:
    """Answer the agent."""
    asked = get_object_or_404(Request.objects.visible_to(request.user), pk=pk)
    task = asked.session.task
    task.project.require(request.user, Role.MEMBER)
    form = AnswerForm(request.POST, asked=asked)
    if not form.is_valid():
        raise Invalid(" ".join(str(wrong) for errors in form.errors.values() for wrong in errors))
    asked.give_answer(form.answer, by=request.user)
    in_place = request.htmx and "back" not in request.POST
    return requests_of(request, task) if in_place else back(request, task)


def requests_of(request: PageRequest, task: Task) -> HttpResponse:
    """The open requests that are left after an answer."""
    return render(request, "sessions/_requests.html", page(request, task.pk, "activity"))


# --- the providers ---------------------------------------------------------------------------------------------------


@login_required
@require_safe
def providers(request: PageRequest) -> HttpResponse:
    """Which providers are paused; `?project=` names the project whose page it is."""
    project = Project.objects.visible_to(request.user).filter(key=request.GET.get("project", "")).first()
    return render(request, "sessions/_providers.html", {"project": project})


@login_required
@require_POST
def try_again(request: PageRequest, pk: int) -> HttpResponse:
    """Let the next session try a paused provider now; whoever maintains a project may."""
    roles = [project.role_of(request.user) for project in Project.objects.visible_to(request.user)]
    if not any(role and role.covers(Role.MAINTAINER) for role in roles):
        raise Forbidden("Only who maintains a project may have a provider tried again.")
    get_object_or_404(Breaker, pk=pk).try_again(by=request.user)
    return redirect("tasks:home")
