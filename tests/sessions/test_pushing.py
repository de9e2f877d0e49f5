"""Pushing a task's branch to a remote, by API and page: the job, the link to compare, and how it ends."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from sessions import jobs, pushing
from sessions.models import Attempt, Push
from sessions.watch import Watch
from sessions.workspaces import remote as git_remote
from studio.roles import Role
from tasks.models import Event, Remote
from tasks.models.remote import web
from tests import factories
from tests.factories import git
from tests.scripts import Script, assert_error

pytestmark = pytest.mark.django_db(transaction=True)

GONE = {"pid": 2**22 - 1, "pid_started": 1}  # no process has that number and that start
BRANCH = "refs/heads/studio/"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The remote: a bare repository."""
    folder = tmp_path / "there.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(folder)], check=True)
    return folder


@pytest.fixture
def attempt(alice: Any, tmp_path: Path, there: Path) -> Attempt:
    """In review, one commit ahead of main, in a repository whose origin is `there`."""
    repository = factories.make_repository(tmp_path / "shop", {"a.txt": "one\n"})
    git(repository, "remote", "add", "origin", str(there))
    base = git(repository, "rev-parse", "HEAD")
    task = factories.make_task(factories.make_project(repository), status="review")
    return factories.make_attempt(task, base_oid=base, head_oid=another(repository, base))


def another(repository: Path, parent: str, message: str = "Louder") -> str:
    """The id of a commit on top of another one, on no branch."""
    return git(repository, "commit-tree", "-p", parent, "-m", message, f"{parent}^{{tree}}")


def source(attempt: Attempt) -> Path:
    return Path(attempt.task.project.path)


def pushed(script: Script, attempt: Attempt) -> dict[str, Any]:
    """Ask, have the job work, and look."""
    reply = script.send("post", f"/api/tasks/{attempt.task_id}/push")
    assert reply.status_code == 202, reply.content
    jobs.push()
    told: dict[str, Any] = script.get(f"/api/tasks/{attempt.task_id}/push").json()
    return told


@pytest.fixture
def script(alice: Any) -> Script:
    return Script(alice)


def test_a_change_is_pushed_as_the_branch_of_its_attempt_and_twice_is_harmless(
    script: Script, attempt: Attempt, there: Path
) -> None:
    assert script.get(f"/api/tasks/{attempt.task_id}/push").status_code == 404
    for _ in range(2):
        told = pushed(script, attempt)
        assert (told["state"], told["reason"]) == ("done", "")
    assert git(there, "rev-parse", BRANCH + attempt.key) == attempt.head_oid
    assert git(source(attempt), "for-each-ref", "refs/remotes") == ""
    assert Event.objects.filter(name="push.completed", task=attempt.task).count() == 2


def test_asking_twice_for_one_commit_is_one_push(script: Script, attempt: Attempt) -> None:
    address = f"/api/tasks/{attempt.task_id}/push"
    assert script.send("post", address).json()["id"] == script.send("post", address).json()["id"]
    Attempt.objects.filter(pk=attempt.pk).update(head_oid=another(source(attempt), attempt.head_oid))
    assert script.send("post", address).status_code == 409


def test_a_push_whose_process_died_is_made_by_the_next_and_the_dead_one_writes_nothing(
    alice: Any, attempt: Attempt, there: Path
) -> None:
    pushing.ask(attempt.task, by=alice)
    dead = Push.claim()
    assert dead is not None
    git(source(attempt), "push", "-q", "origin", f"{attempt.head_oid}:{BRANCH}{attempt.key}")
    Push.objects.filter(pk=dead.pk).update(**GONE)
    Watch().round()
    jobs.push()
    dead.fail(git_remote.PushTrouble.REFUSED, "late")
    assert Push.objects.get(pk=dead.pk).state == "done"
    assert not Event.objects.filter(name="push.failed")


def test_the_hooks_of_the_repository_do_not_run(script: Script, attempt: Attempt, tmp_path: Path) -> None:
    hook = source(attempt) / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    hook.chmod(0o755)
    assert pushed(script, attempt)["state"] == "done"
    assert not (tmp_path / "ran").exists()


def test_a_branch_that_has_gone_on_is_never_overwritten(
    script: Script, attempt: Attempt, there: Path
) -> None:
    foreign = another(source(attempt), attempt.base_oid, "Theirs")
    git(source(attempt), "push", "-q", "origin", f"{foreign}:{BRANCH}{attempt.key}")
    told = pushed(script, attempt)
    assert (told["state"], told["reason"]) == ("failed", "behind")
    assert "Studio never overwrites it" in told["message"]
    assert git(there, "rev-parse", BRANCH + attempt.key) == foreign


def test_a_remote_that_refuses_the_branch_is_told_in_its_words(
    script: Script, attempt: Attempt, there: Path
) -> None:
    (there / "hooks").mkdir(exist_ok=True)
    (there / "hooks/pre-receive").write_text("#!/bin/sh\necho No branches on Fridays\nexit 1\n")
    (there / "hooks/pre-receive").chmod(0o755)
    told = pushed(script, attempt)
    assert (told["reason"], "No branches on Fridays" in told["detail"]) == ("protected", True)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("/nowhere/at/all.git", "not_found"),
        ("https://localhost:9/x/y.git", "unreachable"),
        ("ext::sh -c 'touch ran'", "refused"),
    ],
)
def test_a_remote_that_cannot_be_reached_says_why(
    script: Script, attempt: Attempt, url: str, reason: str
) -> None:
    git(source(attempt), "remote", "set-url", "origin", url)
    assert pushed(script, attempt)["reason"] == reason
    assert not (source(attempt) / "ran").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("! [rejected] x (non-fast-forward)", "behind"),
        ("! [remote rejected] x -> x (protected branch hook declined)", "protected"),
        ("fatal: could not read Username for 'https://github.com': terminal prompts disabled", "login"),
        ("git@github.com: Permission denied (publickey).", "login"),
        ("remote: Permission to a/b.git denied to c.\nThe requested URL returned error: 403", "login"),
        ("Host key verification failed.", "host_key"),
        ("fatal: repository 'https://github.com/a/b.git/' not found", "not_found"),
        ("ssh: Could not resolve hostname nowhere: Name or service not known", "unreachable"),
        ("server certificate verification failed. CAfile: none", "certificate"),
        ("something new", "refused"),
    ],
)
def test_the_words_of_git_are_known(words: str, reason: str) -> None:
    assert git_remote.trouble_of(words) == reason


def test_a_push_ends_when_its_time_is_over(
    script: Script, attempt: Attempt, there: Path, settings: Any
) -> None:
    settings.STUDIO_PUSH_SECONDS = 0.5
    (there / "hooks").mkdir(exist_ok=True)
    (there / "hooks/pre-receive").write_text("#!/bin/sh\nsleep 30\n")
    (there / "hooks/pre-receive").chmod(0o755)
    assert pushed(script, attempt)["reason"] == "deadline"


def test_without_a_remote_or_a_change_nothing_is_queued(script: Script, attempt: Attempt) -> None:
    address = f"/api/tasks/{attempt.task_id}/push"
    git(source(attempt), "remote", "remove", "origin")
    reply = script.send("post", address)
    assert_error(reply, 409, "no_remote")
    Attempt.objects.filter(pk=attempt.pk).update(head_oid=attempt.base_oid)
    assert_error(script.send("post", address), 409, "nothing_to_push")
    assert not Push.objects.exists()


def test_the_login_in_a_remotes_address_is_shown_to_nobody(
    script: Script, attempt: Attempt, client: Client, alice: Any
) -> None:
    git(source(attempt), "remote", "set-url", "origin", "https://me:hunter2hunter2@localhost:9/x/y.git")
    told = pushed(script, attempt)
    assert told["url"] == "https://localhost:9/x/y.git"
    client.force_login(alice)
    assert "hunter2" not in f"{told}{client.get(f'/tasks/{attempt.task_id}/landing/').content.decode()}"


@pytest.mark.parametrize(
    ("url", "forge", "link"),
    [
        ("git@github.com:a/b.git", "", "https://github.com/a/b/compare/main...studio/X-1?expand=1"),
        ("https://me@github.com/a/b", "", "https://github.com/a/b/compare/main...studio/X-1?expand=1"),
        ("ssh://git@codeberg.org:22/a/b.git", "", "https://codeberg.org/a/b/compare/main...studio/X-1"),
        ("https://git.example.org:8443/a/b.git", "gitea", "https://git.example.org:8443/a/b/compare/main...studio/X-1"),
        ("git@gitlab.example.org:a/b/c.git", "", "https://gitlab.example.org/a/b/c/-/merge_requests/new?merge_request%5Bsource_branch%5D=studio%2FX-1&merge_request%5Btarget_branch%5D=main"),
        ("https://git.example.org/a/b.git", "", ""),
        ("/srv/there.git", "github", ""),
        ("javascript://github.com/x%0aalert(1)", "github", ""),
        ("https://[::1", "github", ""),
    ],
)  # fmt: skip
def test_the_link_to_compare_is_that_of_the_forge(url: str, forge: str, link: str) -> None:
    assert Remote(forge=forge).compare(url, "main", "studio/X-1") == link
    assert "@" not in web(url)


def test_a_maintainer_chooses_the_remote_and_a_member_does_not(
    client: Client, alice: Any, bob: Any, attempt: Attempt, there: Path
) -> None:
    project = attempt.task.project
    git(source(attempt), "remote", "rename", "origin", "up")
    project.memberships.filter(user=alice).update(role=Role.MAINTAINER)
    client.force_login(alice)
    assert client.post(f"/projects/{project.key}/remote/", {"name": "-x", "forge": ""}).status_code == 422
    assert (
        client.post(f"/projects/{project.key}/remote/", {"name": "up", "forge": "gitea"}).status_code == 302
    )
    told = Script(alice).get(f"/api/projects/{project.pk}/remote").json()
    assert told == {"name": "up", "forge": "gitea", "api_url": "", "has_token": False}
    client.post(f"/tasks/{attempt.task_id}/push/")
    jobs.push()
    page = client.get(f"/tasks/{attempt.task_id}/landing/").content.decode()
    assert "✓ pushed" in page
    assert "✓ pushed" in client.get(f"/tasks/{attempt.task_id}/gate/").content.decode()
    Attempt.objects.filter(pk=attempt.pk).update(head_oid=another(source(attempt), attempt.head_oid))
    gate = client.get(f"/tasks/{attempt.task_id}/gate/").content.decode()
    assert "an earlier version is pushed" in gate
    assert git(there, "rev-parse", BRANCH + attempt.key) == attempt.head_oid
    project.memberships.filter(user=alice).update(role=Role.MEMBER)
    address = f"/api/projects/{project.pk}/remote"
    assert_error(Script(alice).send("put", address, {"name": "origin"}), 403)
    assert_error(Script(bob).send("post", f"/api/tasks/{attempt.task_id}/push"), 403)
