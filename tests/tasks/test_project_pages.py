"""Adding a project, and its settings, in pages."""

import pytest

from studio.errors import Invalid
from tasks import repositories
from tasks.models import Project


def test_a_project_is_added_with_name_key_and_branch_from_its_folder(client, admin, repository):
    client.force_login(admin)
    answer = client.post(
        "/projects/new/", {"path": str(repository), "checks": "tests: pytest -q\nlint (optional): ruff"}
    )
    assert answer["Location"] == "/projects/SAMPLE/"
    project = Project.objects.get()
    assert (project.name, project.key, project.target_branch) == ("sample", "SAMPLE", "main")
    assert [(check["name"], check["command"], check["required"]) for check in project.checks] == [
        ("tests", "pytest -q", True),
        ("lint", "ruff", False),
    ]
    assert project.role_of(admin) == "admin"


def test_a_second_project_of_the_same_name_gets_another_key(client, admin, repository):
    client.force_login(admin)
    for _ in range(2):
        client.post("/projects/new/", {"path": str(repository)})
    assert sorted(Project.objects.values_list("key", flat=True)) == ["SAMPLE", "SAMPLE2"]


def test_a_path_that_studio_cannot_work_on_is_said_at_its_field(client, admin, monkeypatch):
    def refuse(path, branch=""):
        raise Invalid("No.", fields={"path": "There is no folder /nowhere."})

    monkeypatch.setattr(repositories, "inspect", refuse)
    client.force_login(admin)
    answer = client.post("/projects/new/", {"path": "/nowhere"})
    assert answer.status_code == 422
    assert b"There is no folder /nowhere." in answer.content
    assert not Project.objects.exists()


@pytest.mark.parametrize("lines", ["no command", ": pytest", "a: b\na: c"])
def test_checks_that_cannot_be_read_are_said(client, admin, repository, lines):
    client.force_login(admin)
    answer = client.post("/projects/new/", {"path": str(repository), "checks": lines})
    assert answer.status_code == 422
    assert b"field__error" in answer.content


def test_only_staff_add_projects(member, repository):
    member.post("/projects/new/", {"path": str(repository), "key": "MINE"})
    assert not Project.objects.filter(key="MINE").exists()


def test_settings_are_for_maintainers(member, client, project, admin):
    address = f"/projects/{project.key}/settings/"
    assert member.get(address).status_code == 403
    client.force_login(admin)
    data = {
        "name": "New",
        "target_branch": "main",
        "checks": "t: make test",
        "max_fix_rounds": 1,
        "planning": "on",
    }
    assert client.post(address, data)["Location"] == f"/projects/{project.key}/"
    project.refresh_from_db()
    assert (project.name, project.planning, project.ai_review, project.max_fix_rounds) == (
        "New",
        True,
        False,
        1,
    )


def settings_with(project, **fields):
    return {"name": project.name, "target_branch": project.target_branch, "max_fix_rounds": 3, **fields}


def test_each_phase_may_have_its_own_model(client, project, admin):
    client.force_login(admin)
    address = f"/projects/{project.key}/settings/"
    data = settings_with(project, model="acme/large", fix_model="acme/org/small:free")
    assert client.post(address, data).status_code == 302
    project.refresh_from_db()
    assert [project.model_for(phase) for phase in ("planning", "implementation", "review", "fix")] == [
        "acme/large", "acme/large", "acme/large", "acme/org/small:free",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["large", "/large", "acme/", "acme/large model", "acme/large\n"])
def test_what_is_no_model_is_said_at_its_field(client, project, admin, name):
    client.force_login(admin)
    address = f"/projects/{project.key}/settings/"
    answer = client.post(
        address, settings_with(project, review_model=f"{name} x" if name.endswith("\n") else name)
    )
    assert answer.status_code == 422
    assert "provider/model" in answer.content.decode()
    project.refresh_from_db()
    assert project.review_model == ""
