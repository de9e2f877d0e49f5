"""Django admin: everything can be found there, and nothing that happened can be changed."""

import json
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.test import Client
from django.urls import reverse

from sessions.models import (
    Activity,
    Attempt,
    CheckResult,
    FollowUp,
    Pause,
    PullRequest,
    Push,
    Request,
    Session,
)
from studio.errors import Invalid
from studio.models import ApiToken
from tasks import repositories
from tasks.models import (
    Approval,
    Comment,
    Event,
    Finding,
    Instructions,
    Membership,
    Plan,
    Project,
    Remote,
    Task,
)
from tests import factories

SHOWN = [
    Activity,
    Approval,
    Attempt,
    CheckResult,
    Comment,
    Event,
    Finding,
    FollowUp,
    Instructions,
    Pause,
    Plan,
    PullRequest,
    Push,
    Remote,
    Request,
    Session,
]
ALL = [*SHOWN, ApiToken, Membership, Project, Task]


@pytest.fixture
def operator(client: Client, admin: Any) -> Client:
    """A browser of admin's."""
    client.force_login(admin)
    return client


@pytest.fixture
def rows(task: Task, alice: Any) -> dict[Any, Any]:
    """A row of everything."""
    session = factories.make_session(factories.make_attempt(task))
    factories.make_activity(session, text="Hello")
    factories.make_request(session)
    factories.make_follow_up(session.attempt, by=alice)
    factories.make_plan(task)
    Instructions.write(task.project, "Ask first.", base=0, by=alice)
    factories.make_finding(session)
    factories.make_check_result(session)
    task.comments.create(by=alice, body="Why?")
    task.approvals.create(by=alice, oid="a" * 40)
    branch = {"attempt": session.attempt, "remote": "origin", "branch": "studio/DEMO-1-1", "base": "main"}
    task.pushes.create(oid="a" * 40, **branch)
    task.pull_requests.create(oid="a" * 40, place="https://api.github.com/repos/a/b", number=1, **branch)
    place = "https://api.github.com/repos/a/b"
    Remote.put(task.project, by=alice, name="origin", token="a-token-of-the-forge", place=place)
    Pause.begin(task.project, by=alice)
    ApiToken.issue(alice, name="nightly")
    return {model: model.objects.first() for model in ALL}


def address(model: Any, action: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{action}", args=arguments)


@pytest.mark.parametrize("model", ALL)
def test_everything_is_listed_searched_and_shown(operator: Client, rows: dict[Any, Any], model: Any) -> None:
    listed = operator.get(address(model, "changelist"))
    assert listed.status_code == 200
    assert listed.context["cl"].result_count >= 1
    assert operator.get(address(model, "changelist") + "?q=1").status_code == 200
    for choice in listed.context["cl"].filter_specs:
        queries = [entry["query_string"] for entry in choice.choices(listed.context["cl"])]
        assert operator.get(address(model, "changelist") + queries[-1]).status_code == 200
    assert operator.get(address(model, "change", rows[model].pk)).status_code == 200


@pytest.mark.parametrize("model", SHOWN)
def test_what_happened_cannot_be_added_changed_or_deleted(
    operator: Client, rows: dict[Any, Any], model: Any
) -> None:
    assert operator.get(address(model, "add")).status_code == 403
    assert operator.post(address(model, "change", rows[model].pk), {"state": "failed"}).status_code == 403
    assert operator.post(address(model, "delete", rows[model].pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("model", [Attempt, Event, Session, Task])
def test_lists_take_the_same_queries_however_long(
    operator: Client, rows: dict[Any, Any], model: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        factories.make_session(factories.make_attempt(factories.make_task(rows[Project])))
    with django_assert_max_num_queries(16):
        assert operator.get(address(model, "changelist")).status_code == 200


def test_a_tasks_words_are_changed_with_an_event_and_its_state_is_not(operator: Client, task: Task) -> None:
    body = {"title": "Better", "description": "Longer", "status": "done"}
    assert operator.post(address(Task, "change", task.pk), body).status_code == 302
    task.refresh_from_db()
    assert (task.title, task.description, task.status) == ("Better", "Longer", "todo")
    assert task.events.filter(name="task.updated").count() == 1
    assert operator.post(address(Task, "delete", task.pk), {"post": "yes"}).status_code == 403


def project_form(operator: Client, url: str, **changes: Any) -> dict[str, Any]:
    form = operator.get(url).context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    fields = {name: json.dumps(value) if isinstance(value, list) else value for name, value in values.items()}
    inline = {"TOTAL_FORMS": 0, "INITIAL_FORMS": 0}
    body = fields | {f"memberships-{name}": value for name, value in inline.items()} | changes
    return {name: value for name, value in body.items() if value is not None and value is not False}


def test_a_projects_settings_are_changed_with_an_event(operator: Client, project: Project) -> None:
    url = address(Project, "change", project.pk)
    checks = '[{"name": "tests", "command": "pytest -q"}]'
    reply = operator.post(url, project_form(operator, url, checks=checks, key="OTHER"))
    assert reply.status_code == 302, reply.context["errors"]
    project.refresh_from_db()
    assert project.checks == [{"name": "tests", "command": "pytest -q", "timeout": 600, "required": True}]
    assert project.key == "DEMO"
    assert "checks" in Event.objects.get(name="project.updated").data["fields"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("checks", '[{"name": "tests"}]'), ("checks", '{"a": 1}'), ("readable_paths", '["relative"]')],
)
def test_wrong_settings_are_refused(operator: Client, project: Project, field: str, value: str) -> None:
    url = address(Project, "change", project.pk)
    reply = operator.post(url, project_form(operator, url, **{field: value}))
    assert reply.status_code == 200
    assert field in reply.context["adminform"].form.errors


def test_a_project_of_no_repository_is_refused(
    operator: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, target_branch: str = "") -> None:
        raise Invalid("It is no repository.", fields={"path": "It is no repository."})

    monkeypatch.setattr(repositories, "inspect", refuse)
    url = address(Project, "add")
    new = {"key": "NEW", "name": "New", "path": "/srv", "target_branch": "main", "checks": "[]"}
    reply = operator.post(url, project_form(operator, url, **new))
    assert reply.context["adminform"].form.errors["path"] == ["It is no repository."]
    assert not Project.objects.exists()


def test_a_token_is_revoked_and_never_made_or_read_here(operator: Client, rows: dict[Any, Any]) -> None:
    token = rows[ApiToken]
    assert token.digest not in operator.get(address(ApiToken, "change", token.pk)).content.decode()
    assert operator.get(address(ApiToken, "add")).status_code == 403
    assert operator.post(address(ApiToken, "delete", token.pk), {"post": "yes"}).status_code == 302
    assert not ApiToken.objects.exists()


def test_the_token_of_a_remote_is_not_shown(operator: Client, rows: dict[Any, Any]) -> None:
    page = operator.get(address(Remote, "change", rows[Remote].pk)).content.decode()
    assert "origin" in page
    assert rows[Remote].sealed_token not in page
    assert "a-token-of-the-forge" not in page


def test_the_queue_is_not_shown() -> None:
    assert not [model for model in django_admin.site._registry if model._meta.app_label == "django_q"]


def test_members_do_not_get_in(client: Client, alice: Any) -> None:
    client.force_login(alice)
    assert client.get("/admin/").status_code == 302
