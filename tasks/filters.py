"""Which tasks a reader wants to see: what stands in the address of a board or a list."""

import json
from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import QueryDict
from django.utils.http import urlencode

from studio.errors import Invalid
from tasks.lifecycle import Status
from tasks.models import Priority, Project, Task

ME, NOBODY = "~me", "~nobody"  # no name of a person has a tilde


class FilterForm(forms.Form):
    """Text, label, assignee, priority, state, and on the board of all projects the project."""

    q = forms.CharField(label="Text", required=False, max_length=200)
    project = forms.ChoiceField(required=False)
    state = forms.ChoiceField(required=False, choices=[("", "Any state"), *Status.choices])
    assignee = forms.ChoiceField(required=False)
    priority = forms.ChoiceField(required=False, choices=[("", "Any priority"), *Priority.choices])
    label = forms.CharField(required=False, max_length=40)

    def __init__(self, data: QueryDict, *, user: Any, projects: list[Project], alone: bool) -> None:
        super().__init__(data, auto_id="filter-%s")
        self.user = user
        people = get_user_model().objects.filter(memberships__project__in=projects, is_active=True)
        self.people = list(people.order_by("username").distinct())
        names = ((person.get_username(), person.get_username()) for person in self.people)
        choices = [("", "Anyone"), (ME, "Me"), (NOBODY, "Nobody"), *names]
        self.fields["assignee"].choices = choices  # type: ignore[attr-defined]
        keys = [("", "All projects"), *((each.key, each.name) for each in projects)]
        self.fields["project"].choices = keys  # type: ignore[attr-defined]
        if alone:
            del self.fields["project"]
        self.fields["label"].widget.attrs["list"] = "filter-labels"
        for name in ("q", "label"):
            self.fields[name].widget.attrs |= {"placeholder": self.fields[name].label or "Any label"}

    @property
    def chosen(self) -> dict[str, str]:
        """What is asked for, by the names in the address. Raises Invalid where that is nothing Studio knows."""
        if not self.is_valid():
            fields = {name: " ".join(map(str, wrong)) for name, wrong in self.errors.items()}
            raise Invalid("This filter asks for something that is not there.", fields=fields)
        return {name: value for name, value in self.cleaned_data.items() if value}

    @property
    def query(self) -> str:
        """What stands in the address; empty where nothing is asked for."""
        return urlencode(self.chosen)

    def of(self, tasks: "QuerySet[Task]") -> "QuerySet[Task]":
        """Those of the tasks that are asked for."""
        for name, value in self.chosen.items():
            tasks = getattr(self, f"_by_{name}")(tasks, value)
        return tasks

    def _by_q(self, tasks: "QuerySet[Task]", text: str) -> "QuerySet[Task]":
        found = Q(title__icontains=text) | Q(description__icontains=text)
        key, _, number = text.rpartition("-")
        if number.isdecimal() and len(number) < 10:
            found |= Q(number=int(number), project__key__iexact=key) if key else Q(number=int(number))
        return tasks.filter(found)

    def _by_project(self, tasks: "QuerySet[Task]", key: str) -> "QuerySet[Task]":
        return tasks.filter(project__key=key)

    def _by_state(self, tasks: "QuerySet[Task]", state: str) -> "QuerySet[Task]":
        return tasks.filter(status=state)

    def _by_assignee(self, tasks: "QuerySet[Task]", name: str) -> "QuerySet[Task]":
        if name in {ME, NOBODY}:
            return tasks.filter(assignee_id=self.user.pk if name == ME else None)
        return tasks.filter(assignee__username=name)

    def _by_priority(self, tasks: "QuerySet[Task]", priority: str) -> "QuerySet[Task]":
        return tasks.filter(priority=int(priority))

    def _by_label(self, tasks: "QuerySet[Task]", label: str) -> "QuerySet[Task]":
        """By the list's JSON as text: SQLite has no operator for what it contains, and stores letters beyond ASCII escaped."""
        text = json.dumps(label, ensure_ascii=connection.vendor == "sqlite")
        return tasks.alias(label_text=Cast("labels", TextField())).filter(label_text__icontains=text)


def labels_of(tasks: Iterable[Task]) -> list[str]:
    """The labels of these tasks, each once, in the order of the alphabet."""
    labels = {label.casefold(): label for task in tasks for label in task.labels}
    return sorted(labels.values(), key=str.casefold)
