"""An archived project is out of the lists, can be read, and is changed by nothing until it is restored."""

from typing import Any

import pytest
from django.test import Client

from sessions import ledger
from sessions.models import Attempt
from studio.errors import Conflict
from studio.roles import Role
from tasks.models import Event, Membership, Project, Task
from tests import factories
from tests.scripts import Script, assert_error

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def maintainer(project: Project, alice: Any) -> Any:
    """Alice, as one of the project's maintainers."""
    Membership.objects.filter(project=project, user=alice).update(role=Role.MAINTAINER)
    return alice


@pytest.fixture
def archived(project: Project, maintainer: Any) -> Project:
    """The project, archived by alice."""
    project.archive(by=maintainer)
    return project


def test_an_archived_project_leaves_the_lists_and_the_menu(
    archived: Project, client: Client, bob: Any
) -> None:
    client.force_login(bob)
    other = factories.make_project(key="OTHER", name="the other one")
    assert client.get("/")["Location"] == f"/projects/{other.key}/"
    page = client.get(f"/projects/{other.key}/").content.decode()
    assert f'href="/projects/{archived.key}/"' not in page
    assert "1 archived" in client.get("/projects/").content.decode()
    listed = [each["key"] for each in Script(bob).get("/api/projects").json()["items"]]
    kept = [each["key"] for each in Script(bob).get("/api/projects?archived=true").json()["items"]]
    assert (listed, kept) == (["OTHER"], ["DEMO"])


def test_an_archived_project_can_be_read(archived: Project) -> None:
    reader = Client()
    reader.force_login(factories.make_user("bob"))
    board = reader.get(f"/projects/{archived.key}/")
    assert board.status_code == 200
    assert "is archived" in board.content.decode()


def test_whoever_maintains_it_is_shown_how_to_restore_it(archived: Project, client: Client, bob: Any) -> None:
    for person, count in ((bob, 0), (factories.make_user("alice"), 1)):
        client.force_login(person)
        page = client.get(f"/projects/{archived.key}/").content.decode()
        assert page.count(f"/projects/{archived.key}/restore/") == count


CHANGES = {
    "execute": ("post", "/api/tasks/{task}/execute", None),
    "change": ("patch", "/api/tasks/{task}", {"title": "New"}),
    "cancel": ("post", "/api/tasks/{task}/cancel", None),
    "delete": ("delete", "/api/tasks/{task}", None),
    "file": ("post", "/api/tasks", {"project": 0, "title": "Another"}),
    "settings": ("patch", "/api/projects/{project}", {"name": "New"}),
    "pause": ("post", "/api/projects/{project}/pause", None),
    "AGENTS.md": ("post", "/api/projects/{project}/agents-file", None),
    "instructions": ("put", "/api/projects/{project}/instructions", {"text": "New", "base": 0}),
    "archive": ("post", "/api/projects/{project}/archive", None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_changes_in_an_archived_project(
    project: Project, task: Task, maintainer: Any, change: str
) -> None:
    project.archive(by=maintainer)
    method, address, body = CHANGES[change]
    if body and "project" in body:
        body = body | {"project": project.pk}
    address = address.format(task=task.pk, project=project.pk)
    before = Event.objects.count()
    assert_error(Script(maintainer).send(method, address, body), 409, "archived")
    assert Event.objects.count() == before


def test_a_verb_that_began_before_it_was_archived_starts_nothing(
    project: Project, task: Task, maintainer: Any
) -> None:
    waiting = factories.make_task(project, status="planning_review")
    factories.make_plan(waiting)
    factories.make_attempt(waiting)
    project.archive(by=maintainer)
    for start in (task.execute, waiting.approve_plan, lambda by: Task.file(project, title="Late", by=by)):
        with pytest.raises(Conflict) as refused:
            start(by=maintainer)  # `project` of these was read before
        assert refused.value.code == "archived"
    assert project.tasks.count() == 2


def test_no_worker_claims_in_an_archived_project(project: Project, task: Task) -> None:
    task.execute()
    Project.objects.filter(pk=project.pk).update(archived_at=task.created_at)
    assert ledger.claim() is None
    project.refresh_from_db()
    project.restore(by=None)
    assert isinstance(ledger.claim(), ledger.Claim)


def test_what_runs_is_named_and_has_to_end_first(
    project: Project, task: Task, maintainer: Any, client: Client
) -> None:
    task.execute()
    refused = assert_error(
        Script(maintainer).send("post", f"/api/projects/{project.pk}/archive"), 409, "running"
    )
    assert refused["tasks"] == [task.key]
    client.force_login(maintainer)
    page = client.get(f"/projects/{project.key}/archive/").content.decode()
    assert task.key in page
    assert "Archive project" not in page
    assert client.post(f"/projects/{project.key}/archive/").status_code == 409
    task.cancel(by=maintainer)
    assert "Archive project" in client.get(f"/projects/{project.key}/archive/").content.decode()
    assert client.post(f"/projects/{project.key}/archive/")["Location"] == "/projects/"
    project.refresh_from_db()
    assert project.archived_at is not None


def test_a_restored_project_is_as_it_was(archived: Project, maintainer: Any) -> None:
    script = Script(maintainer)
    assert script.send("post", f"/api/projects/{archived.pk}/restore").json()["archived_at"] is None
    assert_error(script.send("post", f"/api/projects/{archived.pk}/restore"), 409, "not_archived")
    filed = script.send("post", "/api/tasks", {"project": archived.pk, "title": "Again"})
    assert script.send("post", f"/api/tasks/{filed.json()['id']}/execute").status_code == 202
    assert Attempt.objects.count() == 1
    names = Event.objects.filter(name__startswith="project.").values_list("name", flat=True)
    assert list(names) == ["project.archived", "project.restored"]


def test_members_archive_and_restore_nothing(project: Project, alice: Any, client: Client) -> None:
    for verb in ("archive", "restore"):
        assert_error(Script(alice).send("post", f"/api/projects/{project.pk}/{verb}"), 403)
        client.force_login(alice)
        assert client.post(f"/projects/{project.key}/{verb}/").status_code == 403
