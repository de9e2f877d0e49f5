"""What people write to an agent: queued, reordered, sent once, and refused where nobody would hear it."""

from typing import Any

import pytest
from django.test import Client

from sessions import ledger
from sessions.models import FollowUp, Session
from sessions.phases import prompts
from sessions.phases.turns import begin_waiting
from sessions.progress import checks_completed
from studio.errors import Conflict, Invalid
from tasks.models import Event, Task
from tests import factories
from tests.scripts import Script, assert_error, assert_field
from tests.sessions.test_environment import put

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(project: Any) -> Session:
    """An implementation at work."""
    task = factories.make_task(project, status="in_progress")
    attempt = factories.make_attempt(task, lease="claimed", owner="w", fence=1)
    return factories.make_session(attempt, phase="implementation", opencode_session_id="ses_1")


@pytest.fixture
def script(session: Session, alice: Any) -> Script:
    return Script(alice)


@pytest.fixture
def claim(session: Session) -> ledger.Claim:
    """The worker's hold on it."""
    return ledger.Claim(session.attempt, "w", 1)


def at_rest(project: Any, status: str, phase: str, state: str = "completed") -> Task:
    """A task in that state whose last session has ended."""
    task = factories.make_task(project, status=status)
    attempt = factories.make_attempt(task)
    for each in ("planning", "implementation", phase):
        last = {"state": state if each == phase else "completed", "opencode_session_id": f"ses_{each}"}
        factories.make_session(attempt, phase=each, **last)
    return task


def texts(session: Session) -> list[str]:
    return list(session.attempt.follow_ups.queued().values_list("text", flat=True))


# --- the queue ------------------------------------------------------------------------------------------------------


def test_what_is_queued_is_moved_edited_and_deleted_by_script(script: Script, session: Session) -> None:
    path = f"/api/tasks/{session.task.pk}/follow-ups"
    made = [script.send("post", path, {"text": text}) for text in ("one", "two", "three")]
    assert [reply.status_code for reply in made] == [201] * 3
    first, second, third = (reply.json() for reply in made)
    assert (third["state"], third["place"], third["session_id"]) == ("queued", 3, None)
    moved = script.send("patch", f"/api/follow-ups/{third['id']}", {"place": 1, "text": "three!"})
    assert (moved.json()["place"], moved.json()["text"]) == (1, "three!")
    assert texts(session) == ["three!", "one", "two"]
    assert script.send("patch", f"/api/follow-ups/{third['id']}", {"place": 999}).json()["place"] == 3
    assert script.send("delete", f"/api/follow-ups/{first['id']}").status_code == 204
    assert texts(session) == ["two", "three!"]
    assert_error(script.send("delete", f"/api/follow-ups/{first['id']}"), 409)
    listed = script.get(path).json()["items"]
    assert [(each["text"], each["place"]) for each in listed] == [("one", None), ("two", 1), ("three!", 2)]
    assert second["id"] == listed[1]["id"]
    names = list(Event.objects.filter(name__startswith="follow_up").values_list("name", flat=True))
    assert names.count("follow_up.moved") == 2
    assert {"follow_up.queued", "follow_up.edited", "follow_up.withdrawn"} <= set(names)


def test_the_same_on_the_page_without_javascript(client: Client, session: Session, alice: Any) -> None:
    client.force_login(alice)
    task = session.task
    for text in ("one", "two <b>"):
        assert client.post(f"/tasks/{task.pk}/follow-up/", {"text": text}).status_code == 302
    one, two = session.attempt.follow_ups.all()
    page = client.get(f"/tasks/{task.pk}/").content.decode()
    for words in ("Waiting for the agent", "two &lt;b&gt;", "Queue", "Interrupt and send", "Move down"):
        assert words in page, words
    client.post(f"/follow-ups/{two.pk}/move/", {"place": "1"})
    client.post(f"/follow-ups/{one.pk}/edit/", {"text": "one more"})
    assert texts(session) == ["two <b>", "one more"]
    client.post(f"/follow-ups/{two.pk}/withdraw/")
    assert texts(session) == ["one more"]
    assert client.post(f"/follow-ups/{one.pk}/move/", {"place": "x"}).status_code == 422


def test_a_verb_answers_with_the_box_and_a_part_of_it_is_fetched_alone(
    client: Client, session: Session, alice: Any
) -> None:
    client.force_login(alice)
    htmx = {"HX-Request": "true"}
    box = client.post(f"/tasks/{session.task.pk}/follow-up/", {"text": "one"}, headers=htmx).content.decode()
    assert '<section class="follow-ups"' in box
    assert "<textarea" in box
    queue = client.post(f"/follow-ups/{session.attempt.follow_ups.get().pk}/withdraw/", headers=htmx)
    assert "<textarea" not in queue.content.decode(), "a draft beside it would be eaten"


@pytest.mark.parametrize("body", [{"text": " "}, {"text": "x" * 20_001}, {}])
def test_a_message_has_words(script: Script, session: Session, body: dict[str, str]) -> None:
    assert_field(script.send("post", f"/api/tasks/{session.task.pk}/follow-ups", body), "text")
    assert not session.attempt.follow_ups.exists()


def test_a_queue_has_an_end(session: Session, alice: Any) -> None:
    for number in range(50):
        factories.make_follow_up(session.attempt, str(number))
    with pytest.raises(Invalid, match="50 messages wait already"):
        FollowUp.objects.write(session.task, "one more", by=alice)


def test_members_write_authors_edit_and_others_look_or_see_nothing(
    session: Session, bob: Any, charlie: Any, admin: Any
) -> None:
    message = factories.make_follow_up(session.attempt, by=admin)
    path, own = f"/api/tasks/{session.task.pk}/follow-ups", f"/api/follow-ups/{message.pk}"
    assert Script(bob).get(path).status_code == 200
    assert_error(Script(bob).send("post", path, {"text": "Hi"}), 403)
    assert_error(Script(bob).send("delete", own), 403)
    assert_error(Script(charlie).get(path), 404)
    assert_error(Script(charlie).send("delete", own), 404)


def test_only_its_author_changes_the_words(script: Script, session: Session, admin: Any) -> None:
    message = factories.make_follow_up(session.attempt, by=admin)
    assert_error(script.send("patch", f"/api/follow-ups/{message.pk}", {"text": "Not so."}), 403)
    assert script.send("patch", f"/api/follow-ups/{message.pk}", {"place": 1}).status_code == 200


def test_what_a_worker_has_taken_is_out_of_reach(
    script: Script, session: Session, claim: ledger.Claim, alice: Any
) -> None:
    message = factories.make_follow_up(session.attempt, by=alice)
    with claim.write():
        assert FollowUp.objects.next_for(session) == message
    for method, body in (("patch", {"text": "Late"}), ("patch", {"place": 1}), ("delete", None)):
        assert "is being sent" in script.send(method, f"/api/follow-ups/{message.pk}", body).json()["message"]


# --- where it leads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "phase", "state", "moved", "begins"),
    [
        ("review", "review", "completed", "fix", ("fix", "ses_implementation")),
        ("planning_review", "planning", "completed", "planning", ("planning", "ses_planning")),
        ("planning", "planning", "failed", "planning", ("planning", "ses_planning")),
        ("in_progress", "implementation", "failed", "in_progress", ("implementation", "ses_implementation")),
        ("fix", "fix", "interrupted", "fix", ("fix", "ses_fix")),
        ("in_progress", "checks", "failed", "fix", ("fix", "ses_implementation")),
        ("ai_review", "review", "failed", "fix", ("fix", "ses_implementation")),
    ],
)
def test_with_nothing_at_work_a_message_starts_the_session_that_goes_on(
    project: Any, alice: Any, status: str, phase: str, state: str, moved: str, begins: tuple[str, str]
) -> None:
    task = at_rest(project, status, phase, state)
    message = FollowUp.objects.write(task, "Use tabs.", by=alice)
    task.refresh_from_db()
    live = task.current_attempt.live_session
    assert task.status == moved
    assert (live.phase, live.opencode_session_id) == begins
    assert (message.state, message.session) == ("sending", live)
    assert task.current_attempt.lease == "claimable"


def test_in_review_it_takes_approvals_back_and_the_rounds_count_anew(project: Any, alice: Any) -> None:
    task = at_rest(project, "review", "review")
    task.attempts.update(rounds=3)
    task.approvals.create(by=alice, oid="a" * 40)
    FollowUp.objects.write(task, "Use tabs.", by=alice)
    assert not task.approvals.exists()
    assert task.current_attempt.rounds == 0


@pytest.mark.parametrize(
    ("status", "why"),
    [("todo", "not been started"), ("done", "reopen it first"), ("cancelled", "reopen it first")],
)
def test_who_would_hear_nothing_is_told_so(
    client: Client, project: Any, alice: Any, status: str, why: str
) -> None:
    task = factories.make_task(project, status=status)
    if status != "todo":
        factories.make_attempt(task)
    refused = Script(alice).send("post", f"/api/tasks/{task.pk}/follow-ups", {"text": "Hi"})
    assert why in assert_error(refused, 409)["message"]
    client.force_login(alice)
    page = client.get(f"/tasks/{task.pk}/").content.decode()
    assert 'name="text"' not in page
    assert (why in page) == (status != "todo")


@pytest.mark.parametrize("state", ["queued", "sending"])
def test_what_waits_is_withdrawn_when_the_attempt_ends(project: Any, alice: Any, state: str) -> None:
    task = at_rest(project, "review", "review")
    message = factories.make_follow_up(task.current_attempt, state=state, message_id="msg_1")
    task.mark_done(by=alice)
    message.refresh_from_db()
    assert message.state == "withdrawn"


def test_an_edit_that_comes_too_late_keeps_the_persons_words(
    client: Client, session: Session, alice: Any
) -> None:
    message = factories.make_follow_up(session.attempt, by=alice, state="sent")
    client.force_login(alice)
    reply = client.post(f"/follow-ups/{message.pk}/edit/", {"text": "Use four spaces."})
    page = reply.content.decode()
    assert reply.status_code == 409
    assert "has been sent already" in page
    assert "Use four spaces." in page


def test_a_message_queued_during_the_checks_comes_before_the_review(
    session: Session, claim: ledger.Claim
) -> None:
    Session.objects.filter(pk=session.pk).update(state="completed")
    checks = factories.make_session(session.attempt, phase="checks")
    red = factories.make_check_result(checks, state="failed")
    factories.make_follow_up(session.attempt)
    with claim.write():
        checks_completed(checks)
    fix = session.attempt.live_session
    assert fix is not None
    assert (fix.phase, fix.inputs["checks"], fix.task.status) == ("fix", [red.pk], "fix")


def test_a_message_that_came_when_the_last_turn_was_over_starts_the_next_session(
    session: Session, claim: ledger.Claim
) -> None:
    factories.make_follow_up(session.attempt)
    assert not begin_waiting(claim), "the session has not ended"
    Session.objects.filter(pk=session.pk).update(state="failed")
    Task.objects.update(status="review")
    assert not begin_waiting(claim), "a person has to look at what failed"
    Session.objects.filter(pk=session.pk).update(state="completed")
    assert begin_waiting(claim)
    assert session.attempt.live_session is not None
    assert session.attempt.follow_ups.get().state == "sending"


def test_a_secret_in_a_message_is_taken_out_before_it_is_stored(script: Script, session: Session) -> None:
    secret = "hunter2-hunter2"
    put(session.task.project, "API_TOKEN", secret, "agents")
    path = f"/api/tasks/{session.task.pk}/follow-ups"
    made = script.send("post", path, {"text": f"Call it with {secret}."}).json()
    assert made["text"] == "Call it with [redacted: API_TOKEN]."
    again = script.send("patch", f"/api/follow-ups/{made['id']}", {"text": f"Or {secret}"}).json()
    assert again["text"] == "Or [redacted: API_TOKEN]"
    assert secret not in str(list(Event.objects.values_list("data", flat=True)))


# --- interrupting -----------------------------------------------------------------------------------------------------


def test_an_interrupting_message_goes_before_those_that_wait(script: Script, session: Session) -> None:
    factories.make_follow_up(session.attempt, "later")
    path = f"/api/tasks/{session.task.pk}/follow-ups"
    sent = script.send("post", path, {"text": "now", "interrupt": True}).json()
    assert (sent["state"], sent["session_id"]) == ("sending", session.pk)
    assert FollowUp.objects.next_for(session).text == "now"  # type: ignore[union-attr]


@pytest.mark.parametrize("phase", ["checks", "review"])
def test_checks_and_reviews_are_not_interrupted_for_a_message(
    script: Script, session: Session, phase: str
) -> None:
    Session.objects.filter(pk=session.pk).update(phase=phase)
    path = f"/api/tasks/{session.task.pk}/follow-ups"
    refused = script.send("post", path, {"text": "now", "interrupt": True})
    assert_error(refused, 409, "not_interruptible")
    assert script.send("post", path, {"text": "now"}).json()["place"] == 1


def test_a_parked_agent_goes_on_with_the_message_and_its_request_is_withdrawn(
    session: Session, claim: ledger.Claim, alice: Any
) -> None:
    Session.objects.filter(pk=session.pk).update(state="waiting")
    asked = factories.make_request(session)
    claim.rest()
    FollowUp.objects.write(session.task, "Leave that.", by=alice, interrupt=True)
    session.refresh_from_db()
    asked.refresh_from_db()
    session.attempt.refresh_from_db()
    assert (session.state, asked.state, session.attempt.lease) == ("queued", "withdrawn", "claimable")


@pytest.mark.parametrize("state", ["completed", "failed", "interrupted", "cancelled"])
def test_a_message_that_its_session_never_told_waits_again(session: Session, alice: Any, state: str) -> None:
    message = FollowUp.objects.write(session.task, "now", by=alice, interrupt=True)
    session.end(state)
    message.refresh_from_db()
    assert (message.state, message.session) == ("queued", None)


def test_a_stopping_agent_takes_no_message(session: Session, alice: Any) -> None:
    session.task.cancel(by=alice)
    with pytest.raises(Conflict, match="being stopped"):
        FollowUp.objects.write(session.task, "Wait", by=alice)


def test_a_fresh_conversation_hears_what_was_written_in_the_lost_one(session: Session) -> None:
    factories.make_follow_up(session.attempt, "Use tabs.", state="sent")
    assert "Use tabs." not in prompts.implementation(session)
    session.opencode_session_id = ""
    assert "Use tabs." in prompts.implementation(session)
