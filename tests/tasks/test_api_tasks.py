"""Tasks at the API's door: filing, reading, changing, and the verbs that start nothing."""

from typing import Any

import pytest

from studio.roles import Role
from tasks.lifecycle import Status
from tasks.models import Membership, Task
from tests import factories
from tests.scripts import Script, assert_error, assert_field

VERBS = ["cancel", "back-to-todo", "reopen", "mark-done"]


def path(task: Task, *parts: str) -> str:
    return "/".join(["/api/tasks", str(task.pk), *parts])


# --- filing ---------------------------------------------------------------------------------------------------------


def test_a_task_is_filed(script: Script, project: Any, alice: Any) -> None:
    body = {
        "project": project.pk,
        "title": "  Say\n hello ",
        "description": "Once.",
        "policies": {"planning": False},
    }
    reply = script.send("post", "/api/tasks", body)
    assert reply.status_code == 201
    shown = reply.json()
    assert (shown["key"], shown["title"], shown["status"]) == ("DEMO-1", "Say hello", "todo")
    assert (shown["project"], shown["created_by"], shown["policies"]) == (
        project.pk,
        alice.pk,
        {"planning": False},
    )
    assert script.get(f"/api/tasks/{shown['id']}").json() == shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", ""),
        ("title", " \n"),
        ("title", "x" * 201),
        ("title", None),
        ("title", "a\x00b"),
        ("title", "\ud83d"),
        ("description", "x" * 100_001),
        ("description", "x" * 2_000_000),
        ("description", "\x00"),
        ("description", "half \ud83d"),
        ("project", 999_999),
        ("project", 10**30),
        ("project", "DEMO"),
        ("policies", {"max_fix_rounds": -1}),
        ("policies", {"speed": 1}),
        ("status", "done"),
    ],
)
def test_wrong_input_is_422_and_files_nothing(script: Script, project: Any, name: str, value: Any) -> None:
    body = {"project": project.pk, "title": "Say hello"} | {name: value}
    fields = assert_error(script.send("post", "/api/tasks", body), 422)["fields"]
    assert [field.split(".")[0] for field in fields] == [name]
    assert not Task.objects.exists()


def test_a_task_without_a_title_is_422(script: Script, project: Any) -> None:
    assert_field(script.send("post", "/api/tasks", {"project": project.pk}), "title")


def test_a_viewer_files_none_and_a_stranger_sees_no_project(project: Any, bob: Any, charlie: Any) -> None:
    body = {"project": project.pk, "title": "Say hello"}
    assert_error(Script(bob).send("post", "/api/tasks", body), 403)
    assert_field(Script(charlie).send("post", "/api/tasks", body), "project")
    assert not Task.objects.exists()


# --- reading --------------------------------------------------------------------------------------------------------


def test_tasks_are_found_by_project_state_and_words(script: Script, project: Any, admin: Any) -> None:
    hello = factories.make_task(project, title="Say hello", status="review")
    other = factories.make_task(project, title="Be quiet", description="no HELLO here")
    factories.make_task(factories.make_project(roles={}), title="hello elsewhere")

    def found(query: str) -> list[int]:
        return [item["id"] for item in script.get(f"/api/tasks?{query}").json()["items"]]

    assert found("") == [other.pk, hello.pk]
    assert found("status=review") == [hello.pk]
    assert found("q=hello") == [other.pk, hello.pk]
    assert found("q=demo-2") == [other.pk]
    assert found(f"project={project.pk}&q=quiet") == [other.pk]
    assert found("project=999999") == []
    assert found("q=%25") == []
    assert len(Script(admin).get("/api/tasks?q=hello").json()["items"]) == 3


def test_a_list_takes_the_same_queries_however_long(
    script: Script, project: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        factories.make_task(project)
    script.get("/api/tasks")  # the first call notes that the token was used
    with django_assert_max_num_queries(3):
        assert len(script.get("/api/tasks").json()["items"]) == 20


def test_a_viewer_reads_everything_of_a_task(task: Task, bob: Any) -> None:
    for part in ("", "/findings", "/comments", "/events", "/sessions", "/execution"):
        assert Script(bob).get(path(task) + part).status_code == 200, part


def test_a_stranger_finds_nothing_of_a_task(task: Task, charlie: Any) -> None:
    script = Script(charlie)
    for part in ("", "/plan", "/findings", "/comments", "/events", "/sessions", "/execution", "/diff"):
        assert_error(script.get(path(task) + part), 404)
    for verb in [*VERBS, "execute", "retry", "approve-plan", "merge"]:
        assert_error(script.post(path(task, verb)), 404)
    assert script.get("/api/tasks").json()["items"] == []


# --- changing -------------------------------------------------------------------------------------------------------


def test_a_task_is_changed_where_something_is_said(script: Script, task: Task) -> None:
    reply = script.send("patch", path(task), {"title": "Say goodbye"})
    assert reply.status_code == 200
    assert (reply.json()["title"], reply.json()["description"]) == ("Say goodbye", task.description)
    assert script.get(path(task, "events")).json()["items"][-1]["name"] == "task.updated"
    assert script.send("patch", path(task), {}).json()["title"] == "Say goodbye"


@pytest.mark.parametrize(
    ("name", "value"), [("title", " "), ("title", None), ("status", "done"), ("number", 7)]
)
def test_a_wrong_change_is_422_and_changes_nothing(script: Script, task: Task, name: str, value: Any) -> None:
    assert_field(script.send("patch", path(task), {"description": "New", name: value}), name)
    task.refresh_from_db()
    assert task.description == ""


def test_a_viewer_changes_nothing(task: Task, bob: Any) -> None:
    script = Script(bob)
    assert_error(script.send("patch", path(task), {"title": "Mine"}), 403)
    assert_error(script.delete(path(task)), 403)
    assert_error(script.send("put", path(task, "plan"), {"body": "Mine"}), 403)
    assert_error(script.send("post", path(task, "comments"), {"body": "Mine"}), 403)
    for verb in VERBS:
        assert_error(script.post(path(task, verb)), 403)


def test_a_maintainer_deletes_a_task_that_does_not_run(task: Task, alice: Any) -> None:
    script = Script(alice)
    assert_error(script.delete(path(task)), 403)
    Membership.objects.filter(user=alice).update(role=Role.MAINTAINER)
    session = factories.make_session(factories.make_attempt(task))
    assert_error(script.delete(path(task)), 409, "running")
    session.end("completed")
    task.attempts.update(lease="claimed")  # as while it is merged
    assert_error(script.delete(path(task)), 409, "running")
    task.attempts.update(lease="idle")
    assert script.delete(path(task)).status_code == 204
    assert_error(script.get(path(task)), 404)
    assert task.project.events.get(name="task.deleted").data == {"key": "DEMO-1", "title": "Say hello"}


# --- verbs ----------------------------------------------------------------------------------------------------------


def test_cancel_ends_a_task_that_does_not_run(script: Script, task: Task) -> None:
    reply = script.post(path(task, "cancel"))
    assert (reply.status_code, reply.json()["status"]) == (200, "cancelled")
    assert_error(script.post(path(task, "cancel")), 409, "conflict")


@pytest.mark.parametrize("verb", ["cancel", "back-to-todo"])
def test_an_agent_that_runs_is_being_stopped(script: Script, project: Any, verb: str) -> None:
    task = factories.make_task(project, status="planning")
    factories.make_session(factories.make_attempt(task, lease="claimed", owner="worker"))
    reply = script.post(path(task, verb))
    assert (reply.status_code, reply.json()["status"]) == (202, "stopping")
    assert script.get(path(task)).json()["status"] == "planning"
    assert script.get(path(task, "execution")).json()["stopping"] is True


def test_back_to_todo_keeps_the_attempt(script: Script, project: Any) -> None:
    task = factories.make_task(project, status="review")
    attempt = factories.make_attempt(task)
    reply = script.post(path(task, "back-to-todo"))
    assert (reply.status_code, reply.json()["status"]) == (200, "todo")
    assert task.current_attempt == attempt
    assert_error(script.post(path(task, "back-to-todo")), 409)


def test_reopen_and_mark_done_go_where_the_lifecycle_says(script: Script, project: Any) -> None:
    task = factories.make_task(project, status="review")
    factories.make_attempt(task)
    assert script.post(path(task, "mark-done")).json()["status"] == "done"
    assert_error(script.post(path(task, "mark-done")), 409)
    assert script.post(path(task, "reopen")).json()["status"] == "todo"
    assert assert_error(script.post(path(task, "reopen")), 409)["status_now"] == Status.TODO


# --- plan, findings, comments, events -------------------------------------------------------------------------------


def test_a_task_without_a_plan_says_so(script: Script, task: Task) -> None:
    assert "no plan" in assert_error(script.get(path(task, "plan")), 404, "no_plan")["message"]
    assert_error(script.send("put", path(task, "plan"), {"body": "1. Do it"}), 409)


def test_the_newest_plan_is_shown_and_can_be_written_anew(script: Script, project: Any, alice: Any) -> None:
    task = factories.make_task(project, status="planning_review")
    factories.make_plan(task, "Old")
    factories.make_plan(task, "Newer")
    assert script.get(path(task, "plan")).json()["body"] == "Newer"
    reply = script.send("put", path(task, "plan"), {"body": "Mine"})
    assert (reply.status_code, reply.json()["version"], reply.json()["by"]) == (200, 3, alice.pk)
    for body in ({}, {"body": " "}, {"body": "x" * 100_001}, {"body": "\x00"}):
        assert_field(script.send("put", path(task, "plan"), body), "body")


def test_findings_are_listed(script: Script, task: Task) -> None:
    session = factories.make_session(factories.make_attempt(task), phase="review")
    finding = factories.make_finding(session, path="a.py", line=3)
    (shown,) = script.get(path(task, "findings")).json()["items"]
    assert (shown["id"], shown["session"], shown["line"]) == (finding.pk, session.pk, 3)


def test_a_comment_is_written_once(script: Script, task: Task, alice: Any) -> None:
    body = {"body": "Why?", "path": "a.py", "line": 3, "end_line": 5}
    first = script.send("post", path(task, "comments"), body, key="why")
    again = script.send("post", path(task, "comments"), body, key="why")
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert first.status_code == 201
    (shown,) = script.get(path(task, "comments")).json()["items"]
    assert (shown["by"], shown["path"], shown["end_line"]) == (alice.pk, "a.py", 5)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"body": " "}, "body"),
        ({"body": "Why?", "line": 3}, "path"),
        ({"body": "Why?", "path": "a.py", "line": 0}, "line"),
        ({"body": "Why?", "path": "a.py", "line": 10**12}, "line"),
        ({"body": "Why?", "path": "a.py", "line": 5, "end_line": 4}, "end_line"),
        ({"body": "Why?", "path": "a.py", "end_line": 4}, "end_line"),
    ],
)
def test_a_wrong_comment_is_422(script: Script, task: Task, body: dict[str, Any], field: str) -> None:
    assert_field(script.send("post", path(task, "comments"), body), field)
    assert not task.comments.exists()


def test_events_follow_a_cursor(script: Script, task: Task) -> None:
    for number in range(3):
        task.note("task.updated", n=number)
    first = script.get(path(task, "events") + "?limit=2").json()
    assert [event["name"] for event in first["items"]] == ["task.created", "task.updated"]
    rest = script.get(path(task, "events") + f"?after={first['next']}").json()
    assert [event["data"]["n"] for event in rest["items"]] == [1, 2]
    assert rest["next"] is None
