"""Starting agents at the API's door, once and twice, one after another and at once."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django_q.models import OrmQ

from sessions.models import Session
from studio.models import KeptReply
from tasks.models import Task
from tests import factories
from tests.scripts import Script, assert_error, assert_field

STARTERS = [
    ("execute", "todo", None, "planning"),
    ("retry", "in_progress", None, "implementation"),
    ("approve-plan", "planning_review", None, "implementation"),
    ("request-plan-changes", "planning_review", {"comment": "Smaller."}, "planning"),
    ("request-changes", "review", {"comment": "Rename it."}, "fix"),
]


@pytest.fixture
def script(project: Any, alice: Any) -> Script:
    """A script of alice's, who is a member."""
    return Script(alice)


def ready(project: Any, status: str) -> Task:
    """A task that stands there with nothing running."""
    task = factories.make_task(project, status=status)
    if status != "todo":
        attempt = factories.make_attempt(task)
        factories.make_session(attempt, phase="implementation", state="failed", reason="stalled")
        factories.make_plan(task)
    return task


@pytest.mark.parametrize(("verb", "status", "body", "phase"), STARTERS)
def test_it_starts_a_session_and_answers_202(
    script: Script, project: Any, verb: str, status: str, body: Any, phase: str
) -> None:
    task = ready(project, status)
    reply = script.send("post", f"/api/tasks/{task.pk}/{verb}", body)
    assert reply.status_code == 202, reply.content
    session = Session.objects.get(pk=reply.json()["session_id"])
    assert (session.phase, session.state) == (phase, "queued")
    assert {name: reply.json()[name] for name in ("task_id", "status")} == {
        "task_id": task.pk,
        "status": "execution_started",
    }
    assert OrmQ.objects.count() == 1


@pytest.mark.parametrize(("verb", "status", "body", "phase"), STARTERS)
def test_in_another_state_it_is_409_and_changes_nothing(
    script: Script, project: Any, verb: str, status: str, body: Any, phase: str
) -> None:
    task = ready(project, "done")
    before = Session.objects.count()
    assert_error(script.send("post", f"/api/tasks/{task.pk}/{verb}", body), 409, "conflict")
    task.refresh_from_db()
    assert (task.status, Session.objects.count(), OrmQ.objects.count()) == ("done", before, 0)


@pytest.mark.parametrize(("verb", "status", "body", "phase"), STARTERS)
def test_a_viewer_and_a_stranger_start_nothing(
    project: Any, bob: Any, charlie: Any, verb: str, status: str, body: Any, phase: str
) -> None:
    task = ready(project, status)
    assert_error(Script(bob).send("post", f"/api/tasks/{task.pk}/{verb}", body), 403, "forbidden")
    assert_error(Script(charlie).send("post", f"/api/tasks/{task.pk}/{verb}", body), 404)
    assert_error(script_without_token().post(f"/api/tasks/{task.pk}/{verb}"), 401)


def script_without_token() -> Any:
    from django.test import Client

    return Client()


@pytest.mark.parametrize(
    ("verb", "status"), [("approve", 200), ("fix-findings", 202), ("request-changes", 202)]
)
def test_a_body_that_may_be_empty_may_be_left_out(
    script: Script, project: Any, verb: str, status: int
) -> None:
    task = ready(project, "review")
    task.attempts.update(head_oid="a" * 40)
    factories.make_finding(factories.make_session(task.current_attempt, phase="review", state="completed"))
    task.comments.create(
        by_id=project.memberships.first().user_id, body="Louder.", attempt_number=task.current_attempt.number
    )
    assert script.post(f"/api/tasks/{task.pk}/{verb}").status_code == status


@pytest.mark.parametrize("verb", ["request-plan-changes", "request-changes"])
@pytest.mark.parametrize(
    "body", [{}, {"comment": ""}, {"comment": " \n"}, {"comment": None}, {"comment": "a\x00"}]
)
def test_changes_are_asked_for_in_words(script: Script, project: Any, verb: str, body: Any) -> None:
    task = ready(project, "review" if verb == "request-changes" else "planning_review")
    assert_field(script.send("post", f"/api/tasks/{task.pk}/{verb}", body), "comment")


@pytest.mark.parametrize(("verb", "status", "body", "phase"), STARTERS)
def test_with_the_same_key_the_same_reply_and_one_session(
    script: Script, project: Any, verb: str, status: str, body: Any, phase: str
) -> None:
    task = ready(project, status)
    before = Session.objects.count()
    replies = [script.send("post", f"/api/tasks/{task.pk}/{verb}", body, key="once") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [202, 202, 202]
    assert len({reply.content for reply in replies}) == 1
    assert Session.objects.count() == before + 1


def test_a_second_execute_is_409_with_the_running_session(script: Script, task: Task) -> None:
    first = script.post(f"/api/tasks/{task.pk}/execute").json()
    for verb in ("execute", "retry"):
        body = assert_error(script.post(f"/api/tasks/{task.pk}/{verb}"), 409, "already_running")
        assert body["session_id"] == first["session_id"]


def test_a_key_is_of_one_person_one_path_and_one_body(script: Script, project: Any, admin: Any) -> None:
    body = {"project": project.pk, "title": "Say hello"}
    first = script.send("post", "/api/tasks", body, key="k").json()
    assert script.send("post", "/api/tasks", body, key="k").json() == first
    other = {**body, "title": "Say goodbye"}
    assert_error(script.send("post", "/api/tasks", other, key="k"), 422, "key_reused")
    assert Script(admin).send("post", "/api/tasks", body, key="k").json()["id"] != first["id"]
    assert script.send("post", f"/api/tasks/{first['id']}/execute", key="k").status_code == 202


@pytest.mark.parametrize("key", ["x" * 201, " ", "a b", "naïve"])
def test_a_wrong_key_is_422(script: Script, task: Task, key: str) -> None:
    assert_field(script.send("post", f"/api/tasks/{task.pk}/execute", key=key), "Idempotency-Key")


def test_a_refusal_is_not_kept(script: Script, project: Any) -> None:
    task = ready(project, "planning_review")
    assert_error(script.send("post", f"/api/tasks/{task.pk}/execute", key="k"), 409)
    assert not KeptReply.objects.exists()
    Task.objects.filter(pk=task.pk).update(status="planning")
    assert script.send("post", f"/api/tasks/{task.pk}/execute", key="k").status_code == 202


def test_execute_takes_few_queries(script: Script, task: Task, django_assert_max_num_queries: Any) -> None:
    script.get("/api/tasks")  # the first call notes that the token was used
    with django_assert_max_num_queries(35):
        assert script.post(f"/api/tasks/{task.pk}/execute").status_code == 202


# --- at once --------------------------------------------------------------------------------------------------------


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """The replies of calls that begin together, each in a thread with a connection of its own."""
    replies: list[Any] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def run(place: int) -> None:
        gate.wait()
        try:
            replies[place] = calls[place]()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


def test_of_executes_at_once_one_starts_and_the_others_hear_which(
    transactional_db: None, project: Any, alice: Any
) -> None:
    task = factories.make_task(project)
    script = Script(alice)
    replies = at_once([lambda: script.post(f"/api/tasks/{task.pk}/execute")] * 4)
    assert sorted(reply.status_code for reply in replies) == [202, 409, 409, 409]
    assert {reply.json()["session_id"] for reply in replies} == {Session.objects.get().pk}
    assert OrmQ.objects.count() == 1


def test_with_one_key_all_at_once_hear_the_same_202(transactional_db: None, project: Any, alice: Any) -> None:
    task = factories.make_task(project)
    script = Script(alice)
    replies = at_once([lambda: script.send("post", f"/api/tasks/{task.pk}/execute", key="once")] * 4)
    assert [reply.status_code for reply in replies] == [202] * 4
    assert len({reply.content for reply in replies}) == 1
    assert Session.objects.count() == KeptReply.objects.count() == OrmQ.objects.count() == 1
