"""Projects by their repository's address: which addresses are taken, the clone as a job, and how it ends."""

import os
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django_q.models import OrmQ

from sessions import cloning, jobs
from sessions.models import Clone
from sessions.watch import Watch
from sessions.workspaces import cloning as git_clone
from sessions.workspaces.cloning import CloneFailed, Trouble
from sessions.workspaces.processes import Completed
from studio.errors import Invalid
from tasks.models import Event, Project
from tests import factories
from tests.scripts import Script, assert_error, assert_field

pytestmark = pytest.mark.django_db(transaction=True)

GONE = {"pid": 2**22 - 1, "pid_started": 1}  # no process has that number and that start


@pytest.fixture(autouse=True)
def home(settings: Any, tmp_path: Path) -> Path:
    """A data folder of its own; addresses of files are allowed."""
    settings.STUDIO_HOME = tmp_path / "home"
    settings.STUDIO_HOME.mkdir()
    settings.STUDIO_CLONE_FILES = True
    settings.STUDIO_DISK_FLOOR = 0
    return tmp_path / "home"


def ask(admin: Any, source: Path | str, **fields: Any) -> Clone:
    url = source if isinstance(source, str) else f"file://{source}"
    return Clone.ask(by=admin, url=url, **({"name": "Shop", "key": "SHOP"} | fields))


def left(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "clones").glob("*")) if (home / "clones").exists() else []


# --- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.org/shop.git",
        " https://git.example.org:8443/a/b/c ",
        "ssh://git@git.example.org:2222/shop.git",
        "ssh://git.example.org/~shop/x",
        "git@github.com:owner/name.git",
        "host:name",
    ],
)
def test_addresses_over_https_and_ssh_are_taken(url: str) -> None:
    assert git_clone.checked(url) == url.strip()


@pytest.mark.parametrize(
    "url",
    [
        "", "-oProxyCommand=x", "--upload-pack=x", "ext::sh -c id", "http://git.example.org/x", "git://git.example.org/x",
        "ftp://host/x", "https://", "https:///x", "https://host", "https://host/", "https://user@host/x", "https://user:token@host/x",
        "ssh://git:secret@host/x", "ssh://-oProxyCommand=x/y", "https://host/x?token=1", "https://host/x#y", "https://ho st/x", "https://host/x\ny",
        "/srv/shop", "shop", "host::x", "-host:x", "git@-host:x", "https://host\\@other/x", "https://[::1", "https://host:port/x",
        "https://host/" + "x" * 1000,
    ],
)  # fmt: skip
def test_other_addresses_are_refused_with_a_sentence(url: str, admin: Any, client: Client) -> None:
    with pytest.raises(Invalid) as wrong:
        git_clone.checked(url)
    assert wrong.value.fields["url"].endswith((".", "…", "git"))
    if url:
        assert_field(Script(admin).send("post", "/api/clones", {"url": url}), "url")
    client.force_login(admin)
    assert client.post("/projects/new/clone/", {"url": url}).status_code == 422
    assert not Clone.objects.exists()


def test_addresses_of_files_are_for_tests_only(settings: Any) -> None:
    settings.STUDIO_CLONE_FILES = False
    with pytest.raises(Invalid, match="https and ssh only"):
        git_clone.checked("file:///srv/shop")


def test_git_itself_takes_no_other_protocol(tmp_path: Path, settings: Any) -> None:
    settings.STUDIO_CLONE_FILES = False
    source = factories.make_repository(tmp_path / "source")
    for url in (f"ext::touch {tmp_path}/owned", f"file://{source}", str(source)):
        with pytest.raises(CloneFailed) as failed:
            git_clone.clone(url, tmp_path / "part", tick=lambda step: None)
        assert "not allowed" in failed.value.detail
    assert not (tmp_path / "owned").exists()


# --- the job ------------------------------------------------------------------------------------------------------


def test_a_repository_is_cloned_and_becomes_a_project(admin: Any, repository: Path, home: Path) -> None:
    factories.git(repository, "checkout", "-qb", "trunk")
    clone = ask(admin, repository, checks=[{"name": "t", "command": "true", "timeout": 5, "required": True}])
    assert OrmQ.objects.count() == 1
    jobs.clone()
    clone.refresh_from_db()
    project = Project.objects.get()
    assert (clone.state, clone.project, clone.progress) == ("done", project, "")
    assert (project.key, project.path) == ("SHOP", str(home / "clones" / str(clone.pk)))
    assert (project.target_branch, project.role_of(admin)) == ("trunk", "admin")
    assert project.checks[0]["name"] == "t"
    assert factories.git(Path(project.path), "rev-parse", "HEAD") == factories.git(
        repository, "rev-parse", "HEAD"
    )
    assert left(home) == [str(clone.pk)]
    assert not list((Path(project.path) / ".git/hooks").glob("*"))
    assert Event.objects.get(name="project.created").data["url"] == clone.url
    jobs.clone()
    assert Project.objects.count() == 1


def test_a_task_can_be_filed_in_the_new_project(admin: Any, repository: Path) -> None:
    ask(admin, repository)
    jobs.clone()
    project = Project.objects.get()
    script = Script(admin)
    filed = script.send("post", "/api/tasks", {"project": project.pk, "title": "One"}).json()
    assert script.send("post", f"/api/tasks/{filed['id']}/execute").status_code == 202
    assert script.send("patch", f"/api/projects/{project.pk}", {"target_branch": "main"}).status_code == 200


def test_what_cannot_be_worked_on_is_no_project_and_leaves_nothing(
    admin: Any, tmp_path: Path, home: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    factories.git(empty, "init", "-q")
    good = factories.make_repository(tmp_path / "good")
    wanted = {
        ask(admin, empty).pk: (Trouble.UNUSABLE, "no commit yet"),
        ask(admin, good, target_branch="nope").pk: (Trouble.UNUSABLE, "There is no branch"),
        ask(admin, tmp_path / "missing").pk: (Trouble.NOT_FOUND, "missing"),
        ask(admin, "https://127.0.0.1:9/x.git").pk: (Trouble.UNREACHABLE, "127.0.0.1"),
    }
    jobs.clone()
    for pk, (trouble, words) in wanted.items():
        clone = Clone.objects.get(pk=pk)
        assert (clone.state, clone.reason) == ("failed", trouble), clone.detail
        assert words in clone.detail
    assert left(home) == []
    assert not Project.objects.exists()


def test_a_repository_that_is_too_large_is_given_up(
    admin: Any, repository: Path, settings: Any, home: Path
) -> None:
    settings.STUDIO_CLONE_MEGABYTES = 0.01
    clone = ask(admin, repository)
    jobs.clone()
    clone.refresh_from_db()
    assert (clone.reason, left(home)) == (Trouble.TOO_LARGE, [])


def test_a_disk_without_room_ends_it(admin: Any, repository: Path, settings: Any, home: Path) -> None:
    settings.STUDIO_DISK_FLOOR = 10**12
    clone = ask(admin, repository)
    jobs.clone()
    clone.refresh_from_db()
    assert (clone.reason, left(home)) == (Trouble.DISK_FULL, [])


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        ("fatal: could not read Username for 'https://github.com': terminal prompts disabled", Trouble.LOGIN),
        ("remote: Not Found\nfatal: repository 'https://github.com/a/b/' not found", Trouble.NOT_FOUND),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 403", Trouble.NOT_FOUND),
        ("git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.", Trouble.SSH_KEY),
        ("Host key verification failed.\nfatal: Could not read from remote repository.", Trouble.HOST_KEY),
        ("fatal: unable to access 'https://x.invalid/': Could not resolve host: x.invalid", Trouble.HOST_UNKNOWN),
        ("ssh: Could not resolve hostname x.invalid: Name or service not known", Trouble.HOST_UNKNOWN),
        ("fatal: unable to access 'https://x/': SSL certificate problem: self-signed certificate", Trouble.CERTIFICATE),
        ("ssh: connect to host x port 22: Connection refused", Trouble.UNREACHABLE),
        ("fatal: write error: No space left on device", Trouble.DISK_FULL),
        ("fatal: the remote end hung up unexpectedly", Trouble.REFUSED),
    ],
)  # fmt: skip
def test_what_git_says_becomes_a_named_reason(said: str, trouble: Trouble) -> None:
    ended = Completed(
        128, b"", f"Receiving objects:  42% (1/2)\r{said}\n".encode(), 1, timed_out=False, cut=False
    )
    with pytest.raises(CloneFailed) as failed:
        git_clone._judge(ended)
    assert failed.value.trouble == trouble
    assert failed.value.trouble.advice.endswith(".")


def test_a_token_that_a_server_leads_to_is_not_kept() -> None:
    words = b"fatal: unable to access 'https://user:secret@other/x': gone"
    with pytest.raises(CloneFailed) as failed:
        git_clone._judge(Completed(128, b"", words, 1, timed_out=False, cut=False))
    assert "secret" not in failed.value.detail


# --- crashes ------------------------------------------------------------------------------------------------------


def test_a_clone_that_died_in_the_middle_is_begun_again(admin: Any, repository: Path, home: Path) -> None:
    clone = ask(admin, repository)
    half = cloning.part(clone)
    (half / ".git").mkdir(parents=True)
    (half / ".git/half").write_text("x")
    Clone.objects.filter(pk=clone.pk).update(state="running", fence=1, progress="Receiving", **GONE)
    OrmQ.objects.all().delete()
    Watch().round()
    assert Clone.objects.get().state == "queued"
    assert OrmQ.objects.exists()
    jobs.clone()
    assert Clone.objects.get().state == "done"
    assert not (cloning.place(clone) / ".git/half").exists()
    assert left(home) == [str(clone.pk)]


def test_a_clone_that_died_once_it_was_in_its_place_makes_one_project(admin: Any, repository: Path) -> None:
    clone = Clone.claim() or (ask(admin, repository), Clone.claim())[1]
    assert clone is not None
    cloning._fetch(clone)
    made = (cloning.place(clone) / ".git").stat().st_ino
    Clone.objects.filter(pk=clone.pk).update(**GONE)
    Watch().round()
    jobs.clone()
    assert Clone.objects.get().project == Project.objects.get()
    assert (cloning.place(clone) / ".git").stat().st_ino == made


def test_who_was_taken_for_dead_makes_no_project(admin: Any, repository: Path) -> None:
    ask(admin, repository)
    late = Clone.claim()
    assert late is not None
    Clone.objects.filter(pk=late.pk).update(fence=late.fence + 1)
    cloning.carry(late)
    assert not Project.objects.exists()


def test_a_living_job_is_left_alone(admin: Any, repository: Path) -> None:
    ask(admin, repository)
    clone = Clone.claim()
    Watch().round()
    assert clone is not None
    assert clone.held.exists()
    assert clone.pid == os.getpid()


def test_two_jobs_never_have_the_same_clone(admin: Any, repository: Path) -> None:
    ask(admin, repository)
    assert Clone.claim() is not None
    assert Clone.claim() is None


def test_a_stop_of_studio_hands_it_back(
    admin: Any, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = ask(admin, repository)
    claimed = Clone.claim()
    assert claimed is not None
    monkeypatch.setattr("studio.drain.has_begun", lambda: True)
    cloning.carry(claimed)
    assert Clone.objects.get(pk=clone.pk).state == "queued"


# --- people and scripts ---------------------------------------------------------------------------------------------


def test_a_person_clones_by_page_and_comes_to_the_board(admin: Any, repository: Path, client: Client) -> None:
    client.force_login(admin)
    assert "/projects/new/clone/" in client.get("/projects/new/").content.decode()
    address = client.post("/projects/new/clone/", {"url": f"file://{repository}"})["Location"]
    assert "waits for its turn" in client.get(address).content.decode()
    Clone.objects.update(state="running", progress="Receiving objects: 42 %")
    shown = client.get(address, headers={"hx-request": "true"}).content.decode()
    assert "Receiving objects: 42 %" in shown
    assert 'hx-trigger="every 1s"' in shown
    Clone.objects.update(state="queued")
    jobs.clone()
    assert client.get(address)["Location"] == "/projects/SAMPLE/"
    assert client.get(address, headers={"hx-request": "true"})["HX-Redirect"] == "/projects/SAMPLE/"


def test_a_failure_says_what_to_do_and_can_be_tried_again(admin: Any, tmp_path: Path, client: Client) -> None:
    clone = ask(admin, tmp_path / "later")
    jobs.clone()
    client.force_login(admin)
    page = client.get(f"/clones/{clone.pk}/").content.decode()
    assert "There is no repository at that address" in page
    assert "Try again" in page
    assert str(clone.pk) in client.get("/projects/new/clone/").content.decode()
    factories.make_repository(tmp_path / "later")
    client.post(f"/clones/{clone.pk}/retry/")
    jobs.clone()
    assert client.get(f"/clones/{clone.pk}/")["Location"] == "/projects/SHOP/"
    assert client.post(f"/clones/{clone.pk}/retry/").status_code == 409


def test_a_script_clones_asks_and_cancels(admin: Any, repository: Path) -> None:
    script = Script(admin)
    reply = script.send("post", "/api/clones", {"url": f"file://{repository}", "key": "MINE"}, key="once")
    assert reply.status_code == 202
    again = script.send("post", "/api/clones", {"url": f"file://{repository}", "key": "MINE"}, key="once")
    assert again.json()["id"] == reply.json()["id"]
    address = f"/api/clones/{reply.json()['id']}"
    assert script.send("post", f"{address}/cancel").json()["reason"] == "cancelled"
    assert_error(script.send("post", f"{address}/cancel"), 409, "ended")
    assert script.send("post", f"{address}/retry").json()["state"] == "queued"
    jobs.clone()
    shown = script.get(address).json()
    assert (shown["state"], shown["project"]) == ("done", Project.objects.get(key="MINE").pk)
    assert [each["id"] for each in script.get("/api/clones").json()["items"]] == [shown["id"]]


def test_a_running_clone_is_cancelled_within_a_moment(admin: Any, repository: Path, home: Path) -> None:
    ask(admin, repository)
    clone = Clone.claim()
    assert clone is not None
    clone.cancel()
    assert Clone.objects.get().is_stopping
    cloning.carry(clone)
    assert (Clone.objects.get().reason, left(home)) == (Trouble.CANCELLED, [])
    assert not Project.objects.exists()


def test_a_key_that_was_taken_meanwhile_gets_a_number(admin: Any, repository: Path) -> None:
    ask(admin, repository)
    factories.make_project(repository, key="SHOP")
    jobs.clone()
    assert Clone.objects.get().project.key == "SHOP2"
    assert_field(Script(admin).send("post", "/api/clones", {"url": "host:x", "key": "SHOP"}), "key")


def test_only_staff_clone_and_see_clones(admin: Any, alice: Any, repository: Path, client: Client) -> None:
    assert_error(Script(alice).send("post", "/api/clones", {"url": "host:x"}), 403)
    clone = ask(admin, repository)
    assert_error(Script(alice).get(f"/api/clones/{clone.pk}"), 404)
    client.force_login(alice)
    assert client.get(f"/clones/{clone.pk}/").status_code == 404
    assert client.post("/projects/new/clone/", {"url": "host:x"})["Location"].startswith("/projects/")
    assert Clone.objects.count() == 1
