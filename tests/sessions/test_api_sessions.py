"""Watching, answering and landing at the API's door."""

from pathlib import Path
from typing import Any

import pytest

from sessions.models import Attempt, Session
from tasks.models import Task
from tests import factories
from tests.scripts import Script, assert_error, assert_field


@pytest.fixture
def script(project: Any, alice: Any) -> Script:
    """A script of alice's, who is a member."""
    return Script(alice)


@pytest.fixture
def session(project: Any) -> Session:
    """A running planning session."""
    task = factories.make_task(project, status="planning")
    return factories.make_session(factories.make_attempt(task, lease="claimed", owner="worker-1"))


# --- execution ------------------------------------------------------------------------------------------------------


def test_execution_says_what_runs(script: Script, session: Session) -> None:
    factories.make_activity(session, text="Looking around")
    shown = script.get(f"/api/tasks/{session.task.pk}/execution").json()
    assert (shown["session_id"], shown["phase"], shown["state"]) == (session.pk, "planning", "running")
    assert (shown["owner"], shown["stopping"], shown["status"]) == ("worker-1", False, "planning")
    assert shown["since"] == session.started_at.isoformat()
    assert shown["last_activity"]["text"] == "Looking around"


def test_execution_is_nulls_while_nothing_runs(script: Script, task: Task, session: Session) -> None:
    shown = script.get(f"/api/tasks/{task.pk}/execution").json()
    assert shown.pop("task_id") == task.pk
    assert shown.pop("status") == "todo"
    assert set(shown.values()) == {None}


def test_execution_tells_why_the_last_session_ended(script: Script, session: Session) -> None:
    session.end("failed", "provider_login", "401 from the provider")
    shown = script.get(f"/api/tasks/{session.task.pk}/execution").json()
    assert shown["session_id"] is None
    last = shown["last_session"]
    assert (last["id"], last["state"], last["reason"]) == (session.pk, "failed", "provider_login")
    assert "key" in last["advice"]


# --- sessions and activity ------------------------------------------------------------------------------------------


def test_sessions_are_listed_and_filtered(script: Script, session: Session, charlie: Any) -> None:
    ended = factories.make_session(
        factories.make_attempt(factories.make_task(session.task.project)),
        phase="fix",
        state="failed",
        reason="stalled",
    )

    def found(query: str) -> list[int]:
        return [item["id"] for item in script.get(f"/api/sessions?{query}").json()["items"]]

    assert found("") == [ended.pk, session.pk]
    assert found("live=true") == found("state=running") == found("phase=planning") == [session.pk]
    assert found("live=false") == found(f"task={ended.task.pk}") == [ended.pk]
    assert Script(charlie).get("/api/sessions").json()["items"] == []
    of_task = script.get(f"/api/tasks/{session.task.pk}/sessions").json()["items"]
    assert [item["id"] for item in of_task] == [session.pk]


def test_a_list_of_sessions_takes_the_same_queries_however_long(
    script: Script, project: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(10):
        factories.make_session(factories.make_attempt(factories.make_task(project)), state="completed")
    script.get("/api/sessions")
    with django_assert_max_num_queries(2):
        assert len(script.get("/api/sessions").json()["items"]) == 10


def test_a_session_is_shown(script: Script, session: Session, charlie: Any) -> None:
    shown = script.get(f"/api/sessions/{session.pk}").json()
    assert (shown["id"], shown["task"], shown["task_key"]) == (session.pk, session.task.pk, "DEMO-1")
    assert (shown["attempt"], shown["attempt_number"], shown["state"]) == (session.attempt_id, 1, "running")
    assert_error(Script(charlie).get(f"/api/sessions/{session.pk}"), 404)


def test_activity_follows_the_revision(script: Script, session: Session, charlie: Any) -> None:
    entries = [factories.make_activity(session, text=str(number)) for number in range(5)]
    address = f"/api/sessions/{session.pk}/activity"
    first = script.get(f"{address}?limit=3").json()
    assert [entry["text"] for entry in first["items"]] == ["0", "1", "2"]
    assert first["next"] == 3
    rest = script.get(f"{address}?after=3").json()
    assert ([entry["text"] for entry in rest["items"]], rest["next"]) == (["3", "4"], None)
    session.activity.filter(pk=entries[0].pk).update(rev=6, text="0, and more")
    (again,) = script.get(f"{address}?after=5").json()["items"]
    assert (again["seq"], again["rev"], again["text"]) == (1, 6, "0, and more")
    assert script.get(f"{address}?after=6").json() == {"items": [], "next": None}
    assert_error(Script(charlie).get(address), 404)


def test_a_page_of_long_entries_is_cut_and_goes_on(script: Script, session: Session) -> None:
    for _ in range(5):
        factories.make_activity(session, text="x" * 900_000, output="y" * 900_000)
    address = f"/api/sessions/{session.pk}/activity"
    seen: list[int] = []
    after = 0
    while after is not None:
        part = script.get(f"{address}?after={after}").json()
        assert len(part["items"]) <= 2
        seen += [entry["rev"] for entry in part["items"]]
        after = part["next"]
    assert seen == [1, 2, 3, 4, 5]


# --- requests -------------------------------------------------------------------------------------------------------


def test_open_requests_are_listed(script: Script, session: Session, charlie: Any) -> None:
    asked = factories.make_request(session)
    factories.make_request(session, state="answered")
    (shown,) = script.get("/api/requests").json()["items"]
    assert (shown["id"], shown["task"], shown["session"]) == (asked.pk, session.task.pk, session.pk)
    assert len(script.get("/api/requests?state=answered").json()["items"]) == 1
    assert Script(charlie).get("/api/requests").json()["items"] == []


@pytest.mark.parametrize(
    ("kind", "body", "kept"),
    [
        ("permission", {"reply": "once"}, {"reply": "once", "message": ""}),
        ("permission", {"reply": "reject", "message": "No."}, {"reply": "reject", "message": "No."}),
        ("question", {"answers": [["Red"]]}, {"answers": [["Red"]]}),
        ("question", {"answers": [["Green, rather"]]}, {"answers": [["Green, rather"]]}),
        ("question", {"reject": True}, {"reject": True}),
    ],
)
def test_the_first_answer_wins(
    script: Script, session: Session, alice: Any, kind: str, body: dict[str, Any], kept: dict[str, Any]
) -> None:
    asked = factories.make_request(session, kind=kind)
    reply = script.send("post", f"/api/requests/{asked.pk}/answer", body)
    assert (reply.status_code, reply.json()["state"], reply.json()["answered_by"]) == (
        200,
        "answered",
        alice.pk,
    )
    assert reply.json()["answer"] == kept
    later = assert_error(
        script.send("post", f"/api/requests/{asked.pk}/answer", body), 409, "answered_already"
    )
    assert "alice" in later["message"]


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("permission", {}, "reply"),
        ("permission", {"reply": "perhaps"}, "reply"),
        ("permission", {"answers": [["Red"]]}, "reply"),
        ("question", {}, "answers"),
        ("question", {"reply": "once"}, "answers"),
        ("question", {"answers": []}, "answers"),
        ("question", {"answers": [["Red"], ["Blue"]]}, "answers"),
        ("question", {"answers": [[]]}, "answers"),
        ("question", {"answers": [[" "]]}, "answers"),
        ("question", {"answers": [["Red"]], "reject": True}, "answers"),
    ],
)
def test_an_answer_that_does_not_fit_is_422(
    script: Script, session: Session, kind: str, body: dict[str, Any], field: str
) -> None:
    asked = factories.make_request(session, kind=kind)
    assert_field(script.send("post", f"/api/requests/{asked.pk}/answer", body), field)
    asked.refresh_from_db()
    assert asked.state == "open"


def test_a_viewer_and_a_stranger_answer_nothing(session: Session, bob: Any, charlie: Any) -> None:
    asked = factories.make_request(session)
    address = f"/api/requests/{asked.pk}/answer"
    assert_error(Script(bob).send("post", address, {"reply": "always"}), 403)
    assert_error(Script(charlie).send("post", address, {"reply": "always"}), 404)


# --- landing --------------------------------------------------------------------------------------------------------


@pytest.fixture
def reviewed(project: Any, repository: Path) -> Attempt:
    """An attempt in review, with one commit on the repository's main."""
    base = factories.git(repository, "rev-parse", "HEAD")
    factories.git(repository, "checkout", "--quiet", "-b", "work")
    (repository / "new.py").write_text("two = 2\n")
    factories.git(repository, "add", "--all")
    factories.git(repository, "commit", "--quiet", "--message", "Two")
    head = factories.git(repository, "rev-parse", "HEAD")
    factories.git(repository, "checkout", "--quiet", "main")
    task = factories.make_task(project, status="review", policies={"checks_required": False})
    return factories.make_attempt(task, base_oid=base, head_oid=head)


def test_the_diff_has_new_files(script: Script, reviewed: Attempt) -> None:
    shown = script.get(f"/api/tasks/{reviewed.task_id}/diff").json()
    assert [(file["path"], file["status"], file["additions"]) for file in shown["files"]] == [
        ("new.py", "added", 1)
    ]
    assert "+two = 2" in shown["patch"]
    assert (shown["base_oid"], shown["head_oid"]) == (reviewed.base_oid, reviewed.head_oid)


def test_a_task_never_started_has_no_diff(script: Script, task: Task) -> None:
    assert_error(script.get(f"/api/tasks/{task.pk}/diff"), 404, "no_attempt")


def test_merge_lands_the_change_and_finishes_the_task(
    script: Script, reviewed: Attempt, repository: Path
) -> None:
    reply = script.post(f"/api/tasks/{reviewed.task_id}/merge")
    assert reply.status_code == 200, reply.content
    assert (reply.json()["status"], reply.json()["branch"]) == ("done", "main")
    assert factories.git(repository, "rev-parse", "main") == reply.json()["oid"]
    assert script.get(f"/api/tasks/{reviewed.task_id}").json()["merged_oid"] == reply.json()["oid"]
    assert_error(script.post(f"/api/tasks/{reviewed.task_id}/merge"), 409)


def test_only_a_task_in_review_is_merged_and_by_no_viewer(script: Script, task: Task, bob: Any) -> None:
    assert_error(script.post(f"/api/tasks/{task.pk}/merge"), 409)
    assert_error(Script(bob).post(f"/api/tasks/{task.pk}/merge"), 403)
