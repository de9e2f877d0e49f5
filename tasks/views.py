"""Projects, a task's page and the verbs that people use on it."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, user_passes_test
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from studio.errors import Invalid
from studio.http import PageRequest
from studio.roles import Role
from tasks.forms import ChangesForm, ProjectForm, ProjectSettingsForm, TaskForm
from tasks.lifecycle import Status
from tasks.models import Project, Task
from tasks.standing import Standing
from tasks.timeline import QUIET

TIMELINE_PAGE = 200


# --- projects ------------------------------------------------------------------------------------------------------


@login_required
@require_safe
def projects(request: PageRequest) -> HttpResponse:
    """The projects that the person may see, the archived ones apart."""
    mine = Project.objects.visible_to(request.user)
    return render(request, "tasks/projects.html", {"projects": mine.open(), "archived": mine.archived()})


@login_required
@user_passes_test(lambda user: user.is_staff, login_url="tasks:projects", redirect_field_name=None)
def new_project(request: PageRequest) -> HttpResponse:
    """Add a project: for staff, as agents then work on a folder of this machine."""
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return redirect("tasks:board", form.create(by=request.user).key)
    return render(request, "tasks/new_project.html", {"form": form}, status=422 if form.is_bound else 200)


@login_required
def project_settings(request: PageRequest, key: str) -> HttpResponse:
    """Change a project."""
    project = get_object_or_404(Project.objects.visible_to(request.user), key=key)
    project.require(request.user, Role.MAINTAINER)
    form = ProjectSettingsForm(request.POST or None, instance=project)
    if request.method == "POST" and form.is_valid():
        form.update(by=request.user)
        for doubt in form.doubts:
            messages.warning(request, doubt)
        return redirect("tasks:board", key)
    context = {"form": form, "project": project}
    return render(request, "tasks/project_settings.html", context, status=422 if form.is_bound else 200)


# --- filing ----------------------------------------------------------------------------------------------------------


@login_required
@require_safe
def card(request: PageRequest, pk: int) -> HttpResponse:
    """One card."""
    task = get_object_or_404(Task.objects.visible_to(request.user), pk=pk)
    return render(request, "tasks/_card.html", {"task": task})


@login_required
def new_task(request: PageRequest, key: str) -> HttpResponse:
    """File a task, and start it where the second button was pressed."""
    project = get_object_or_404(Project.objects.visible_to(request.user), key=key)
    project.require(request.user, Role.MEMBER)
    form = TaskForm(request.POST or None, request.FILES or None, project=project)
    if request.method == "POST" and form.is_valid():
        task = Task.file(project, by=request.user, **form.cleaned_data)
        if "start" not in request.POST:
            return redirect("tasks:board", key)
        task.execute(by=request.user)
        return redirect(task)
    context = {"form": form, "project": project}
    return render(request, "tasks/new_task.html", context, status=422 if form.is_bound else 200)


# --- a task's page -------------------------------------------------------------------------------------------------


def page(request: PageRequest, pk: int, tab: str, **context: Any) -> dict[str, Any]:
    """The context of every tab of a task's page; 404 for who may not see it."""
    tasks = Task.objects.visible_to(request.user).select_related("project", "created_by")
    task = get_object_or_404(tasks, pk=pk)
    return {"task": task, "project": task.project, "standing": Standing(task), "tab": tab, **context}


@login_required
@require_safe
def review(request: PageRequest, pk: int) -> HttpResponse:
    """What reviews found, and what people asked for."""
    context = page(request, pk, "review")
    context |= {
        "in_review": context["task"].status == Status.REVIEW,
        "findings": context["task"].findings.select_related("waived_by"),
        "comments": context["task"].comments.visible_to(request.user).select_related("by", "resolved_by"),
    }
    return render(request, "tasks/_review.html" if request.htmx else "tasks/review.html", context)


@login_required
@require_safe
def timeline(request: PageRequest, pk: int) -> HttpResponse:
    """Every event, the newest first."""
    context = page(request, pk, "timeline")
    events = context["task"].events.exclude(name__in=QUIET).select_related("by").order_by("-pk")
    context["page"] = Paginator(events, TIMELINE_PAGE).get_page(request.GET.get("page"))
    return render(request, "tasks/_timeline.html" if request.htmx else "tasks/timeline.html", context)


@login_required
@require_safe
def head(request: PageRequest, pk: int) -> HttpResponse:
    """The head of the page: state, buttons, steps."""
    return render(request, "tasks/_head.html", page(request, pk, request.GET.get("tab", "activity")))


@login_required
@require_safe
def aside(request: PageRequest, pk: int) -> HttpResponse:
    """The facts beside the activity."""
    return render(request, "tasks/_aside.html", page(request, pk, "activity"))


@login_required
def edit(request: PageRequest, pk: int) -> HttpResponse:
    """Change what a person has filed."""
    task = task_for_member(request, pk)
    form = TaskForm(request.POST or None, request.FILES or None, instance=task, project=task.project)
    if request.method == "POST" and form.is_valid():
        task.edit(by=request.user, **form.cleaned_data)
        return redirect(task)
    context = {"form": form, "task": task, "project": task.project}
    return render(request, "tasks/edit.html", context, status=422 if form.is_bound else 200)


# --- verbs ---------------------------------------------------------------------------------------------------------


@login_required
@require_POST
def execute(request: PageRequest, pk: int) -> HttpResponse:
    task = task_for_member(request, pk)
    task.execute(by=request.user)
    return answer(request, task)


@login_required
@require_POST
def start_when_unblocked(request: PageRequest, pk: int) -> HttpResponse:
    task = task_for_member(request, pk)
    task.edit(by=request.user, start_when_unblocked=True)
    return answer(request, task)


@login_required
@require_POST
def retry(request: PageRequest, pk: int) -> HttpResponse:
    task = task_for_member(request, pk)
    task.retry(by=request.user)
    return answer(request, task)


@login_required
@require_POST
def reopen(request: PageRequest, pk: int) -> HttpResponse:
    task = task_for_member(request, pk)
    task.reopen(by=request.user)
    return answer(request, task)


@login_required
@require_POST
def cancel(request: PageRequest, pk: int) -> HttpResponse:
    task = task_for_member(request, pk)
    task.cancel(by=request.user)
    return answer(request, task)


@login_required
@require_POST
def back_to_todo(request: PageRequest, pk: int) -> HttpResponse:
    task = task_for_member(request, pk)
    task.back_to_todo(by=request.user)
    return answer(request, task)


@login_required
@require_POST
def mark_done(request: PageRequest, pk: int) -> HttpResponse:
    task = task_for_member(request, pk)
    task.mark_done(by=request.user)
    return answer(request, task)


@login_required
@require_POST
def approve_plan(request: PageRequest, pk: int) -> HttpResponse:
    task = task_for_member(request, pk)
    task.approve_plan(by=request.user)
    return answer(request, task)


@login_required
@require_POST
def request_changes(request: PageRequest, pk: int) -> HttpResponse:
    return sent_back(request, task_for_member(request, pk), "request-changes")


@login_required
@require_POST
def request_plan_changes(request: PageRequest, pk: int) -> HttpResponse:
    return sent_back(request, task_for_member(request, pk), "request-plan-changes")


def task_for_member(request: PageRequest, pk: int) -> Task:
    """The task, for a person who may work on it: 404 for who may not see it, 403 for who may only look."""
    task = get_object_or_404(Task.objects.visible_to(request.user).select_related("project"), pk=pk)
    task.project.require(request.user, Role.MEMBER)
    return task


def answer(request: PageRequest, task: Task) -> HttpResponse:
    """What a verb answers: the element that asked (a card or the head of the page), without htmx the task's page."""
    if not request.htmx or "back" in request.POST:
        return back(request, task)
    template = "tasks/_card.html" if request.htmx.target == f"task-{task.pk}" else "tasks/_head.html"
    fresh = Task.objects.select_related("project").get(pk=task.pk)
    context = {"task": fresh, "project": fresh.project, "standing": Standing(fresh)}
    return render(request, template, context | {"tab": request.GET.get("tab", "activity")})


def back(request: PageRequest, task: Task) -> HttpResponse:
    """To the list of what needs the person, where the form stood there; htmx follows. Else to the task's page."""
    to = request.POST.get("back", "")
    return redirect(to if to.startswith(reverse("tasks:needs-you")) else task)


def sent_back(request: PageRequest, task: Task, name: str) -> HttpResponse:
    """Send the plan or the change back by the verb of that name, with what the person wrote; the form once more where that is nothing."""
    form = ChangesForm(request.POST)
    verb = task.request_plan_changes if name == "request-plan-changes" else task.request_changes
    try:
        verb(form.cleaned_data["comment"] if form.is_valid() else "", by=request.user)
    except Invalid as wrong:
        form.add_error("comment", wrong.message)
        context = {"form": form, "task": task, "project": task.project, "verb": name}
        return render(request, "tasks/comment.html", context, status=422)
    return back(request, task)
