"""What waits for a person stands on one page, over all their projects, and is answered there."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from studio.roles import Role
from tasks import needs
from tasks.models import Attention, Task
from tests import factories

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def waiting(project: Any) -> dict[str, Task]:
    """One task of each kind, the oldest first; and three that need nobody."""
    names = ("plan", "permission", "question", "review", "failure", "limit")
    tasks = {name: factories.make_task(project, title=f"The {name}") for name in names}
    statuses = dict.fromkeys(names, "in_progress") | {"plan": "planning_review", "review": "review"}
    for age, (name, task) in enumerate(tasks.items()):
        at = timezone.now() - timedelta(minutes=60 - age)
        Task.objects.filter(pk=task.pk).update(status=statuses[name], status_changed_at=at)
        task.refresh_from_db()
        attempt = factories.make_attempt(task)
        if name in ("permission", "question"):
            session = factories.make_session(attempt, phase="implementation", state="waiting")
            asked = factories.make_request(session, kind=name)
            type(asked).objects.filter(pk=asked.pk).update(opened_at=at)
        elif name in ("failure", "limit"):
            reason = {"failure": "stalled", "limit": "deadline"}[name]
            session = factories.make_session(
                attempt, phase="implementation", state="failed", reason=reason, detail="What it said"
            )
            type(session).objects.filter(pk=session.pk).update(ended_at=at)
        elif name == "plan":
            factories.make_plan(task)
    factories.make_session(factories.make_attempt(factories.make_task(project, status="planning")))
    factories.make_task(project)
    stopping = factories.make_task(project, status="planning")
    factories.make_session(factories.make_attempt(stopping, cancel_requested_at=timezone.now()))
    return tasks


def test_all_that_waits_is_listed_the_oldest_first(
    member: Any, script: Any, waiting: Any, alice: Any
) -> None:
    page = member.get("/needs-you/").content.decode()
    assert [need["kind"] for need in script.get("/api/needs-you").json()["items"]] == list(waiting)
    for said in (
        *(task.key for task in waiting.values()),
        "pip install httpx",
        "Which colour?",
        "The plan, version 1",
        "Approve plan",
    ):
        assert said in page
    assert 'data-waiting="6"' in page
    assert needs.needing(alice).count() == len(waiting)


def test_it_can_be_filtered_by_kind_and_project(member: Any, waiting: Any) -> None:
    page = member.get("/needs-you/?kind=question&project=DEMO").content.decode()
    assert (waiting["question"].title in page, waiting["review"].title in page) == (True, False)
    assert "Nothing here fits" in member.get("/needs-you/?project=NOPE").content.decode()


def test_who_only_looks_on_or_is_a_stranger_is_needed_for_nothing(
    client: Any, bob: Any, charlie: Any, waiting: Any
) -> None:
    for person in (bob, charlie):
        client.force_login(person)
        assert "Nothing waits for you" in client.get("/needs-you/").content.decode()
    assert client.post(f"/tasks/{waiting['plan'].pk}/attend/").status_code == 404


def test_the_edit_that_is_asked_for_is_shown_as_text(member: Any, project: Any) -> None:
    task = factories.make_task(project, status="in_progress")
    session = factories.make_session(factories.make_attempt(task), state="waiting")
    diff = "-old\n+<script>new</script>"
    body = {"permission": "edit", "patterns": ["a.py"], "metadata": {"filepath": "a.py", "diff": diff}}
    factories.make_request(session, body=body)
    page = member.get("/needs-you/").content.decode()
    assert "+&lt;script&gt;new" in page


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_what_waits_is_answered_in_its_place(member: Any, waiting: Any, headers: Any) -> None:
    here = {"back": "/needs-you/?kind=plan"}
    asked = waiting["permission"].current_attempt.sessions.get().requests.get()
    question = waiting["question"].current_attempt.sessions.get().requests.get()
    for address, sent in (
        (f"/requests/{asked.pk}/answer/", {"reply": "once"}),
        (f"/requests/{question.pk}/answer/", {"question-0": "Red"}),
        (f"/tasks/{waiting['plan'].pk}/approve-plan/", {}),
        (f"/tasks/{waiting['failure'].pk}/retry/", {}),
        (f"/tasks/{waiting['review'].pk}/request-changes/", {"comment": "Shorter"}),
        (f"/tasks/{waiting['limit'].pk}/attend/", {}),
    ):
        answer = member.post(address, here | sent, headers=headers)
        assert (answer.status_code, answer.headers.get("Location")) == (302, here["back"]), address
    page = member.get("/needs-you/", headers=headers).content.decode()
    assert ("The limit" in page, "The plan" in page, "You are looking" in page) == (True, False, True)


def test_back_leads_nowhere_else(member: Any, waiting: Any) -> None:
    for to in ("https://example.org/", "//example.org/needs-you/"):
        task = waiting["plan"]
        answer = member.post(f"/tasks/{task.pk}/attend/", {"back": to})
        assert answer.headers["Location"] == task.get_absolute_url()


def test_one_looks_at_it_until_it_moves_or_half_an_hour_has_passed(
    member: Any, script: Any, waiting: Any, alice: Any, bob: Any
) -> None:
    task = waiting["review"]

    def looking() -> list[int | None]:
        found = script.get("/api/needs-you").json()["items"]
        return [need["attended_by"] for need in found if need["task_id"] == task.pk]

    Attention.attend(task, by=bob)
    assert looking() == [bob.pk]
    assert script.send("post", f"/api/tasks/{task.pk}/attend").status_code == 204
    assert looking() == [alice.pk]
    Attention.leave(task, by=bob)
    assert looking() == [alice.pk]
    assert script.send("post", f"/api/tasks/{task.pk}/leave").status_code == 204
    assert looking() == [None]
    assert list(task.events.values_list("name", flat=True))[-3:] == [
        "task.attended",
        "task.attended",
        "task.left",
    ]
    Attention.attend(task, by=bob)
    Attention.objects.update(since=timezone.now() - timedelta(minutes=31))
    assert looking() == [None]
    Attention.attend(task, by=bob)
    Task.objects.filter(pk=task.pk).update(status_changed_at=timezone.now())
    assert looking() == [None]


def test_the_list_asks_no_more_for_twelve_than_for_six(
    member: Any, project: Any, waiting: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(6):
        factories.make_attempt(factories.make_task(project, status="review"))
    with django_assert_max_num_queries(22):
        assert member.get("/needs-you/").status_code == 200
    with django_assert_max_num_queries(4):
        assert 'data-waiting="12"' in member.get("/needs-you/count/", headers=HTMX).content.decode()


def test_a_manager_of_nothing_has_a_calm_page(member: Any, alice: Any, project: Any) -> None:
    project.memberships.filter(user=alice).update(role=Role.VIEWER)
    page = member.get("/needs-you/").content.decode()
    assert "comes here by itself" in page
    assert 'data-waiting="0"' in page
