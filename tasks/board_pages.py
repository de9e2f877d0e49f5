"""The board of a project or of all projects, beside it the list, and the filters that people keep."""

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from studio.errors import Invalid
from studio.http import PageRequest
from studio.roles import Role
from tasks.board import Board
from tasks.filters import labels_of
from tasks.forms import TaskForm
from tasks.models import Project, SavedFilter, Task
from tasks.standing import Standing, load

PAGE = 60
# What the list is sorted by: the name in the address, the heading, the field.
ORDERS = {
    "task": ("Task", "pk"),
    "title": ("Title", "title"),
    "state": ("State", "status"),
    "priority": ("Priority", "priority"),
    "assignee": ("Assignee", "assignee__username"),
    "changed": ("Changed", "status_changed_at"),
}
NEWEST = "-changed"


@login_required
@require_safe
def home(request: PageRequest) -> HttpResponse:
    """The board of all projects; for who is in one project its own, for who is in none the page that says what to do."""
    mine = list(Project.objects.visible_to(request.user).open()[:2])
    if not mine:
        return redirect("tasks:projects")
    return _shown(request, Board(request)) if len(mine) > 1 else redirect("tasks:board", mine[0].key)


@login_required
@require_safe
def board(request: PageRequest, key: str) -> HttpResponse:
    """Five columns, or with `?view=list` a list; the rest of the address is a filter."""
    return _shown(request, Board(request, _project(request, key)))


def _shown(request: PageRequest, shown: Board) -> HttpResponse:
    context: dict[str, Any] = {"project": shown.project, "board": shown}
    if request.GET.get("view") == "list":
        return render(request, "tasks/list.html", context | _listed(request, shown))
    context["columns"], context["cancelled"] = shown.columns()
    if shown.project:
        context["form"] = form = TaskForm(project=shown.project)
        people = [(person.pk, str(person)) for person in shown.form.people]
        form.fields["assignee"].choices = [("", "Nobody"), *people]  # type: ignore[attr-defined]
    return render(request, "tasks/board.html", context)


def _listed(request: PageRequest, shown: Board) -> dict[str, object]:
    sort = request.GET.get("sort", NEWEST)
    name, sign = sort.removeprefix("-"), "-" if sort.startswith("-") else ""
    if name not in ORDERS:
        raise Invalid("The list cannot be sorted by that.", fields={"sort": ", ".join(ORDERS)})
    page = Paginator(
        shown.tasks.select_related("assignee", "project").order_by(sign + ORDERS[name][1], "-pk"), PAGE
    ).get_page(request.GET.get("page"))
    load(tasks := list(page.object_list))
    shown.labels = labels_of(tasks)
    return {"page": page, "sort": sort, "headings": [_heading(each, sort) for each in ORDERS]}


def _heading(name: str, sort: str) -> dict[str, str]:
    """One heading of the list: its words, where it leads and how the list is sorted by it now."""
    now = {name: "ascending", f"-{name}": "descending"}.get(sort, "")
    return {"label": ORDERS[name][0], "sort": f"-{name}" if sort == name else name, "now": now}


@login_required
@require_safe
def column(request: PageRequest, key: str, name: str) -> HttpResponse:
    """One column of the board, for a page that fetches it afresh."""
    return _column(request, Board(request, _project(request, key)), name)


@login_required
@require_safe
def home_column(request: PageRequest, name: str) -> HttpResponse:
    """One column of the board of all projects."""
    return _column(request, Board(request), name)


def _column(request: PageRequest, shown: Board, name: str) -> HttpResponse:
    columns, _ = shown.columns(only=name)
    context = {"project": shown.project, "board": shown, "column": columns[0]}
    return render(request, "tasks/_column.html", context)


@login_required
@require_safe
def moves(request: PageRequest, pk: int) -> HttpResponse:
    """What can be done with a task from its card: a dialog of the board, without JavaScript a page."""
    task = get_object_or_404(Task.objects.visible_to(request.user).select_related("project"), pk=pk)
    context = {"task": task, "project": task.project, "standing": Standing(task)}
    return render(request, "tasks/_moves.html" if request.htmx else "tasks/moves.html", context)


def _project(request: PageRequest, key: str) -> Project:
    return get_object_or_404(Project.objects.visible_to(request.user), key=key)


# --- filters that are kept -----------------------------------------------------------------------------------------


class SaveForm(forms.Form):
    """A name for the filter in the address `query`."""

    name = forms.CharField(max_length=60)
    query = forms.CharField(max_length=1000)
    project = forms.CharField(required=False, max_length=10)
    shared = forms.BooleanField(required=False)


@login_required
@require_POST
def save_filter(request: PageRequest) -> HttpResponse:
    """Keep a filter under a name; whoever shares it with a project has to be a member."""
    form = SaveForm(request.POST)
    if not form.is_valid():
        fields = {name: " ".join(map(str, wrong)) for name, wrong in form.errors.items()}
        raise Invalid("Give the filter a name, and filter by something.", fields=fields)
    given = form.cleaned_data
    project = _project(request, given["project"]) if given["project"] else None
    if project and given["shared"]:
        project.require(request.user, Role.MEMBER)
    request.GET = QueryDict(given["query"])
    shown = Board(request, project)
    SavedFilter.keep(project, given["name"], shown.query, shared=given["shared"], by=request.user)
    return redirect(f"{shown.address}?{shown.query}")


@login_required
@require_POST
def delete_filter(request: PageRequest, pk: int) -> HttpResponse:
    """Forget one's own; a maintainer also one that somebody shares with the project."""
    saved = get_object_or_404(SavedFilter.objects.select_related("project"), pk=pk)
    if saved.by_id != request.user.pk:
        project = _project(request, saved.project.key if saved.project and saved.shared else "")
        project.require(request.user, Role.MAINTAINER)
    saved.delete()
    return redirect("tasks:board", saved.project.key) if saved.project else redirect("tasks:home")
