"""A project's AGENTS.md, by page and API: whether the target branch has one, and the task that writes it."""

from pathlib import Path
from typing import Any

import pytest

from tasks.models import Project, Task
from tests import factories
from tests.factories import git
from tests.scripts import Script, assert_error

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(alice: Any, bob: Any, tmp_path: Path) -> Project:
    return factories.make_project(factories.make_repository(tmp_path / "shop"))


def commit(project: Project, text: str) -> None:
    (Path(project.path) / "AGENTS.md").write_text(text)
    git(Path(project.path), "add", "AGENTS.md")
    git(Path(project.path), "commit", "-qm", "Tell agents")


def test_the_page_says_that_there_is_none_and_files_a_task_once(
    project: Project, client: Any, alice: Any
) -> None:
    client.force_login(alice)
    address = f"/projects/{project.key}/agents-file/"
    assert "has no AGENTS.md" in client.get(address).content.decode()
    first = client.post(f"{address}write/")
    task = Task.objects.get()
    assert first["Location"] == task.get_absolute_url() == client.post(f"{address}write/")["Location"]
    assert (task.title, task.status, task.created_by) == ("Write AGENTS.md", "todo", alice)
    page = client.get(address).content.decode()
    assert task.key in page
    assert "File a task" not in page


def test_what_is_committed_is_shown_and_not_what_lies_in_the_folder(
    project: Project, client: Any, alice: Any
) -> None:
    client.force_login(alice)
    (Path(project.path) / "AGENTS.md").write_text("not committed")
    assert "has no AGENTS.md" in client.get(f"/projects/{project.key}/agents-file/").content.decode()
    commit(project, "Run <make> test.\n")
    page = client.get(f"/projects/{project.key}/agents-file/").content.decode()
    assert "Run &lt;make&gt; test." in page
    assert "not committed" not in page
    client.post(f"/projects/{project.key}/agents-file/write/")
    assert Task.objects.get().title == "Bring AGENTS.md up to date"


def test_a_link_in_its_place_does_not_count(project: Project, alice: Any) -> None:
    (Path(project.path) / "AGENTS.md").symlink_to("/etc/hostname")
    git(Path(project.path), "add", "AGENTS.md")
    git(Path(project.path), "commit", "-qm", "Lead astray")
    told = Script(alice).get(f"/api/projects/{project.pk}/agents-file").json()
    assert (told["exists"], told["text"]) == (False, "")


def test_scripts_see_its_beginning_and_file_the_task(project: Project, alice: Any) -> None:
    commit(project, "x" * 60_000)
    script = Script(alice)
    told = script.get(f"/api/projects/{project.pk}/agents-file").json()
    assert (told["exists"], len(told["text"]), told["is_cut"], told["task_id"]) == (True, 50_000, True, None)
    filed = script.post(f"/api/projects/{project.pk}/agents-file")
    assert filed.status_code == 201
    told = script.get(f"/api/projects/{project.pk}/agents-file").json()
    assert told["task_id"] == filed.json()["id"]


def test_viewers_look_and_file_nothing_and_strangers_see_nothing(
    project: Project, bob: Any, django_user_model: Any
) -> None:
    address = f"/api/projects/{project.pk}/agents-file"
    assert Script(bob).get(address).status_code == 200
    assert_error(Script(bob).post(address), 403)
    carol = django_user_model.objects.create_user("carol")
    assert_error(Script(carol).get(address), 404)
    assert not Task.objects.exists()


def test_a_repository_that_is_gone_is_said(project: Project, client: Any, alice: Any) -> None:
    Path(project.path).rename(Path(project.path).with_name("away"))
    client.force_login(alice)
    page = client.get(f"/projects/{project.key}/agents-file/")
    assert page.status_code == 200
    assert "File a task" not in page.content.decode()
    assert_error(Script(alice).post(f"/api/projects/{project.pk}/agents-file"), 422)
