"""Attempts: a task is tried again from scratch beside the old attempt, and people can go back to that."""

from typing import Any

import pytest
from django.test import Client

from sessions import landing, ledger, places
from sessions.hold import held
from sessions.models import Attempt, FollowUp, Session
from sessions.models.attempt import Lease
from studio.errors import Conflict
from tasks.models import Event, Task
from tests import factories
from tests.scripts import Script, assert_error
from tests.sessions.test_ledger import in_threads

pytestmark = pytest.mark.django_db


@pytest.fixture
def first(project: Any) -> Attempt:
    """The attempt of a task in review, by the first version of its plan."""
    task = factories.make_task(project, status="review")
    task.plans.create(version=1, body="The first plan")
    attempt = factories.make_attempt(task)
    factories.make_session(attempt, phase="implementation", state="completed")
    return attempt


def fresh(attempt: Attempt) -> Attempt:
    return Attempt.objects.select_related("task__project").get(pk=attempt.pk)


def end(session: Session, status: str) -> None:
    """The session failed, and the task stands there."""
    session.end("failed", "stalled")
    Attempt.objects.filter(pk=session.attempt_id).update(lease=Lease.IDLE, status=status)
    Task.objects.filter(pk=session.attempt.task_id).update(status=status)


def test_a_task_is_tried_again_beside_the_old_attempt(first: Attempt, alice: Any, client: Client) -> None:
    client.force_login(alice)
    page = f"/tasks/{first.task_id}/attempts/"
    assert "Try again from scratch" in client.get(page).content.decode()
    assert client.post(f"/tasks/{first.task_id}/new-attempt/").status_code == 302
    task = Task.objects.get(pk=first.task_id)
    current = task.current_attempt
    assert current is not None
    assert (current.number, current.status, current.lease) == (2, "planning", Lease.CLAIMABLE)
    assert task.status == "planning"
    old = fresh(first)
    assert (old.is_current, old.status, old.ended_at, old.plan_version) == (False, "review", None, 1)
    assert old.branch == f"studio/{task.key}-1"
    session = current.last_session
    assert session is not None
    assert (session.phase, session.opencode_session_id, session.by) == ("planning", "", alice)
    html = client.get(page).content.decode()
    assert "Try again from scratch</button>" not in html  # an agent is about to work
    assert "stop it first" in html
    assert "began attempt 2 from scratch" in client.get(f"/tasks/{task.pk}/timeline/").content.decode()


def test_an_old_attempt_is_chosen_with_its_state_and_its_plan(
    first: Attempt, alice: Any, client: Client
) -> None:
    client.force_login(alice)
    session = Attempt.anew(first.task, by=alice)
    Task.objects.get(pk=first.task_id).plans.create(version=2, body="The second plan")
    end(session, "planning_review")
    second = fresh(session.attempt)
    html = client.get(f"/tasks/{first.task_id}/attempts/").content.decode()
    assert "Choose attempt 1" in html
    assert "Choose attempt 2" not in html
    assert client.post(f"/attempts/{first.pk}/choose/").status_code == 302
    task = Task.objects.get(pk=first.task_id)
    assert (task.status, task.current_attempt) == ("review", first)
    assert task.plan is not None
    assert (task.plan.version, task.plan.body) == (3, "The first plan")
    assert (fresh(second).status, fresh(second).plan_version) == ("planning_review", 2)
    fresh(second).choose(by=alice)
    task = Task.objects.get(pk=first.task_id)
    assert task.plan is not None
    assert (task.status, task.plan.body) == ("planning_review", "The second plan")
    assert Event.objects.filter(task=task, name="attempt.chosen").count() == 2


def test_moves_of_the_task_leave_the_attempt_that_was_set_aside(first: Attempt, alice: Any) -> None:
    session = Attempt.anew(first.task, by=alice)
    task = Task.objects.get(pk=first.task_id)
    assert not task.cancel(by=alice) or fresh(session.attempt).status == "cancelled"
    assert (fresh(first).status, fresh(first).ended_at) == ("review", None)


def test_what_waits_for_an_agent_stays_with_the_attempt_that_is_set_aside(
    first: Attempt, alice: Any, client: Client
) -> None:
    client.force_login(alice)
    factories.make_follow_up(first, "Use tabs.")
    session = Attempt.anew(first.task, by=alice)
    assert FollowUp.objects.next_for(session) is None
    page = f"/tasks/{first.task_id}/"
    assert "1 message to its agent waits until" in client.get(f"{page}attempts/").content.decode()
    assert (
        "Use tabs." not in client.get(f"{page}follow-ups/", headers={"hx-request": "true"}).content.decode()
    )
    end(session, "planning")
    fresh(first).choose(by=alice)
    assert "Use tabs." in client.get(f"{page}follow-ups/", headers={"hx-request": "true"}).content.decode()
    script = Script(alice)
    assert (
        script.send("post", f"/api/tasks/{first.task_id}/follow-ups", {"text": "And go on."}).status_code
        < 300
    )
    assert [each.text for each in first.follow_ups.filter(state="sending")] == ["Use tabs."]


def test_nothing_is_set_aside_while_it_is_worked_on(first: Attempt, alice: Any) -> None:
    with held(first, "merge"), pytest.raises(Conflict) as busy:
        Attempt.anew(first.task, by=alice)
    assert busy.value.code == "busy"
    session = Attempt.anew(first.task, by=alice)
    for refused in (lambda: Attempt.anew(first.task, by=alice), lambda: fresh(first).choose(by=alice)):
        with pytest.raises(Conflict) as running:
            refused()
        assert (running.value.code, running.value.data["session_id"]) == ("already_running", session.pk)
    assert fresh(session.attempt).is_current
    assert Attempt.objects.filter(task=first.task_id).count() == 2


@pytest.mark.django_db(transaction=True)
def test_of_eight_at_once_one_begins(first: Attempt, alice: Any) -> None:
    results = in_threads(8, lambda: Attempt.anew(Task.objects.get(pk=first.task_id), by=alice))
    assert len([each for each in results if isinstance(each, Session)]) == 1
    assert len([each for each in results if isinstance(each, Conflict)]) == 7
    assert list(Attempt.objects.filter(task=first.task_id).values_list("number", "is_current")) == [
        (1, False),
        (2, True),
    ]


def test_studio_never_merges_an_attempt_that_was_set_aside(first: Attempt, alice: Any) -> None:
    """As a worker gets it that takes up an attempt whose clean-up died, while the task's other attempt is in review."""
    session = Attempt.anew(first.task, by=alice)
    end(session, "review")
    Task.objects.filter(pk=first.task_id).update(policies={"human_review": False})
    Attempt.objects.filter(pk=first.pk).update(base_oid="a" * 40, head_oid="b" * 40)
    fresh(first).offer()
    claim = ledger.claim()
    assert claim is not None
    assert claim.attempt == first
    assert not landing.merge_alone(claim)
    assert not Event.objects.filter(name="merge.refused").exists()
    with pytest.raises(Conflict, match="another attempt"):
        landing.land(fresh(first), claim, by=alice)


def test_what_an_old_attempt_changed_can_be_read(
    first: Attempt, alice: Any, charlie: Any, client: Client, tmp_path: Any, settings: Any
) -> None:
    settings.STUDIO_HOME = tmp_path / "home"
    repository = places.repository(first).path
    base = factories.git(repository, "rev-parse", "HEAD")
    factories.git(repository, "switch", "-qc", "work")
    (repository / "sample.py").write_text("def two():\n    return 2\n")
    factories.git(repository, "commit", "-qam", "Two")
    first.record(base_oid=base, head_oid=factories.git(repository, "rev-parse", "HEAD"))
    client.force_login(alice)
    address = f"/attempts/{first.pk}/changes/"
    assert client.get(address)["Location"] == f"/tasks/{first.task_id}/changes/"
    Attempt.anew(first.task, by=alice)
    html = client.get(address).content.decode()
    assert "def two()" in html
    assert "The change of attempt 1, which was set aside" in html
    assert 'name="content"' not in html  # nothing to mark: the task follows another change
    client.force_login(charlie)
    assert client.get(address).status_code == 404


def test_scripts_try_again_and_go_back(first: Attempt, alice: Any) -> None:
    script = Script(alice)
    begun = script.send("post", f"/api/tasks/{first.task_id}/new-attempt", key="once")
    assert begun.status_code == 202
    assert script.send("post", f"/api/tasks/{first.task_id}/new-attempt", key="once").json() == begun.json()
    choose = f"/api/attempts/{first.pk}/choose"
    assert_error(script.send("post", choose), 409, "already_running")
    end(Session.objects.get(pk=begun.json()["session_id"]), "planning")
    assert script.send("post", choose).json()["is_current"] is True
    assert_error(script.send("post", choose), 409, "current_already")
    Attempt.objects.filter(pk=first.pk).update(is_current=False, ended_at=first.created_at)
    assert_error(script.send("post", choose), 409, "attempt_ended")


def test_a_task_that_was_never_tried_is_started_instead(project: Any, alice: Any) -> None:
    task = factories.make_task(project)
    assert_error(Script(alice).send("post", f"/api/tasks/{task.pk}/new-attempt"), 409, "no_attempt")
    assert Task.objects.get(pk=task.pk).status == "todo"


def test_a_task_that_is_done_is_reopened_first(first: Attempt, alice: Any) -> None:
    Task.objects.get(pk=first.task_id).mark_done(by=alice)
    assert Script(alice).send("post", f"/api/tasks/{first.task_id}/new-attempt").status_code == 409
    assert fresh(first).is_current


@pytest.mark.parametrize(("name", "status"), [("bob", 403), ("charlie", 404)])
def test_who_may_not_work_on_it_can_do_neither(
    first: Attempt, request: pytest.FixtureRequest, client: Client, name: str, status: int
) -> None:
    client.force_login(request.getfixturevalue(name))
    assert client.post(f"/tasks/{first.task_id}/new-attempt/").status_code == status
    assert client.post(f"/attempts/{first.pk}/choose/").status_code == status
    assert fresh(first).is_current
