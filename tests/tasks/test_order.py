"""The order of things: priority, labels, people, and tasks that wait for others."""

from typing import Any

import pytest
from django.db import connection

from sessions.models import Attempt
from tasks.models import Blocker, Priority, Project, Task
from tests import factories

pytestmark = pytest.mark.django_db


def names(task: Task) -> list[str]:
    return list(task.events.values_list("name", flat=True))


@pytest.fixture
def pair(project: Project) -> tuple[Task, Task]:
    """A task in review, and one to do that waits for it."""
    first = factories.make_task(project, status="review")
    factories.make_attempt(first)
    return first, factories.make_task(project, title="Then this", blocked_by=[first])


def test_a_task_that_waits_for_another_is_not_started_before_that_has_landed(script: Any, pair: Any) -> None:
    first, second = pair
    refused = script.send("post", f"/api/tasks/{second.pk}/execute")
    assert (refused.status_code, refused.json()["error"]) == (409, "blocked")
    assert refused.json()["blocked_by"] == [first.pk]
    second.refresh_from_db()
    assert (second.status, second.attempts.count()) == ("todo", 0)
    assert script.send("post", f"/api/tasks/{first.pk}/mark-done").status_code == 200
    assert "task.unblocked" in names(second)
    assert script.send("post", f"/api/tasks/{second.pk}/execute").status_code == 202


def test_what_should_starts_by_itself_once_the_last_of_them_has_landed(script: Any, pair: Any) -> None:
    first, second = pair
    other = factories.make_task(second.project, status="review")
    factories.make_attempt(other)
    change = {"blocked_by": [first.pk, other.pk], "start_when_unblocked": True}
    assert script.send("patch", f"/api/tasks/{second.pk}", change).json()["blocked_by"] == [
        first.pk,
        other.pk,
    ]
    script.send("post", f"/api/tasks/{first.pk}/mark-done")
    second.refresh_from_db()
    assert second.status == "todo"
    script.send("post", f"/api/tasks/{other.pk}/mark-done")
    second.refresh_from_db()
    assert (second.status, second.attempts.count()) == ("planning", 1)


def test_a_task_that_was_cancelled_unblocks_nothing(script: Any, pair: Any) -> None:
    first, second = pair
    script.send("post", f"/api/tasks/{first.pk}/cancel")
    assert script.send("post", f"/api/tasks/{second.pk}/execute").json()["error"] == "blocked"


def test_what_cannot_start_does_not_keep_the_other_from_landing(pair: Any, settings: Any) -> None:
    first, second = pair
    second.edit(by=None, start_when_unblocked=True)
    settings.STUDIO_DISK_FLOOR = 10**9
    first.mark_done(by=None)
    first.refresh_from_db()
    assert first.status == "done"
    assert names(second)[-1] == "task.not_started"


def test_a_circle_is_refused_and_nothing_is_changed(script: Any, pair: Any) -> None:
    first, second = pair
    third = factories.make_task(first.project, blocked_by=[second])
    for blockers in ([third], [second], [first]):
        refused = script.send(
            "patch", f"/api/tasks/{first.pk}", {"blocked_by": [task.pk for task in blockers]}
        )
        assert refused.status_code == 422
        assert "circle" in refused.json()["fields"]["blocked_by"]
    assert not first.blockers.exists()


def test_only_tasks_and_members_of_the_project_can_be_named(script: Any, pair: Any) -> None:
    first, second = pair
    stranger = factories.make_task(factories.make_project(key="OTHER"))
    for change in (
        {"blocked_by": [stranger.pk]},
        {"assignee": factories.make_user("nobody").pk},
        {"labels": ["x" * 41]},
    ):
        refused = script.send("patch", f"/api/tasks/{second.pk}", change)
        assert refused.status_code == 422, change
    assert [row.blocker_id for row in second.blockers.all()] == [first.pk]


def test_the_most_urgent_is_claimed_first(project: Project) -> None:
    for priority in (Priority.NORMAL, Priority.LOW, Priority.URGENT, Priority.HIGH):
        task = factories.make_task(project, title=priority.name, priority=priority)
        factories.make_attempt(task, lease="claimable", claimable_at=task.created_at)
    order = [attempt.task.title for attempt in Attempt.objects.claimable("")]
    assert order == ["URGENT", "HIGH", "NORMAL", "LOW"]


def test_the_form_takes_keys_and_labels_as_people_write_them(member: Any, project: Project) -> None:
    first = factories.make_task(project)
    fields = {
        "title": "Second",
        "labels": "ui, Bug,  bug ,",
        "blocked_by": first.key.lower(),
        "priority": "1",
    }
    assert member.post(f"/projects/{project.key}/tasks/new/", fields).status_code == 302
    task = Task.objects.get(title="Second")
    assert (task.labels, task.priority, task.waits_for) == (["ui", "bug"], Priority.URGENT, [first])
    card = member.get(f"/projects/{project.key}/").content.decode()
    assert f"waits for {first.key}" in card
    assert "urgent" in card
    page = member.get(f"/tasks/{task.pk}/edit/").content.decode()
    assert f'value="{first.key}"' in page


def test_the_form_says_which_key_is_none(member: Any, project: Project) -> None:
    answer = member.post(
        f"/projects/{project.key}/tasks/new/", {"title": "Second", "blocked_by": "NOPE-7, 99"}
    )
    assert answer.status_code == 422
    assert "There is no NOPE-7, 99" in answer.content.decode()
    assert not Task.objects.filter(title="Second").exists()


@pytest.mark.parametrize("keys", ["9" * 30, "DEMO-" + "9" * 19, "DEMO-0", "-1", "\u0663"])
def test_a_number_that_no_task_can_have_is_none(member: Any, project: Project, keys: str) -> None:
    answer = member.post(f"/projects/{project.key}/tasks/new/", {"title": "Second", "blocked_by": keys})
    assert answer.status_code == 422
    assert "There is no" in answer.content.decode()


def test_the_form_says_that_it_would_be_a_circle_and_keeps_what_was_written(member: Any, pair: Any) -> None:
    first, second = pair
    Task.objects.filter(pk=first.pk).update(status="todo")
    change = {"title": "Written anew", "blocked_by": second.key}
    answer = member.post(f"/tasks/{first.pk}/edit/", change)
    assert answer.status_code == 422
    assert "That is a circle" in answer.content.decode()
    assert "Written anew" in answer.content.decode()
    assert not first.blockers.exists()


def test_a_person_has_it_started_as_soon_as_it_may(member: Any, pair: Any) -> None:
    first, second = pair
    assert "Start when unblocked" in member.get(f"/tasks/{second.pk}/").content.decode()
    member.post(f"/tasks/{second.pk}/start-when-unblocked/")
    first.mark_done(by=None)
    second.refresh_from_db()
    assert second.status == "planning"


def test_no_task_waits_for_itself_even_in_the_database(project: Project) -> None:
    task = factories.make_task(project)
    with pytest.raises(Exception, match="no_task_blocks_itself"):
        Blocker(task=task, blocker=task).save()
    connection.set_rollback(True)
