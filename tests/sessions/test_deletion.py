"""Deleting a project: what it takes is said first, nothing of the person's repository is touched, and a cut job goes on."""

import hashlib
import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from sessions import cleanup, cloning, deletion, jobs, places, removal
from sessions.hold import held
from sessions.models import Attempt, Clone, Session
from sessions.watch import Watch
from studio.errors import Conflict
from studio.roles import Role
from tasks.models import Event, Membership, Project, Task
from tests import factories
from tests.scripts import Script, assert_error, assert_field

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """Stands for the end of the process at that line."""


@pytest.fixture(autouse=True)
def home(settings: Any, tmp_path: Path) -> Path:
    """A data folder of its own."""
    settings.STUDIO_HOME = tmp_path / "home"
    settings.STUDIO_HOME.mkdir()
    settings.STUDIO_DISK_FLOOR = 0
    settings.STUDIO_CLONE_FILES = True
    return tmp_path / "home"


@pytest.fixture
def owner(project: Project, alice: Any) -> Any:
    """Alice, as the project's admin."""
    Membership.objects.filter(project=project, user=alice).update(role=Role.ADMIN)
    return alice


def put_to_work(project: Project, name: str = "new.txt") -> Attempt:
    """A task in review, with a workspace that has a file nobody else has."""
    made = factories.make_attempt(factories.make_task(project, status="review"))
    factories.make_session(made, state="completed", phase="implementation")
    made.record(base_oid=places.workspace(made).create("main"))
    (places.folder(made) / "workspace" / name).write_text("new\n")
    return Attempt.objects.select_related("task__project").get(pk=made.pk)


def state_of(repository: Path) -> str:
    """A hash of all that is a person's there: their files, the index, HEAD, configuration, branches and tags."""
    parts = [f"{path.relative_to(repository)}".encode() + path.read_bytes() for path in sorted(repository.rglob("*"))
             if path.is_file() and ".git" not in path.relative_to(repository).parts]  # fmt: skip
    parts += [(repository / ".git" / name).read_bytes() for name in ("HEAD", "index", "config")]
    parts += [factories.git(repository, "for-each-ref", "refs/heads", "refs/tags").encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def in_trash(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "trash").glob("*"))


# --- what it takes --------------------------------------------------------------------------------------------------


def test_what_it_takes_is_said_first(project: Project, owner: Any, client: Client) -> None:
    attempt = put_to_work(project)
    factories.make_task(project, status="done")
    said = Script(owner).get(f"/api/projects/{project.pk}/loss").json()
    assert (said["tasks"], said["open_tasks"], said["sessions"], said["workspaces"]) == (2, 1, 1, 1)
    assert (said["unmerged"], said["unread"], said["running"], said["clone"]) == ([attempt.key], [], [], "")
    assert said["bytes"] > 0
    client.force_login(owner)
    page = " ".join(client.get(f"/projects/{project.key}/delete/").content.decode().split())
    for words in ("2 tasks (1 not done)", "1 session ", "1 workspace,", attempt.key, project.path):
        assert words in page
    assert Project.objects.get().deleting_at is None


def test_a_workspace_that_cannot_be_read_is_said_too(project: Project, owner: Any) -> None:
    attempt = put_to_work(project)
    shutil.rmtree(project.path)
    said = Script(owner).get(f"/api/projects/{project.pk}/loss").json()
    assert (said["unmerged"], said["unread"]) == ([], [attempt.key])


# --- who, and when --------------------------------------------------------------------------------------------------


def test_sizes_that_there_is_no_time_to_count_are_said_to_be_the_least(
    project: Project, owner: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_to_work(project)
    client.force_login(owner)
    page = f"/projects/{project.key}/delete/"
    assert "at least" not in client.get(page).content.decode()
    monkeypatch.setattr(deletion, "LOOK_SECONDS", 0)
    said = client.get(page).content.decode()
    assert "at least 0" in said
    assert "1 of them could not be looked at now" in said


def test_its_key_has_to_be_typed(project: Project, owner: Any, client: Client) -> None:
    for wrong in ("", "demo", "OTHER"):
        assert_field(Script(owner).delete(f"/api/projects/{project.pk}?confirm={wrong}"), "confirm")
        client.force_login(owner)
        refused = client.post(f"/projects/{project.key}/delete/", {"confirm": wrong})
        assert refused.status_code == 422
        assert "Type DEMO to confirm" in refused.content.decode()
    assert Project.objects.get().deleting_at is None


def test_only_its_admins_ask_and_delete(project: Project, alice: Any, charlie: Any, client: Client) -> None:
    Membership.objects.filter(project=project, user=alice).update(role=Role.MAINTAINER)
    for person, status in ((alice, 403), (charlie, 404)):
        client.force_login(person)
        assert_error(Script(person).get(f"/api/projects/{project.pk}/loss"), status)
        assert_error(Script(person).delete(f"/api/projects/{project.pk}?confirm=DEMO"), status)
        assert client.post(f"/projects/{project.key}/delete/", {"confirm": "DEMO"}).status_code == status
    assert Project.objects.get().deleting_at is None


def test_what_runs_is_named_and_has_to_end_first(
    project: Project, task: Task, owner: Any, client: Client
) -> None:
    task.execute()
    address = f"/api/projects/{project.pk}"
    assert assert_error(Script(owner).delete(f"{address}?confirm=DEMO"), 409, "running")["tasks"] == [
        task.key
    ]
    assert Script(owner).get(f"{address}/loss").json()["running"] == [task.key]
    client.force_login(owner)
    page = client.get(f"/projects/{project.key}/delete/").content.decode()
    assert task.key in page
    assert "Delete project" not in page
    task.cancel(by=owner)
    assert Script(owner).delete(f"{address}?confirm=DEMO").status_code == 202


def test_nothing_begins_in_a_project_that_is_being_deleted(project: Project, task: Task, owner: Any) -> None:
    script = Script(owner)
    assert script.delete(f"/api/projects/{project.pk}?confirm=DEMO").json()["deleting"] is True
    for method, address, body in (
        ("post", f"/api/tasks/{task.pk}/execute", None),
        ("post", f"/api/projects/{project.pk}/restore", None),
        ("delete", f"/api/projects/{project.pk}?confirm=DEMO", None),
        ("post", "/api/tasks", {"project": project.pk, "title": "Late"}),
    ):
        assert_error(script.send(method, address, body), 409, "deleting")
    with pytest.raises(Conflict):
        task.execute(by=owner)  # its project was read before
    assert Event.objects.filter(name="project.deleting", by=owner).count() == 1


# --- the job --------------------------------------------------------------------------------------------------------


def test_the_job_deletes_all_rows_and_leaves_the_repository_as_it_is(
    project: Project, owner: Any, repository: Path, home: Path, client: Client
) -> None:
    attempt = put_to_work(project)
    other = factories.make_task(factories.make_project(repository, key="OTHER"))
    before = state_of(repository)
    client.force_login(owner)
    assert client.post("/projects/DEMO/delete/", {"confirm": "DEMO"})["Location"] == "/projects/"
    assert "being deleted" in client.get("/projects/").content.decode()
    assert OrmQ.objects.count() == 1
    jobs.delete_projects()
    assert list(Project.objects.values_list("key", flat=True)) == ["OTHER"]
    assert list(Task.objects.all()) == [other]
    assert not Attempt.objects.exists()
    assert not Session.objects.exists()
    assert state_of(repository) == before
    assert not places.folder(attempt).exists()
    (kept,) = in_trash(home)
    assert (home / "trash" / kept / "workspace/new.txt").read_text() == "new\n"
    refs = factories.git(repository, "for-each-ref", "--format=%(refname)", "refs/studio/recovery").split()
    assert factories.git(repository, "show", f"{refs[0]}:new.txt") == "new"
    assert client.get("/projects/DEMO/").status_code == 404


@pytest.mark.parametrize("at", ["workspace", "rows", "project"])
def test_a_job_that_was_cut_is_taken_up_and_ends(
    project: Project, owner: Any, repository: Path, home: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    for name in ("a.txt", "b.txt"):
        put_to_work(project, name)
    before = state_of(repository)
    project.begin_delete("DEMO", by=owner)
    died = {"workspace": (removal, "move"), "rows": (Task, "delete"), "project": (Project, "delete")}[at]
    real, calls = getattr(*died), []

    def die(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == (1 if at == "project" else 2):
            raise Killed
        return real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(*died, die)
        with pytest.raises(Killed):
            jobs.delete_projects()
    assert Project.objects.filter(pk=project.pk).exists()
    OrmQ.objects.all().delete()
    Watch().round()
    assert OrmQ.objects.exists()
    jobs.delete_projects()
    assert not Project.objects.exists()
    assert state_of(repository) == before
    assert not list((home / "attempts").glob("*"))
    assert len(in_trash(home)) == 2


def test_a_workspace_that_somebody_holds_is_waited_for(project: Project, owner: Any) -> None:
    attempt = put_to_work(project)
    project.begin_delete("DEMO", by=owner)
    with held(attempt, "export"):
        jobs.delete_projects()
        assert Project.objects.get().delete_trouble == ""
    jobs.delete_projects()
    assert not Project.objects.exists()


def test_processes_that_are_left_are_named_and_deleting_can_be_tried_again(
    project: Project, owner: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_to_work(project)
    project.begin_delete("DEMO", by=owner)
    with monkeypatch.context() as patched:
        patched.setattr(removal, "marked", lambda *_: [4711])
        jobs.delete_projects()
    client.force_login(owner)
    assert "processes that still run: 4711" in client.get("/projects/").content.decode()
    jobs.delete_projects()
    assert Project.objects.get().delete_trouble
    assert client.post("/projects/DEMO/delete/", {"confirm": "DEMO"}).status_code == 302
    jobs.delete_projects()
    assert not Project.objects.exists()


def test_a_repository_that_is_gone_keeps_nothing_from_being_deleted(
    project: Project, owner: Any, home: Path
) -> None:
    put_to_work(project)
    shutil.rmtree(project.path)
    project.begin_delete("DEMO", by=owner)
    jobs.delete_projects()
    assert not Project.objects.exists()
    (kept,) = in_trash(home)
    assert (home / "trash" / kept / "workspace/new.txt").exists()


# --- a clone of Studio's ----------------------------------------------------------------------------------------------


def test_a_clone_goes_to_the_trash_and_is_deleted_for_good_later(
    admin: Any, repository: Path, home: Path, settings: Any
) -> None:
    before = state_of(repository)
    clone = Clone.ask(by=admin, url=f"file://{repository}", name="Shop", key="SHOP")
    jobs.clone()
    project = Project.objects.get()
    put_to_work(project)
    assert Script(admin).get(f"/api/projects/{project.pk}/loss").json()["clone"] == project.path
    project.begin_delete("SHOP", by=admin)
    jobs.delete_projects()
    assert not Project.objects.exists()
    assert not cloning.place(clone).exists()
    (kept,) = [name for name in in_trash(home) if name.startswith(f"clone-{clone.pk}-")]
    assert factories.git(home / "trash" / kept, "log", "--format=%s") == "First"
    cleanup.empty_trash()
    assert kept in in_trash(home)
    old = (timezone.now() - timedelta(days=settings.STUDIO_TRASH_DAYS + 1)).strftime(removal.STAMP)
    os.rename(home / "trash" / kept, home / "trash" / f"clone-{clone.pk}-{old}")
    cleanup.empty_trash()
    assert not [name for name in in_trash(home) if name.startswith("clone")]
    assert state_of(repository) == before


def test_a_clone_that_another_project_works_on_stays(admin: Any, repository: Path) -> None:
    Clone.ask(by=admin, url=f"file://{repository}", name="Shop", key="SHOP")
    jobs.clone()
    project = Project.objects.get()
    factories.make_project(project.path, key="OTHER")
    assert deletion.cloned(project) is None
    project.begin_delete("SHOP", by=admin)
    jobs.delete_projects()
    assert Path(project.path).is_dir()


def test_a_persons_folder_is_never_taken_for_a_clone(project: Project, home: Path, tmp_path: Path) -> None:
    (home / "clones").mkdir()
    (home / "clones" / "7").symlink_to(project.path)
    for path in (
        project.path,
        str(home / "clones" / "7"),
        str(home / "clones"),
        str(tmp_path / "clones" / "7"),
    ):
        project.path = path
        assert deletion.cloned(project) is None
