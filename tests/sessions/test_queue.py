"""The queue: people see who is at work and who is next, in the order of the claims to come, and move what waits."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions import ledger, lineup
from sessions.models import Attempt, Breaker, Pause
from sessions.models.attempt import Lease
from sessions.models.place import Way
from sessions.reasons import Reason
from studio.errors import Conflict
from studio.roles import Role
from tasks.models import Event, Membership, Priority, Project, Task
from tests import factories
from tests.scripts import Script
from tests.sessions.test_ledger import begin, in_threads

pytestmark = pytest.mark.django_db
THREADS = pytest.mark.django_db(transaction=True)


def queued(project: Project, count: int, **fields: Any) -> list[Task]:
    tasks = [factories.make_task(project, **fields) for _ in range(count)]
    for task in tasks:
        task.execute()
    return tasks


def move(task: Task, way: Way) -> None:
    lineup.waiting(task).move(way, by=None)


def claims() -> list[str]:
    """What workers take, one after another, until nothing can be taken."""
    taken = []
    while claim := ledger.claim():
        taken.append(claim.attempt.task.key)
    return taken


@pytest.fixture
def script(project: Project, alice: Any) -> Script:
    """A script of hers, who is a member."""
    return Script(alice)


def test_the_positions_are_the_order_of_the_claims_to_come(
    script: Script, project: Project, repository: Any
) -> None:
    other = factories.make_project(repository, key="OTHER", most_sessions=2)
    third = factories.make_project(repository, key="THIRD")
    queued(project, 5)
    queued(other, 3)
    queued(third, 1, priority=Priority.URGENT)
    queued(other, 1, priority=Priority.HIGH)
    queued(project, 1, priority=Priority.LOW)
    assert ledger.claim() is not None
    move(project.tasks.get(number=5), Way.TOP)
    queue = script.send("get", "/api/queue").json()
    assert [entry["position"] for entry in queue["next"]] == list(range(1, len(queue["next"]) + 1))
    expected = [entry["key"] for entry in queue["next"]]
    assert sorted(entry["key"] for entry in queue["held"]) == ["OTHER-2", "OTHER-3"]
    assert {entry["words"] for entry in queue["held"]} == {"Waits for its project"}
    assert [entry["key"] for entry in queue["at_work"]] == ["THIRD-1"]
    assert claims() == expected
    assert len(expected) == 8


def test_a_move_changes_the_order_of_the_claims(script: Script, project: Project) -> None:
    first, second, third, fourth = queued(project, 4)
    for task, way in ((fourth, "top"), (third, "up"), (first, "down")):
        answer = script.send("post", f"/api/tasks/{task.pk}/move", {"to": way})
        assert answer.status_code == 200, answer.json()
    expected = [fourth.key, third.key, first.key, second.key]
    assert [entry["key"] for entry in answer.json()["next"]] == expected
    assert claims() == expected
    moved = Event.objects.filter(name="task.moved").order_by("pk")
    assert [(event.task_id, event.data) for event in moved] == [
        (fourth.pk, {"to": "top"}),
        (third.pk, {"to": "up"}),
        (first.pk, {"to": "down"}),
    ]


def test_a_move_of_tasks_that_came_in_the_same_moment_changes_their_order_too(project: Project) -> None:
    first, second = queued(project, 2)
    Attempt.objects.update(claimable_at=timezone.now())
    move(first, Way.DOWN)
    assert claims() == [second.key, first.key]


def test_no_move_passes_another_priority_or_project(
    script: Script, project: Project, repository: Any
) -> None:
    [urgent] = queued(project, 1, priority=Priority.URGENT)
    [normal] = queued(project, 1)
    queued(factories.make_project(repository, key="OTHER"), 1)
    for task, way in ((normal, "up"), (normal, "top"), (normal, "down"), (urgent, "down")):
        refused = script.send("post", f"/api/tasks/{task.pk}/move", {"to": way})
        assert (refused.status_code, refused.json()["error"]) == (409, "end_of_line")
    assert not Attempt.objects.exclude(place=None).exists()


def test_what_does_not_wait_cannot_be_moved(script: Script, project: Project) -> None:
    queued(project, 2)
    idle = factories.make_task(project)
    claim = ledger.claim()
    assert claim is not None
    for task in (idle, claim.attempt.task):
        refused = script.send("post", f"/api/tasks/{task.pk}/move", {"to": "top"})
        assert (refused.status_code, refused.json()["error"]) == (409, "not_waiting")
    assert script.send("post", f"/api/tasks/{idle.pk}/move", {"to": "left"}).status_code == 422


def test_a_viewer_sees_the_queue_and_cannot_move(client: Client, project: Project, bob: Any) -> None:
    tasks = queued(project, 2)
    assert Script(bob).send("post", f"/api/tasks/{tasks[1].pk}/move", {"to": "up"}).status_code == 403
    client.force_login(bob)
    page = client.get("/queue/").content.decode()
    assert tasks[1].get_absolute_url() in page
    assert "/move/" not in page
    assert client.post(f"/tasks/{tasks[1].pk}/move/", {"to": "up"}).status_code == 403
    assert claims() == [task.key for task in tasks]


@THREADS
def test_eight_moves_at_once_leave_everyone_in_the_line_once(project: Project) -> None:
    tasks = queued(project, 4)
    results = in_threads(8, lambda: move(tasks[3], Way.UP))
    assert results.count(None) == 3
    assert len([each for each in results if isinstance(each, Conflict)]) == 5
    assert claims() == [tasks[3].key, *(task.key for task in tasks[:3])]


def test_what_is_handed_back_stands_where_it_stood(project: Project) -> None:
    tasks = queued(project, 3)
    claim = ledger.claim()
    assert claim is not None
    begin(claim)
    claim.hand_back()
    assert claims() == [task.key for task in tasks]


def test_the_page_names_what_each_waits_for(
    client: Client, project: Project, repository: Any, alice: Any
) -> None:
    paused = factories.make_project(repository, key="STILL", name="Still")
    queued(paused, 1)
    Pause.begin(paused, reason="An audit")
    queued(project, 2)
    elsewhere = queued(project, 1)
    Attempt.objects.filter(task=elsewhere[0]).update(runner="another-machine")
    claim = ledger.claim()
    assert claim is not None
    begin(claim)
    client.force_login(alice)
    page = client.get("/queue/").content.decode()
    for words in (
        "At work", "Plans", "Waits for a worker", "Paused", "An audit", "another-machine", "Still is paused",
    ):  # fmt: skip
        assert words in page, words
    Breaker.failed("demo", Reason.PROVIDER_LOGIN, "No.", attempt=0)
    assert "demo: The model" in client.get("/queue/").content.decode()


def test_strangers_see_nothing_of_a_project_and_the_positions_count_it(
    project: Project, repository: Any, charlie: Any
) -> None:
    queued(project, 1)
    theirs = factories.make_project(repository, key="THEIRS", roles={charlie: Role.MEMBER})
    queued(theirs, 1)
    queue = Script(charlie).send("get", "/api/queue").json()
    assert [(entry["key"], entry["position"]) for entry in queue["next"]] == [("THEIRS-1", 2)]


def test_the_page_moves_pauses_and_resumes_by_plain_forms(
    client: Client, project: Project, alice: Any
) -> None:
    Membership.objects.filter(user=alice).update(role=Role.MAINTAINER)
    client.force_login(alice)
    assert "No agent is at work." in client.get("/queue/").content.decode()
    first, second = queued(project, 2)
    page = client.get("/queue/").content.decode()
    assert f'href="/projects/{project.key}/pause/"' in page
    assert "/queue/pause/" not in page
    assert client.post(f"/tasks/{second.pk}/move/", {"to": "up"}).headers["Location"] == "/queue/"
    assert client.post(f"/tasks/{second.pk}/move/", {"to": "up"}).status_code == 409
    assert client.post(f"/tasks/{second.pk}/move/", {"to": "sideways"}).status_code == 422
    fragment = client.post(
        f"/tasks/{first.pk}/move/", {"to": "up"}, headers={"hx-request": "true"}
    ).content.decode()
    assert fragment.index(first.get_absolute_url()) < fragment.index(second.get_absolute_url())
    client.post(f"/projects/{project.key}/pause/", {"running": "finish"})
    assert f'action="/projects/{project.key}/resume/"' in client.get("/queue/").content.decode()


def test_pages_ask_no_more_for_many_that_wait_than_for_one(
    client: Client, project: Project, alice: Any
) -> None:
    client.force_login(alice)
    Pause.begin(project)
    queued(project, 1)
    pages = (f"/projects/{project.key}/", "/queue/")
    counts = []
    for _ in range(2):
        for page in pages:
            with CaptureQueriesContext(connection) as asked:
                client.get(page)
            counts.append(len(asked))
        queued(project, 12)
    assert counts[2:] == counts[:2]


def test_a_retry_later_stands_by_its_time_again(project: Project) -> None:
    first, second = queued(project, 2)
    move(second, Way.TOP)
    claim = ledger.claim()
    assert claim is not None
    begin(claim).end("completed")
    claim.release()
    with_time = Attempt.objects.filter(task=second)
    with_time.get().begin("planning", by=None)
    assert (with_time.get().lease, with_time.get().place) == (Lease.CLAIMABLE, None)
    assert timezone.now() - with_time.get().stands_at < timedelta(minutes=1)
    assert claims() == [first.key, second.key]
