"""Go to a task, a project or a page by a few letters, or do what fits the task that is open."""

from typing import Any, NamedTuple

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from studio.http import PageRequest
from studio.roles import Role
from tasks.models import Project, Task
from tasks.standing import Action, Standing

MOST = 8  # of each kind
LONGEST = 200  # characters that are looked for


class Place(NamedTuple):
    """Where one can go: what stands in the list, a note beside it, its address."""

    name: str
    note: str
    url: str


@login_required
@require_safe
def palette(request: PageRequest) -> HttpResponse:
    """What fits `?q=`; `?task=` and `?project=` name what is open, by id and key."""
    words = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST]
    context = {
        "words": words,
        "verbs": _verbs(request, words),
        "found": _tasks(request.user, words),
        "places": _places(request, words),
    }
    return render(request, "tasks/_palette.html" if request.htmx else "tasks/palette.html", context)


def _tasks(user: Any, words: str) -> list[Task]:
    """The newest that have the words in their title, or the key itself first."""
    if not words:
        return []
    rows = Task.objects.visible_to(user).select_related("project").order_by("-pk")
    key, _, number = words.upper().rpartition("-")
    exact: list[Task] = []
    if number.isascii() and number.isdigit() and len(number) < 10:
        named = Q(number=int(number)) & (Q(project__key=key) if key else Q())
        exact = list(rows.filter(named)[:MOST])
    others = rows.filter(title__icontains=words).exclude(pk__in=[task.pk for task in exact])
    return [*exact, *others[: MOST - len(exact)]]


def _verbs(request: PageRequest, words: str) -> list[Action]:
    """What can be done to the task that is open, by who may."""
    number = request.GET.get("task", "")
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        return []
    task = Task.objects.visible_to(request.user).select_related("project").filter(pk=int(number)).first()
    role = task.project.role_of(request.user) if task else None
    if task is None or role is None or not role.covers(Role.MEMBER) or task.project.archived_at:
        return []
    standing = Standing(task)
    actions = [action for action in [standing.action, *standing.further_actions] if action]
    return [action for action in actions if words.lower() in action.label.lower()]


def _places(request: PageRequest, words: str) -> list[Place]:
    places = [
        Place("Needs you", "", reverse("tasks:needs-you")),
        Place("Board of all projects", "", reverse("tasks:home")),
        Place("Queue", "", reverse("sessions:queue")),
        Place("Projects", "", reverse("tasks:projects")),
    ]
    projects = list(Project.objects.visible_to(request.user).open())
    here = next((each for each in projects if each.key == request.GET.get("project", "")), None)
    if here is not None:
        role = here.role_of(request.user)
        if role and role.covers(Role.MEMBER):
            places.insert(0, Place("New task", here.key, reverse("tasks:new-task", args=[here.key])))
        if role and role.covers(Role.MAINTAINER):
            places.append(Place("Settings", here.key, reverse("tasks:project-settings", args=[here.key])))
    places += [Place(each.name, each.key, reverse("tasks:board", args=[each.key])) for each in projects]
    return [place for place in places if words.lower() in f"{place.name} {place.note}".lower()][: 2 * MOST]
