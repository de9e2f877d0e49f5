"""What is done to many tasks at once, without JavaScript: checkboxes, and a bar with buttons."""

import pytest
from django.urls import reverse

from tasks.models import Task
from tests import factories


def bulk(client, tasks, do, **values):
    numbers = [getattr(task, "pk", task) for task in tasks]
    return client.post(reverse("tasks:bulk"), {"task": numbers, "do": do, **values})


@pytest.fixture
def tasks(project):
    return [factories.make_task(project, title=f"Task {number}", labels=["old"]) for number in range(3)]


@pytest.mark.parametrize("view", ["board", "list"])
def test_a_board_and_its_list_let_tasks_be_selected(member, project, tasks, view):
    page = member.get(f"/projects/{project.key}/?view={view}").content.decode()
    for task in tasks:
        assert f'name="task" value="{task.pk}" form="bulk" data-select' in page
    assert '<form class="bulk needs-member" id="bulk" method="post"' in page


def test_each_task_is_answered_on_its_own(member, tasks):
    Task.objects.filter(pk=tasks[1].pk).update(status="done")
    page = bulk(member, tasks, "cancel").content.decode()
    assert "2 done, 1 refused" in page
    assert "is done already" in page
    assert [Task.objects.get(pk=task.pk).status for task in tasks] == ["cancelled", "done", "cancelled"]


def test_tasks_are_started_together(member, tasks):
    bulk(member, tasks, "execute")
    assert {Task.objects.get(pk=task.pk).status for task in tasks} == {"planning"}


@pytest.mark.parametrize(
    ("do", "values", "field", "value"),
    [
        ("priority", {"priority": "1"}, "priority", 1),
        ("assign", {"assignee": "bob"}, "assignee__username", "bob"),
        ("assign", {"assignee": "~nobody"}, "assignee", None),
        ("add-label", {"label": "new, OLD"}, "labels", ["OLD", "new"]),
        ("remove-label", {"label": "Old"}, "labels", []),
    ],
)
def test_what_is_set_is_set_on_all(member, tasks, do, values, field, value):
    assert "3 done" in bulk(member, tasks, do, **values).content.decode()
    assert list(Task.objects.values_list(field, flat=True)) == [value] * 3


@pytest.mark.parametrize(
    ("do", "values"),
    [
        ("assign", {"assignee": "charlie"}),
        ("remove-label", {"label": "none"}),
        ("add-label", {"label": "x" * 41}),
    ],
)
def test_what_cannot_be_set_is_refused_with_its_reason(member, tasks, do, values):
    assert "0 done, 3 refused" in bulk(member, tasks, do, **values).content.decode()


def test_a_viewer_is_refused_and_a_stranger_finds_nothing(client, tasks, bob, charlie):
    client.force_login(bob)
    assert "0 done, 3 refused" in bulk(client, tasks, "cancel").content.decode()
    client.force_login(charlie)
    page = bulk(client, tasks, "cancel").content.decode()
    assert "Task 0" not in page
    assert {Task.objects.get(pk=task.pk).status for task in tasks} == {"todo"}


@pytest.mark.parametrize(
    ("chosen", "do"), [([], "cancel"), (["x"], "cancel"), ([1], "explode"), (range(1, 300), "cancel")]
)
def test_bad_input_is_refused_and_changes_nothing(member, tasks, chosen, do):
    assert bulk(member, chosen, do).status_code == 422
    assert {Task.objects.get(pk=task.pk).status for task in tasks} == {"todo"}


def test_the_way_back_leads_to_no_other_host(member, tasks):
    assert b'href="/projects/DEMO/?q=a"' in bulk(member, tasks, "cancel", back="/projects/DEMO/?q=a").content
    for away in ("//evil.example/", "https://evil.example/", "javascript:alert(1)"):
        assert b"evil" not in bulk(member, tasks, "cancel", back=away).content
