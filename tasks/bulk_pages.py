"""What is done to many tasks at once, each answered on its own."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from studio.errors import Invalid, Refusal
from studio.http import PageRequest
from studio.roles import Role
from tasks.filters import NOBODY
from tasks.forms import LabelsField
from tasks.models import Priority, Task

MOST = 200  # at once


class Outcome(NamedTuple):
    """What became of one task: `refusal` says why not, empty where it was done."""

    task: Task
    refusal: str


def _start(task: Task, given: dict[str, Any], by: Any) -> None:
    task.execute(by=by)


def _cancel(task: Task, given: dict[str, Any], by: Any) -> None:
    task.cancel(by=by)


def _back_to_todo(task: Task, given: dict[str, Any], by: Any) -> None:
    task.back_to_todo(by=by)


def _mark_done(task: Task, given: dict[str, Any], by: Any) -> None:
    task.mark_done(by=by)


def _reopen(task: Task, given: dict[str, Any], by: Any) -> None:
    task.reopen(by=by)


def _set_priority(task: Task, given: dict[str, Any], by: Any) -> None:
    if not given["priority"]:
        raise Invalid("Choose a priority.")
    task.edit(by=by, priority=int(given["priority"]))


def _assign(task: Task, given: dict[str, Any], by: Any) -> None:
    name = given["assignee"]
    people = get_user_model().objects.filter(memberships__project=task.project_id, is_active=True)
    person = people.filter(username=name).first()
    if person is None and name != NOBODY:
        raise Invalid(f"{name} is not in {task.project.name}." if name else "Choose a person.")
    task.edit(by=by, assignee=person)


def _add_label(task: Task, given: dict[str, Any], by: Any) -> None:
    if not given["label"]:
        raise Invalid("Write a label.")
    try:
        labels = LabelsField().clean(", ".join([*task.labels, given["label"]]))
    except forms.ValidationError as wrong:
        raise Invalid(" ".join(wrong.messages)) from None
    task.edit(by=by, labels=labels)


def _remove_label(task: Task, given: dict[str, Any], by: Any) -> None:
    label = given["label"].casefold()
    kept = [each for each in task.labels if each.casefold() != label]
    if kept == task.labels:
        raise Invalid("It does not have that label.")
    task.edit(by=by, labels=kept)


# By the value of the button: what was done, in words, and how.
VERBS: dict[str, tuple[str, Callable[[Task, dict[str, Any], Any], None]]] = {
    "execute": ("Start", _start),
    "cancel": ("Cancel", _cancel),
    "back-to-todo": ("Back to To do", _back_to_todo),
    "mark-done": ("Mark done", _mark_done),
    "reopen": ("Reopen", _reopen),
    "priority": ("Set the priority", _set_priority),
    "assign": ("Assign", _assign),
    "add-label": ("Add the label", _add_label),
    "remove-label": ("Remove the label", _remove_label),
}


class BulkForm(forms.Form):
    """Which tasks, what to do with them, and what to set."""

    task = forms.TypedMultipleChoiceField(coerce=int)
    do = forms.ChoiceField(choices=[(name, label) for name, (label, _) in VERBS.items()])
    priority = forms.ChoiceField(required=False, choices=[("", ""), *Priority.choices])
    assignee = forms.CharField(required=False, max_length=150)
    label = forms.CharField(required=False, max_length=400)
    back = forms.CharField(required=False, max_length=2000)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        numbers = data.getlist("task")[: MOST + 1]
        known = [(number, number) for number in numbers if number.isdecimal() and len(number) < 19]
        self.fields["task"].choices = known  # type: ignore[attr-defined]

    def clean_task(self) -> list[int]:
        """Each once."""
        chosen = list(dict.fromkeys(self.cleaned_data["task"]))
        if len(chosen) > MOST:
            raise forms.ValidationError(f"At most {MOST} tasks at once.")
        return chosen


@login_required
@require_POST
def bulk(request: PageRequest) -> HttpResponse:
    """Do it to each of the tasks, and say of each whether it was done; those that the person may not see are left out."""
    form = BulkForm(request.POST)
    if not form.is_valid():
        fields = {name: " ".join(map(str, wrong)) for name, wrong in form.errors.items()}
        raise Invalid("Choose tasks, and what to do with them.", fields=fields)
    given = form.cleaned_data
    label, verb = VERBS[given["do"]]
    tasks = Task.objects.visible_to(request.user).select_related("project").order_by("pk")
    outcomes = [_one(task, verb, given, request.user) for task in tasks.filter(pk__in=given["task"])]
    refused = sum(bool(outcome.refusal) for outcome in outcomes)
    context = {"label": label, "outcomes": outcomes, "refused": refused, "done": len(outcomes) - refused}
    return render(request, "tasks/bulk.html", context | {"back": _back(given["back"])})


def _one(task: Task, verb: Callable[..., None], given: dict[str, Any], by: Any) -> Outcome:
    try:
        task.project.require(by, Role.MEMBER)
        verb(task, given, by)
    except Refusal as refusal:
        return Outcome(task, refusal.message)
    return Outcome(task, "")


def _back(address: str) -> str:
    """Where the person came from, on this Studio and nowhere else."""
    ours = address.startswith("/") and url_has_allowed_host_and_scheme(address, allowed_hosts=None)
    return address if ours else reverse("tasks:home")
