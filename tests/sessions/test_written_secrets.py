"""What people write is stored without the project's secrets, at every door where they write."""

from typing import Any

import pytest
from django.apps import apps

from tests import factories
from tests.scripts import Script
from tests.sessions.test_environment import put

SECRET = "hunter2-hunter2"
SAID = f"Call it with {SECRET}."

DOORS: dict[str, tuple[str, str, str, dict[str, Any]]] = {  # the state; the method, path and body
    "file": ("todo", "post", "tasks", {"title": SAID, "description": SAID}),
    "edit": ("todo", "patch", "tasks/{task}", {"title": SAID, "description": SAID}),
    "write plan": ("planning_review", "put", "tasks/{task}/plan", {"body": SAID, "base": 1}),
    "comment on the plan": ("planning_review", "post", "tasks/{task}/plan/comments", {"line": 1, "body": SAID}),
    "request plan changes": ("planning_review", "post", "tasks/{task}/request-plan-changes", {"comment": SAID}),
    "tick": ("review", "post", "tasks/{task}/criteria", {"criterion": "It says hello", "met": True, "note": SAID}),
    "comment": ("review", "post", "tasks/{task}/comments", {"body": SAID}),
    "request changes": ("review", "post", "tasks/{task}/request-changes", {"comment": SAID}),
    "waive": ("review", "post", "findings/{finding}/waive", {"reason": SAID}),
    "override": ("review", "post", "tasks/{task}/override", {"reason": SAID}),
    "answer": ("in_progress", "post", "requests/{request}/answer", {"reply": "reject", "message": SAID}),
    "pause": ("todo", "post", "projects/{project}/pause", {"reason": SAID}),
    "instruct": ("todo", "put", "projects/{project}/instructions", {"text": SAID, "base": 0}),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_a_secret_that_a_person_writes_is_in_no_row(door: str, project: Any, alice: Any) -> None:
    status, method, path, body = DOORS[door]
    project.memberships.filter(user=alice).update(role="maintainer")
    put(project, "API_TOKEN", SECRET, "agents")
    task = factories.make_task(project, status=status)
    factories.make_plan(task, "## Acceptance criteria\n- It says hello\n")
    attempt = factories.make_attempt(task, head_oid="1" * 40)
    session = factories.make_session(attempt, state="running" if door == "answer" else "completed")
    names = {
        "task": task.pk,
        "project": project.pk,
        "finding": factories.make_finding(session).pk,
        "request": factories.make_request(session).pk if door == "answer" else 0,
    }
    if door == "file":
        body = body | {"project": project.pk}
    reply = Script(alice).send(method, f"/api/{path.format(**names)}", body)
    assert reply.status_code < 300, reply.content
    assert SECRET not in reply.content.decode()
    rows = [str(row) for model in apps.get_models() for row in model._default_manager.values()]
    assert any("[redacted: API_TOKEN]" in row for row in rows)
    assert [row for row in rows if SECRET in row] == []
