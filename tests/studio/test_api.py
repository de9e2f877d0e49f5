"""The frame of the API: who may call it, one shape for every error, and the description of itself."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from studio.models import ApiToken
from tests.factories import PASSWORD, make_task
from tests.scripts import Script, assert_error


@pytest.fixture
def script(alice: Any) -> Script:
    """A script of alice's."""
    return Script(alice)


@pytest.fixture
def reader(alice: Any) -> Script:
    """A script of alice's whose token may only read."""
    return Script(alice, scope="read")


def test_a_call_without_token_or_cookie_is_401(client: Client, task: Any) -> None:
    for method in (client.get, client.post):
        reply = method("/api/tasks")
        assert_error(reply, 401, "not_signed_in")
        assert reply["WWW-Authenticate"].startswith("Bearer")


def test_a_token_opens_the_api(script: Client, task: Any) -> None:
    assert script.get("/api/tasks").json()["items"][0]["key"] == "DEMO-1"


@pytest.mark.parametrize(
    "text", ["Bearer studio_wrong", "Bearer ", "Bearer", "Bearer \udcff", "bearer x y z"]
)
def test_a_wrong_token_is_401_even_for_somebody_signed_in(client: Client, alice: Any, text: str) -> None:
    client.force_login(alice)
    headers = {"HTTP_AUTHORIZATION": text}
    assert_error(client.get("/api/tasks", **headers), 401)


def test_an_expired_token_is_401(client: Client, alice: Any) -> None:
    token = ApiToken.issue(alice)
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert_error(client.get("/api/tasks", headers={"authorization": f"Bearer {token}"}), 401)


def test_the_token_of_somebody_inactive_is_401(script: Client, alice: Any) -> None:
    alice.is_active = False
    alice.save()
    assert_error(script.get("/api/tasks"), 401)


def test_a_token_to_read_reads_and_changes_nothing(reader: Client, task: Any) -> None:
    assert reader.get("/api/tasks").status_code == 200
    assert_error(reader.post(f"/api/tasks/{task.pk}/execute"), 403, "read_only_token")
    assert_error(reader.delete(f"/api/tasks/{task.pk}"), 403, "read_only_token")


def test_the_cookie_reads_and_changes_only_with_the_csrf_token(alice: Any, task: Any) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.login(username="alice", password=PASSWORD)
    assert browser.get("/api/tasks").status_code == 200
    assert_error(browser.post(f"/api/tasks/{task.pk}/execute"), 403, "csrf")
    secret = "a" * 32
    browser.cookies[settings.CSRF_COOKIE_NAME] = secret
    reply = browser.post(f"/api/tasks/{task.pk}/execute", headers={"x-csrftoken": secret})
    assert reply.status_code == 202


def test_a_script_with_a_token_needs_no_csrf_token(alice: Any, task: Any) -> None:
    script = Script(alice)
    script.handler.enforce_csrf_checks = True
    assert script.post(f"/api/tasks/{task.pk}/execute").status_code == 202


@pytest.mark.parametrize(
    "path",
    [
        "/api/nothing",
        "/api/tasks/",
        "/api/tasks/abc",
        "/api/tasks/-1",
        "/api/tasks/1/fly",
        "/api/%00",
        "/api/🐛",
    ],
)
def test_an_unknown_address_is_404_in_the_shape(script: Client, path: str) -> None:
    assert_error(script.get(path), 404, "not_found")
    assert_error(script.post(path), 404, "not_found")


@pytest.mark.parametrize("number", [0, 999_999, 2**63, 10**30, "9" * 5000])
@pytest.mark.parametrize(
    "path", ["tasks/{}", "tasks/{}/plan", "projects/{}", "sessions/{}", "sessions/{}/activity"]
)
def test_an_unknown_id_is_404_however_large(script: Client, path: str, number: Any) -> None:
    assert_error(script.get("/api/" + path.format(number)), 404, "not_found")


def test_a_wrong_method_is_405_and_says_which_are_right(script: Client, task: Any) -> None:
    reply = script.put(f"/api/tasks/{task.pk}")
    assert_error(reply, 405, "method_not_allowed")
    assert reply["Allow"] == "DELETE, GET, PATCH"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'{"title": NaN}',
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"project": ' + b"9" * 6000 + b"}",
    ],
)
def test_a_body_that_is_no_json_is_400(script: Client, project: Any, body: bytes) -> None:
    assert_error(script.post("/api/tasks", body, content_type="application/json"), 400, "bad_request")


def test_a_body_beyond_the_limit_is_413(script: Client, project: Any) -> None:
    body = {"project": project.pk, "title": "Large", "description": "x" * 3_000_000}
    assert_error(script.post("/api/tasks", body, content_type="application/json"), 413, "too_large")
    keyed = script.post(
        f"/api/tasks/{make_task(project).pk}/execute",
        body,
        content_type="application/json",
        headers={"idempotency-key": "large"},
    )
    assert_error(keyed, 413, "too_large")


@pytest.mark.parametrize(
    "body", [[], "text", 7, None, {}, {"title": []}, {"title": {"a": 1}, "project": "x"}]
)
def test_a_body_of_the_wrong_kind_is_422_with_fields(script: Client, project: Any, body: Any) -> None:
    reply = script.post("/api/tasks", json.dumps(body), content_type="application/json")
    assert assert_error(reply, 422, "invalid")["fields"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=9999",
        "limit=x",
        "cursor=-1",
        f"cursor={10**30}",
        "status=flying",
        "project=0",
        "q=%00",
    ],
)
def test_a_wrong_query_is_422_and_names_the_parameter(script: Client, project: Any, query: str) -> None:
    fields = assert_error(script.get(f"/api/tasks?{query}"), 422, "invalid")["fields"]
    assert list(fields) == [query.split("=")[0]]


def test_a_defect_of_ours_keeps_the_shape(
    script: Client, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("tasks.schemas.show_project", broken)
    script.raise_request_exception = False
    reply = script.get("/api/projects")
    assert_error(reply, 500, "defect")
    assert b"secret" not in reply.content


def test_every_list_ends_and_its_cursor_leads_through_it(script: Client, project: Any) -> None:
    filed = [make_task(project).pk for _ in range(5)]
    seen: list[int] = []
    cursor = ""
    while cursor is not None:
        part = script.get(f"/api/tasks?limit=2&cursor={cursor or 0}").json()
        seen += [item["id"] for item in part["items"]]
        cursor = part["next"]
    assert seen == filed[::-1]


# --- its description of itself -------------------------------------------------------------------------------------


def test_the_schema_is_there_without_login_and_whole(client: Client, db: None) -> None:
    schema = client.get("/api/openapi.json").json()
    assert schema["openapi"].startswith("3.")
    known = schema["components"]["schemas"]
    for reference in _references(schema):
        assert reference.removeprefix("#/components/schemas/") in known
    names = [operation["operationId"] for _, _, operation in operations(schema)]
    assert len(names) == len(set(names))


def test_every_operation_is_described(client: Client, db: None) -> None:
    for path, method, operation in operations(client.get("/api/openapi.json").json()):
        assert operation["summary"], (path, method)
        assert operation.get("description", "").strip().endswith("."), (path, method)
        assert {"401", "403", "404", "422"} <= operation["responses"].keys(), (path, method)


def test_the_page_of_the_docs_loads_nothing_from_elsewhere(client: Client, db: None) -> None:
    page = client.get("/api/docs").content.decode()
    assert "http://" not in page
    assert "https://" not in page
    assert "<script>" not in page
    assert "/static/ninja/swagger-ui-bundle.js" in page
    assert finders.find("ninja/swagger-ui-bundle.js")
    assert client.get("/api/").headers["Location"] == "/api/docs"


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def _references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [name for value in part.values() for name in _references(value)]
    return [name for value in part for name in _references(value)] if isinstance(part, list) else []


# --- health --------------------------------------------------------------------------------------------------------


def test_health_is_told_without_login_and_without_the_database(client: Client) -> None:
    reply = client.get("/healthz")
    assert reply.status_code == 200
    assert reply.json()["status"] == "ok"
    assert reply.json()["version"]


def test_ready_means_that_the_database_has_every_migration(client: Client, db: None) -> None:
    ready = client.get("/readyz").json()
    assert ready["status"] == "ready"
    assert (
        connection.vendor != "sqlite" or ready["database"] == f"SQLite {connection.Database.sqlite_version}"
    )


@pytest.mark.django_db(transaction=True)
def test_a_missing_migration_is_not_ready(client: Client) -> None:
    call_command("migrate", "agent_sessions", "zero", fake=True, verbosity=0, skip_checks=True)
    try:
        assert_error(client.get("/readyz"), 503, "not_ready")
    finally:
        call_command("migrate", fake=True, verbosity=0, skip_checks=True)
