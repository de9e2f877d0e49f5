"""Requests of the agent's: parked without a worker, answered once, never lost, and what was allowed is not asked again."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from sessions import ledger, watch
from sessions.halts import Parked
from sessions.models import Request, Session
from sessions.models.attempt import Lease
from sessions.opencode.follow import Follower, Limits
from sessions.opencode.status import Permission, Question, Status
from sessions.opencode.transcript import Transcript
from sessions.phases import desk as desks
from sessions.phases import permissions, prompts
from sessions.phases.desk import Desk
from sessions.reasons import Reason
from studio.errors import Conflict
from tasks.models import Event, Task
from tests import factories
from tests.scripts import Script

pytestmark = pytest.mark.django_db(transaction=True)

YES = {"reply": "once", "message": ""}
LEAVE = {
    "permission": "bash",
    "patterns": ["rm *.log"],
    "always": ["rm *"],
    "metadata": {"command": "rm *.log"},
}


@pytest.fixture
def claim(project: Any, alice: User) -> ledger.Claim:
    """A worker's hold on an attempt whose session waits for an answer."""
    task = factories.make_task(project, policies={"planning": False})
    task.execute(by=alice)
    held = ledger.claim()
    assert held is not None
    live = {"state": "waiting", "opencode_session_id": "ses_1", "prompt_ids": ["msg_1"]}
    Session.objects.filter(attempt=held.attempt).update(**live)
    return held


@pytest.fixture
def session(claim: ledger.Claim) -> Session:
    return Session.objects.select_related("attempt__task__project").get(attempt=claim.attempt)


@pytest.fixture
def asked(session: Session) -> Request:
    return factories.make_request(session, body=LEAVE)


def standing(session: Session) -> tuple[str, str]:
    """The session's state and its attempt's lease."""
    session.refresh_from_db()
    session.attempt.refresh_from_db()
    return session.state, session.attempt.lease


def events(task: Task) -> list[str]:
    return list(Event.objects.filter(task=task).order_by("pk").values_list("name", flat=True))


# --- parking ---------------------------------------------------------------------------------------------------------


def test_a_parked_session_waits_without_a_worker_until_its_answer(
    claim: ledger.Claim, session: Session, asked: Request, alice: User
) -> None:
    running = factories.make_activity(session, kind="tool", state="running")
    claim.rest()
    assert standing(session) == ("waiting", Lease.PARKED)
    running.refresh_from_db()
    assert (running.state, running.rev) == ("interrupted", session.rev)
    assert ledger.claim() is None
    with pytest.raises(Conflict, match="running already"):
        session.task.execute(by=alice)
    asked.give_answer(YES, by=alice)
    assert standing(session) == ("queued", Lease.CLAIMABLE)
    assert events(session.task)[-3:] == ["session.parked", "request.answered", "session.queued"]
    again = ledger.claim()
    assert again is not None
    assert again.next_session() == session


def test_only_the_last_open_request_wakes_the_session(
    claim: ledger.Claim, session: Session, asked: Request, alice: User
) -> None:
    other = factories.make_request(session, kind="question")
    claim.rest()
    asked.give_answer(YES, by=alice)
    assert standing(session) == ("waiting", Lease.PARKED)
    other.give_answer({"reject": True}, by=alice)
    assert standing(session) == ("queued", Lease.CLAIMABLE)


def test_an_answer_that_comes_just_before_it_parks_is_not_lost(
    claim: ledger.Claim, session: Session, asked: Request, alice: User
) -> None:
    asked.give_answer(YES, by=alice)
    assert standing(session) == ("waiting", Lease.CLAIMED)
    claim.rest()
    assert standing(session) == ("queued", Lease.CLAIMABLE)


def test_an_answer_that_comes_while_it_parks_is_not_lost(
    claim: ledger.Claim, session: Session, asked: Request, alice: User
) -> None:
    both = threading.Barrier(2)

    def answer() -> None:
        both.wait()
        asked.give_answer(YES, by=alice)
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    both.wait()
    claim.rest()
    thread.join()
    assert standing(session) == ("queued", Lease.CLAIMABLE)


@pytest.mark.parametrize("end", ["worker", "studio"])
@pytest.mark.parametrize("answered", [False, True])
def test_a_death_between_request_and_answer_keeps_the_request(
    claim: ledger.Claim, session: Session, asked: Request, alice: User, end: str, answered: bool
) -> None:
    if answered:  # and not yet handed over
        asked.give_answer(YES, by=alice)
    if end == "worker":
        ledger.take_back(claim.attempt, gone=True, detail="killed")
    else:
        claim.hand_back()
    assert standing(session) == (("queued", Lease.CLAIMABLE) if answered else ("waiting", Lease.PARKED))
    assert session.attempt.sessions.count() == 1
    asked.refresh_from_db()
    assert asked.state == ("answered" if answered else "open")
    assert ("rm *.log" in prompts.resume(session)) == answered


def test_an_answer_that_no_opencode_heard_goes_into_the_next_prompt_whoever_sends_it(
    claim: ledger.Claim, session: Session, asked: Request, alice: User
) -> None:
    claim.rest()
    asked.give_answer({"reply": "reject", "message": "Use git clean."}, by=alice)
    again = ledger.claim()
    assert again is not None
    Session.objects.filter(pk=session.pk).update(state="running")
    ledger.take_back(again.attempt, gone=True)
    follower = again.attempt.sessions.get(state="queued")
    assert follower.resumes == session
    told = prompts.resume(follower)
    assert "A person refuses it." in told
    assert "Use git clean." in told
    prompts.unheard(follower)[0].delivered(Request.Delivery.PROMPT)
    assert "interrupted" in prompts.resume(follower)


@pytest.mark.parametrize(("verb", "status"), [("cancel", "cancelled"), ("back_to_todo", "todo")])
def test_a_parked_task_is_stopped_at_once(
    claim: ledger.Claim, session: Session, asked: Request, alice: User, verb: str, status: str
) -> None:
    claim.rest()
    task = Task.objects.get(pk=session.task.pk)
    assert getattr(task, verb)(by=alice)
    assert standing(session) == ("cancelled", Lease.IDLE)
    assert task.status == status
    with pytest.raises(Conflict, match="does not wait for it any more"):
        asked.give_answer(YES, by=alice)
    assert standing(session) == ("cancelled", Lease.IDLE)


def test_a_stop_that_is_asked_for_while_it_parks_is_done(
    claim: ledger.Claim, session: Session, asked: Request, alice: User
) -> None:
    assert not session.task.cancel(by=alice)
    claim.rest()
    assert standing(session) == ("cancelled", Lease.IDLE)
    assert Task.objects.get(pk=session.task.pk).status == "cancelled"


def test_nobody_answers_in_time_only_where_a_time_is_set(
    claim: ledger.Claim, session: Session, asked: Request, settings: Any
) -> None:
    claim.rest()
    watch.Watch().round()
    asked.refresh_from_db()
    assert asked.state == "open"
    settings.STUDIO_EXPIRY_SECONDS = 1e-6
    watch.Watch().round()
    asked.refresh_from_db()
    assert (asked.state, asked.answered_by) == ("answered", None)
    assert "Nobody answered in time." in prompts.resume(session)
    assert standing(session) == ("queued", Lease.CLAIMABLE)
    with pytest.raises(Conflict, match="by Studio, since nobody did in time"):
        asked.give_answer(YES, by=None)


# --- the desk, where the agent's server is not asked ------------------------------------------------------------------


def wanted(opencode_id: str, **fields: Any) -> Status:
    permission = {"permission": "bash", "patterns": ("ls",), "always": ("ls *",), "metadata": {}}
    return Status(permissions=[Permission(opencode_id, "ses_2", **(permission | fields))])


def test_a_request_is_a_row_that_every_database_takes_and_withdrawn_with_its_call(
    claim: ledger.Claim, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(claim, session, client=None)  # type: ignore[arg-type]
    diff = "\x00\ud800" + "x" * 200_000
    desk.look(wanted("per_1", metadata={"diff": diff}, call={"tool": "write", "input": {"filePath": "/w/a"}}))
    desk.look(wanted("per_1"))
    request = session.requests.get()
    assert (request.is_of_sub_agent, request.call) == (True, "write /w/a")
    assert len(request.body["metadata"]["diff"]) < 101_000
    desk.look(Status())
    assert standing(session)[0] == "waiting", "an OpenCode that ends shows no requests either"
    monkeypatch.setattr(desks, "MISSING_SECONDS", 0)
    desk.polled = 0
    desk.tick()
    request.refresh_from_db()
    assert request.state == "withdrawn"
    assert standing(session)[0] == "running"


def test_without_an_answer_the_session_parks(
    claim: ledger.Claim, session: Session, settings: Any, alice: User
) -> None:
    desk = Desk(claim, session, client=None)  # type: ignore[arg-type]
    desk.look(wanted("per_1"))
    desk.polled = 0
    desk.tick()
    settings.STUDIO_PARK_SECONDS = 0
    desk.polled = 0
    with pytest.raises(Parked):
        desk.tick()


# --- what was allowed --------------------------------------------------------------------------------------------------


def test_what_was_allowed_is_a_rule_for_the_next_server_and_no_wider(
    claim: ledger.Claim, session: Session, asked: Request, alice: User
) -> None:
    claim.rest()
    assert permissions.granted(session) == {}
    asked.give_answer(YES, by=alice)
    once = {"bash": {"rm ?.log": "allow"}}  # `*` would be a pattern, and `?` is one letter only
    assert permissions.granted(session) == once
    asked.delivered(Request.Delivery.PROMPT)
    assert permissions.granted(session) == once, "until the session ends"
    later = factories.make_session(session.attempt, phase="fix", state="queued") if _end(session) else session
    assert permissions.granted(later) == {}


def _end(session: Session) -> bool:
    return bool(Session.objects.filter(pk=session.pk).update(state="completed"))


def test_what_opencode_heard_itself_was_used_up_there(session: Session, asked: Request, alice: User) -> None:
    asked.give_answer(YES, by=alice)
    asked.delivered(Request.Delivery.REPLY)
    assert permissions.granted(session) == {}


def test_what_was_allowed_lastingly_holds_for_the_attempt(
    session: Session, asked: Request, alice: User
) -> None:
    asked.give_answer({"reply": "always", "message": ""}, by=alice)
    asked.delivered(Request.Delivery.REPLY)
    _end(session)
    fix = factories.make_session(session.attempt, phase="fix")
    assert permissions.granted(fix) == {"bash": {"rm *": "allow"}}
    other = factories.make_session(factories.make_attempt(session.task), phase="fix")
    assert permissions.granted(other) == {}


def test_what_was_allowed_once_unheard_is_not_asked_again_and_holds_once(
    claim: ledger.Claim, session: Session, asked: Request, alice: User
) -> None:
    claim.rest()
    asked.give_answer(YES, by=alice)
    asked.delivered(Request.Delivery.PROMPT)
    again = ledger.claim()
    assert again is not None
    desk = Desk(again, session, client=None)  # type: ignore[arg-type]
    desk.look(wanted("per_8", permission="bash", patterns=("rm *",)))
    desk.look(wanted("per_9", permission="bash", patterns=tuple(LEAVE["patterns"])))
    asked.refresh_from_db()
    assert (asked.opencode_id, asked.state, asked.delivered_at) == ("per_9", "answered", None)
    asked.delivered(Request.Delivery.REPLY)
    desk.look(wanted("per_10", permission="bash", patterns=tuple(LEAVE["patterns"])))
    assert list(session.requests.values_list("opencode_id", "state")) == [
        ("per_9", "answered"),
        ("per_8", "open"),
        ("per_10", "open"),
    ]


# --- what people see -----------------------------------------------------------------------------------------------------


def test_card_and_page_say_what_a_parked_agent_wants(
    client: Client, claim: ledger.Claim, session: Session, asked: Request, alice: User
) -> None:
    change = {"diff": "-old\n+new <b>", "filepath": "/w/notes.txt"}
    factories.make_request(
        session, body={"permission": "edit", "patterns": ["notes.txt"], "metadata": change}
    )
    reading = {"tool": "bash", "input": {"command": "cat /etc/hosts"}}
    outside = {"permission": "external_directory", "patterns": ["/etc/*"], "call": reading}
    factories.make_request(session, body=outside | {"session_id": "ses_2"})
    claim.rest()
    client.force_login(alice)
    board = client.get(f"/projects/{session.task.project.key}/").content.decode()
    assert "card--calls" in board
    assert "rm *.log" in board
    page = client.get(f"/tasks/{session.task.pk}/").content.decode()
    for words in (
        "rm *.log",
        "-old\n+new &lt;b&gt;",
        "/w/notes.txt",
        "cat /etc/hosts",
        "A sub-agent asks leave",
    ):
        assert words in page, words
    assert "The agent is stopped until you answer" in page


def test_the_second_answer_hears_what_the_first_one_was(
    claim: ledger.Claim, asked: Request, alice: User, bob: User
) -> None:
    asked.give_answer(YES, by=bob)
    late = Script(alice).send("post", f"/api/requests/{asked.pk}/answer", {"reply": "reject"})
    assert late.status_code == 409
    assert late.json()["answered_by"] == bob.pk
    assert late.json()["answer"] == YES
    assert "by bob" in late.json()["message"]


def test_a_persons_time_counts_for_no_deadline() -> None:
    waiting = Question("que_1", "ses_1", [{"question": "Which?"}])
    silent: Any = None  # nothing is asked of OpenCode here
    deaf: Any = lambda *_: None  # noqa: E731
    follower = Follower(silent, silent, Transcript("ses_1", "msg_1"), *[deaf] * 4, Limits(total_seconds=60))
    for questions, outcome in (([waiting], None), ([], Reason.DEADLINE)):
        follower.status = Status(questions=questions)
        follower.started_at -= 100
        follower.judged_at -= 100
        overdue = follower._overdue()
        assert (overdue.reason if overdue else None) == outcome
    follower.close()
