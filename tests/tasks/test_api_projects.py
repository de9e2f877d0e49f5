"""Projects at the API's door."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from studio.errors import Invalid
from studio.roles import Role
from tasks import repositories
from tasks.models import Event, Membership, Project
from tests.scripts import Script, assert_error, assert_field


def new(**fields: Any) -> dict[str, Any]:
    return {"key": "NEW", "name": "New", "path": "/srv/new", **fields}


@pytest.fixture
def maintainer(project: Project, alice: Any) -> Script:
    """Alice's script, alice being a maintainer."""
    Membership.objects.filter(project=project, user=alice).update(role=Role.MAINTAINER)
    return Script(alice)


def test_projects_are_listed_to_who_is_in_them(project: Project, bob: Any, charlie: Any, admin: Any) -> None:
    for person, count in ((bob, 1), (charlie, 0), (admin, 1)):
        assert len(Script(person).get("/api/projects").json()["items"]) == count


def test_a_project_is_shown(project: Project, bob: Any) -> None:
    shown = Script(bob).get(f"/api/projects/{project.pk}").json()
    assert (shown["key"], shown["planning"], shown["max_fix_rounds"]) == ("DEMO", True, 3)


def test_a_project_is_not_there_for_a_stranger(project: Project, charlie: Any) -> None:
    for method in ("get", "patch", "delete"):
        assert_error(Script(charlie).send(method, f"/api/projects/{project.pk}", {}), 404)


def test_staff_add_a_project_of_a_repository(admin: Any, repository: Path) -> None:
    checks = [{"name": "tests", "command": "pytest -q"}]
    reply = Script(admin).send(
        "post", "/api/projects", new(path=str(repository), checks=checks, planning=False)
    )
    assert reply.status_code == 201
    shown = reply.json()
    assert (shown["path"], shown["target_branch"], shown["planning"]) == (str(repository), "main", False)
    assert shown["checks"] == [{"name": "tests", "command": "pytest -q", "timeout": 600, "required": True}]
    project = Project.objects.get(pk=shown["id"])
    assert project.role_of(admin) == Role.ADMIN
    assert Event.objects.get(project=project).name == "project.created"


def test_who_is_no_staff_adds_none(alice: Any, repository: Path) -> None:
    assert_error(Script(alice).send("post", "/api/projects", new(path=str(repository))), 403, "forbidden")
    assert not Project.objects.exists()


def test_a_path_that_cannot_be_worked_on_is_422(admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, target_branch: str = "") -> None:
        raise Invalid(f"{path} does not exist.", fields={"path": f"{path} does not exist."})

    monkeypatch.setattr(repositories, "inspect", refuse)
    assert_field(Script(admin).send("post", "/api/projects", new()), "path")
    assert not Project.objects.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", "lower"),
        ("key", "X"),
        ("key", "TOOLONGAKEY"),
        ("key", "DEMO"),
        ("name", " "),
        ("name", "x" * 101),
        ("path", ""),
        ("path", "/a\x00b"),
        ("max_fix_rounds", 21),
        ("planning", "perhaps"),
        ("colour", "red"),
        ("demo", True),
        ("readable_paths", ["relative"]),
        ("checks", [{"name": "a", "command": "b"}, {"name": "a", "command": "c"}]),
        ("checks", [{"name": "a"}]),
        ("name", "\ud800"),
    ],
)
def test_wrong_input_is_422_and_names_the_field(
    admin: Any, project: Project, repository: Path, name: str, value: Any
) -> None:
    body = new(path=str(repository)) | {name: value}
    fields = assert_error(Script(admin).send("post", "/api/projects", body), 422)["fields"]
    assert [field.split(".")[0] for field in fields] == [name]
    assert Project.objects.count() == 1


def test_agents_are_never_shown_the_data_folder(admin: Any, project: Project) -> None:
    for folder in (settings.STUDIO_HOME, settings.STUDIO_HOME / "demo", settings.STUDIO_HOME.parent):
        reply = Script(admin).send("patch", f"/api/projects/{project.pk}", {"readable_paths": [str(folder)]})
        assert_field(reply, "readable_paths.0")


def test_a_maintainer_changes_settings_and_leaves_the_rest(maintainer: Script, project: Project) -> None:
    reply = maintainer.send("patch", f"/api/projects/{project.pk}", {"ai_review": False, "name": "Renamed"})
    assert reply.status_code == 200
    project.refresh_from_db()
    assert (project.ai_review, project.name, project.planning) == (False, "Renamed", True)
    assert Event.objects.get(name="project.updated").data == {"fields": ["ai_review", "name"]}


@pytest.mark.parametrize("fixed", ["key", "path"])
def test_key_and_path_stay(maintainer: Script, project: Project, fixed: str) -> None:
    assert_field(maintainer.send("patch", f"/api/projects/{project.pk}", {fixed: "OTHER"}), fixed)


def test_a_field_cannot_be_set_to_nothing(maintainer: Script, project: Project) -> None:
    assert_field(maintainer.send("patch", f"/api/projects/{project.pk}", {"name": None}), "name")


def test_only_staff_open_more_of_the_machine(maintainer: Script, project: Project, admin: Any) -> None:
    for change in ({"trusted": True}, {"readable_paths": ["/opt"]}):
        assert_error(maintainer.send("patch", f"/api/projects/{project.pk}", change), 403)
        assert Script(admin).send("patch", f"/api/projects/{project.pk}", change).status_code == 200


def test_members_change_no_project(project: Project, alice: Any, bob: Any) -> None:
    for person in (alice, bob):
        assert_error(Script(person).send("patch", f"/api/projects/{project.pk}", {"name": "Mine"}), 403)
        assert_error(Script(person).delete(f"/api/projects/{project.pk}"), 403)


def test_a_script_gives_a_phase_its_model(maintainer: Script, project: Project) -> None:
    address = f"/api/projects/{project.pk}"
    shown = maintainer.send("patch", address, {"planning_model": "acme/large"}).json()
    assert (shown["planning_model"], shown["fix_model"]) == ("acme/large", "")
    assert_field(maintainer.send("patch", address, {"fix_model": "large"}), "fix_model")
    project.refresh_from_db()
    assert (project.planning_model, project.fix_model) == ("acme/large", "")
