"""Pull requests on a forge, opened after a push: on a forge of our own making, by API and page."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import serializers
from django.db.models import F
from django.test import Client
from django.utils import timezone

from sessions import jobs, pull_requests
from sessions.forges import client as forge_client
from sessions.models import Attempt, PullRequest, Push
from sessions.watch import Watch
from studio.roles import Role
from tasks.models import Event, Remote
from tests import factories
from tests.factories import git
from tests.scripts import Script, assert_error, assert_field
from tests.sessions import forge as forges
from tests.sessions.forge import Forge

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "tok-9f86d081884c7d659a2f"
GONE = {"pid": 2**22 - 1, "pid_started": 1}


@pytest.fixture
def attempt(alice: Any, tmp_path: Path) -> Attempt:
    """In review, one commit ahead of main; alice is a maintainer."""
    repository = factories.make_repository(tmp_path / "shop", {"a.txt": "one\n"})
    base = git(repository, "rev-parse", "HEAD")
    task = factories.make_task(factories.make_project(repository), status="review", title="Say it louder")
    task.project.memberships.filter(user=alice).update(role=Role.MAINTAINER)
    factories.make_plan(task, body="# Plan\n\nFirst we shout.", approved_at=timezone.now())
    return factories.make_attempt(task, base_oid=base, head_oid=another(repository, base))


def another(repository: Path, parent: str) -> str:
    return git(repository, "commit-tree", "-p", parent, "-m", "Louder", f"{parent}^{{tree}}")


def running(kind: str, attempt: Attempt, folder: Path) -> Iterator[Forge]:
    forge = Forge(kind, folder / "forge", TOKEN)
    source = attempt.task.project.path
    git(Path(source), "remote", "add", "origin", forge.url)
    git(Path(source), "push", "-q", "origin", "HEAD:refs/heads/main")
    yield forge
    forge.shutdown()
    forge.server_close()


@pytest.fixture(params=["github", "gitlab", "gitea"])
def each_forge(request: pytest.FixtureRequest, attempt: Attempt, tmp_path: Path) -> Iterator[Forge]:
    yield from running(request.param, attempt, tmp_path)


@pytest.fixture
def forge(attempt: Attempt, tmp_path: Path) -> Iterator[Forge]:
    yield from running("github", attempt, tmp_path)


@pytest.fixture
def script(alice: Any) -> Script:
    return Script(alice)


def remote_of(attempt: Attempt) -> str:
    return f"/api/projects/{attempt.task.project_id}/remote"


def pull_of(attempt: Attempt) -> str:
    return f"/api/tasks/{attempt.task_id}/pull-request"


def give_token(script: Script, attempt: Attempt, forge: Forge, **more: str) -> None:
    body = {"forge": forge.kind, "token": TOKEN} | more
    reply = script.send("put", remote_of(attempt), body)
    assert reply.status_code == 200, reply.content
    assert reply.json() == {"name": "origin", "forge": forge.kind, "api_url": "", "has_token": True}


def pushed(script: Script, attempt: Attempt) -> dict[str, Any]:
    """Ask for a push, have the job work, and look at the pull request."""
    assert script.send("post", f"/api/tasks/{attempt.task_id}/push").status_code == 202
    return worked(script, attempt)


def refreshed(script: Script, attempt: Attempt) -> dict[str, Any]:
    assert script.send("post", pull_of(attempt)).status_code == 202
    return worked(script, attempt)


def worked(script: Script, attempt: Attempt) -> dict[str, Any]:
    jobs.push()
    assert Push.objects.first().state == "done", Push.objects.first().detail
    told: dict[str, Any] = script.get(pull_of(attempt)).json()
    return told


def test_a_pull_request_is_opened_once_and_followed_until_it_is_merged(
    script: Script, attempt: Attempt, each_forge: Forge
) -> None:
    give_token(script, attempt, each_forge)
    assert_error(script.get(pull_of(attempt)), 404, "no_pull_request")
    for _ in range(2):
        told = pushed(script, attempt)
        assert (told["number"], told["state"], told["work"]) == (1, "open", "idle"), told
    assert told["url"].startswith(f"{each_forge.home}/team/shop/")
    (pull,) = each_forge.pulls
    assert (pull["head"], pull["base"], pull["oid"]) == (f"studio/{attempt.key}", "main", attempt.head_oid)
    assert pull["title"] == f"{attempt.task.key}: Say it louder"
    assert "First we shout." in pull["body"]
    assert "Studio-Task: http" in pull["body"]
    assert "Approved-by" not in pull["body"]
    for state in ("closed", "open", "merged"):
        pull["state"] = state
        assert refreshed(script, attempt)["state"] == state
    names = Event.objects.filter(name__startswith="pull_request.").values_list("name", flat=True)
    assert sorted(names) == [f"pull_request.{state}" for state in ("closed", "merged", "opened", "opened")]
    attempt.task.refresh_from_db()
    assert attempt.task.status == "review"


def test_a_pull_request_of_a_job_that_died_before_its_row_is_found_again(
    script: Script, attempt: Attempt, each_forge: Forge
) -> None:
    give_token(script, attempt, each_forge)
    each_forge.fail.append(forges.status(503))
    assert pushed(script, attempt)["work"] == "queued"
    PullRequest.objects.update(try_at=None)
    dead = PullRequest.claim()
    assert dead is not None
    pull_requests.connect(dead).open(dead.branch, dead.base, "Title", "Body")
    PullRequest.objects.update(**GONE)
    Watch().round()
    assert worked(script, attempt)["number"] == 1
    assert len(each_forge.pulls) == 1
    dead.fail(forge_client.ForgeFailed(forge_client.ForgeTrouble.TOKEN), "late")
    assert PullRequest.objects.get().reason == ""


def test_one_whose_answer_was_lost_is_found_by_the_next_try(
    script: Script, attempt: Attempt, each_forge: Forge
) -> None:
    give_token(script, attempt, each_forge)
    each_forge.drop_next_answer = True
    told = pushed(script, attempt)
    assert (told["work"], told["reason"], told["number"]) == ("queued", "unreachable", None)
    PullRequest.objects.update(try_at=timezone.now())
    Watch().round()
    assert worked(script, attempt)["number"] == 1
    assert len(each_forge.pulls) == 1


def test_one_that_the_list_does_not_show_yet_is_found_by_the_next_try(
    script: Script, attempt: Attempt, each_forge: Forge
) -> None:
    give_token(script, attempt, each_forge)
    git(
        Path(attempt.task.project.path),
        "push",
        "-q",
        "origin",
        f"{attempt.head_oid}:refs/heads/studio/{attempt.key}",
    )
    each_forge.add(f"studio/{attempt.key}", "main")
    each_forge.fail += [forges.raw(b"[]")]
    assert pushed(script, attempt)["number"] == 1
    assert len(each_forge.pulls) == 1


def test_the_one_of_a_fork_or_of_another_base_is_not_ours(
    script: Script, attempt: Attempt, each_forge: Forge
) -> None:
    give_token(script, attempt, each_forge)
    each_forge.add(f"studio/{attempt.key}", "main", fork=True)
    each_forge.add(f"studio/{attempt.key}", "stable")
    assert pushed(script, attempt)["number"] == 3


def test_after_one_that_has_ended_a_new_commit_gets_a_new_one_and_the_same_commit_none(
    script: Script, attempt: Attempt, each_forge: Forge
) -> None:
    give_token(script, attempt, each_forge)
    pushed(script, attempt)
    each_forge.pulls[0]["state"] = "closed"
    told = pushed(script, attempt)
    assert (told["number"], told["state"]) == (1, "closed")
    newer = another(Path(attempt.task.project.path), attempt.head_oid)
    Attempt.objects.filter(pk=attempt.pk).update(head_oid=newer)
    told = pushed(script, attempt)
    assert (told["number"], told["state"], told["oid"]) == (2, "open", newer)


GONE_WRONG = [
    (forges.status(401, {"message": "Bad credentials"}), "token", "failed", "Bad credentials"),
    (forges.status(403, {"message": f"{TOKEN} may not"}), "token", "failed", "may not"),
    (forges.status(404, {"message": "Not Found"}), "not_found", "failed", "Not Found"),
    (forges.status(422, {"message": "Validation Failed", "errors": [{"message": "base is bad"}]}), "invalid", "failed", "base is bad"),
    (forges.status(403, {}, Retry_After="7"), "busy", "queued", ""),
    (forges.status(429, {"message": "slow down"}, Retry_After="7"), "busy", "queued", "slow down"),
    (forges.status(502, None), "busy", "queued", ""),
    (forges.drop, "unreachable", "queued", ""),
    (forges.raw(b"<html>Sign in</html>"), "no_api", "failed", "no JSON"),
    (forges.raw(b"[" * 100_000), "no_api", "failed", "no JSON"),
    (forges.raw(b'{"a": 1}'), "no_api", "failed", "another shape"),
    (forges.raw(b'[{"head": "x"}]'), "no_api", "failed", "another shape"),
    (forges.raw(b" " * 5_000_000), "too_large", "failed", ""),
    (forges.status(302, None, Location="http://localhost:9/"), "elsewhere", "failed", ""),
    (forges.status(302, None, Location="//[bad"), "elsewhere", "failed", ""),
]  # fmt: skip


def test_what_goes_wrong_at_the_forge_has_a_name_and_a_sentence(
    script: Script, attempt: Attempt, forge: Forge
) -> None:
    give_token(script, attempt, forge)
    forge.fail.append(forges.status(404))
    pushed(script, attempt)
    for answer, reason, work, words in GONE_WRONG:
        forge.fail.append(answer)
        told = refreshed(script, attempt)
        assert (told["reason"], told["work"], told["number"]) == (reason, work, None)
        assert told["message"].endswith(".")
        assert words in told["detail"]
        assert TOKEN not in str(told)
    assert refreshed(script, attempt)["number"] == 1


def test_a_forge_that_stays_out_of_order_is_asked_ever_less_and_then_left(
    script: Script, attempt: Attempt, forge: Forge
) -> None:
    give_token(script, attempt, forge)
    forge.fail += [forges.status(500)] * 9
    told = pushed(script, attempt)
    for waited in (5, 15, 60, 300, 900):
        pull = PullRequest.objects.get()
        assert timedelta(seconds=waited - 3) < pull.try_at - timezone.now() <= timedelta(seconds=waited)
        jobs.push()
        assert PullRequest.objects.get().tries == pull.tries
        PullRequest.objects.update(try_at=timezone.now())
        told = worked(script, attempt)
    assert (told["work"], told["reason"]) == ("failed", "busy")
    assert Event.objects.filter(name="pull_request.failed").count() == 1


def test_a_forge_that_says_how_long_to_wait_is_given_that_time(
    script: Script, attempt: Attempt, forge: Forge
) -> None:
    give_token(script, attempt, forge)
    forge.fail.append(forges.status(429, {}, Retry_After="600"))
    pushed(script, attempt)
    assert PullRequest.objects.get().try_at > timezone.now() + timedelta(seconds=590)


def test_a_forge_that_does_not_answer_is_left_in_time(
    script: Script, attempt: Attempt, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forge_client, "SECONDS", 0.3)
    give_token(script, attempt, forge)
    forge.fail.append(forges.hang(1))
    assert pushed(script, attempt)["reason"] == "unreachable"


def test_a_redirect_is_followed_on_the_same_server_and_the_token_goes_to_no_other(
    script: Script, attempt: Attempt, forge: Forge, tmp_path: Path
) -> None:
    give_token(script, attempt, forge)
    other = Forge("github", tmp_path / "other", TOKEN)
    forge.fail.append(forges.status(307, None, Location=f"{other.home}{forges.ROOTS['github']}"))
    assert pushed(script, attempt)["reason"] == "elsewhere"
    assert other.asked == []
    other.shutdown()
    other.server_close()
    forge.fail.append(forges.status(301, None, Location=f"{forges.ROOTS['github']}?state=all&head=team:x"))
    assert refreshed(script, attempt)["number"] == 1
    forge.fail += [forges.status(301, None, Location="/round")] * 4
    assert refreshed(script, attempt)["reason"] == "elsewhere"


def test_a_change_that_the_base_has_already_gets_no_pull_request(
    script: Script, attempt: Attempt, forge: Forge
) -> None:
    give_token(script, attempt, forge)
    git(Path(attempt.task.project.path), "push", "-q", "origin", f"{attempt.head_oid}:refs/heads/main")
    assert pushed(script, attempt)["reason"] == "nothing"


def test_without_a_token_there_is_the_link_to_compare_and_no_forge_is_asked(
    script: Script, attempt: Attempt, forge: Forge, client: Client, alice: Any
) -> None:
    script.send("put", remote_of(attempt), {"forge": "github"})
    script.send("post", f"/api/tasks/{attempt.task_id}/push")
    jobs.push()
    assert "/compare/" in script.get(f"/api/tasks/{attempt.task_id}/push").json()["compare_url"]
    assert_error(script.get(pull_of(attempt)), 404, "no_pull_request")
    assert_error(script.send("post", pull_of(attempt)), 409, "no_pull_request")
    assert forge.asked == []
    client.force_login(alice)
    page = client.get(f"/tasks/{attempt.task_id}/landing/").content.decode()
    assert "Compare and open a pull request" in page


def test_the_token_is_in_no_row_page_answer_or_log(
    script: Script, attempt: Attempt, forge: Forge, client: Client, alice: Any, caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    give_token(script, attempt, forge)
    forge.fail.append(forges.status(401, {"message": f"who is {TOKEN}?"}))
    told = pushed(script, attempt)
    assert "[redacted: token of the remote]" in told["detail"]
    refreshed(script, attempt)
    client.force_login(alice)
    pages = [f"/tasks/{attempt.task_id}/landing/", f"/tasks/{attempt.task_id}/timeline/"]
    pages += [f"/projects/{attempt.task.project.key}/remote/", f"/tasks/{attempt.task_id}/gate/"]
    said = "".join(client.get(each).content.decode() for each in pages)
    rows = [*Remote.objects.all(), *PullRequest.objects.all(), *Push.objects.all(), *Event.objects.all()]
    said += serializers.serialize("json", rows) + script.get(remote_of(attempt)).content.decode()
    assert "pull request #1 open" in said
    assert TOKEN not in said
    assert TOKEN not in caplog.text
    assert (Remote.objects.get().token, Remote.objects.get().token_by) == (TOKEN, alice)


@pytest.mark.parametrize(
    "change",
    [{"api_url": "http://127.0.0.1:9/api/v3"}, {"forge": "gitea"}, {"name": "other"}],
)
def test_another_address_demands_the_token_again(
    script: Script, attempt: Attempt, forge: Forge, change: dict[str, str]
) -> None:
    give_token(script, attempt, forge)
    body = {"forge": "github"} | change
    assert_field(script.send("put", remote_of(attempt), body), "token")
    assert Remote.objects.get().api_url == ""
    assert script.send("put", remote_of(attempt), {"forge": "github"}).json()["has_token"] is True
    assert script.send("put", remote_of(attempt), body | {"token": ""}).json()["has_token"] is False


def test_a_remote_that_leads_elsewhere_since_is_not_sent_the_token(
    script: Script, attempt: Attempt, forge: Forge, tmp_path: Path
) -> None:
    give_token(script, attempt, forge)
    other = Forge("github", tmp_path / "other", TOKEN)
    git(Path(attempt.task.project.path), "remote", "set-url", "origin", other.url)
    assert pushed(script, attempt)["reason"] == "token_again"
    assert other.asked == forge.asked == []
    give_token(script, attempt, other)
    assert pushed(script, attempt)["number"] == 1
    other.shutdown()
    other.server_close()


UNUSABLE = [
    ({"api_url": "http://git.example.org/api/v3"}, "api_url"),
    ({"api_url": "https://me:secret@git.example.org/api/v3"}, "api_url"),
    ({"api_url": "https://git.example.org/api/v3?a=b"}, "api_url"),
    ({"api_url": "ftp://git.example.org"}, "api_url"),
    ({"api_url": "https://git.example.org\\@evil/"}, "api_url"),
    ({"token": "short"}, "token"),
    ({"token": "with a space in it"}, "token"),
    ({"token": "line\nbreak-in-it"}, "token"),
    ({"forge": "", "token": TOKEN}, "token"),
]


def test_an_address_or_token_that_cannot_be_used_is_refused(
    script: Script, attempt: Attempt, forge: Forge
) -> None:
    for body, field in UNUSABLE:
        assert_field(script.send("put", remote_of(attempt), {"forge": "github"} | body), field)
    assert not Remote.objects.exists()


@pytest.mark.parametrize(
    ("url", "forge", "api_url", "place"),
    [
        ("git@github.com:a/b.git", "", "", "https://api.github.com/repos/a/b"),
        ("https://github.example.org/a/b", "", "", "https://github.example.org/api/v3/repos/a/b"),
        ("https://gitlab.com/a/b/c.git", "", "", "https://gitlab.com/api/v4/projects/a%2Fb%2Fc"),
        ("ssh://git@codeberg.org:22/a/b.git", "", "", "https://codeberg.org/api/v1/repos/a/b"),
        ("https://x.example/git/a/b.git", "gitea", "https://x.example/git/api/v1/", "https://x.example/git/api/v1/repos/a/b"),
        ("https://github.com/a/b/c", "", "", ""),
        ("https://github.com/a/..", "", "", ""),
        ("https://x.example/a/b", "", "https://x.example/api/v4", ""),
        ("/srv/there.git", "github", "", ""),
    ],
)  # fmt: skip
def test_the_repository_in_the_api_follows_from_the_remotes_address(
    url: str, forge: str, api_url: str, place: str
) -> None:
    assert Remote(forge=forge, api_url=api_url).place(url) == place


def test_the_page_shows_the_pull_request_and_offers_to_mark_the_task_done(
    client: Client, alice: Any, bob: Any, attempt: Attempt, forge: Forge
) -> None:
    client.force_login(alice)
    address = f"/projects/{attempt.task.project.key}/remote/"
    wrong = client.post(address, {"name": "origin", "forge": "github", "token": "short"})
    assert (wrong.status_code, "8 characters" in wrong.content.decode()) == (422, True)
    form = {"name": "origin", "forge": "github", "token": TOKEN}
    assert client.post(address, form).status_code == 302
    client.post(f"/tasks/{attempt.task_id}/push/")
    landing = f"/tasks/{attempt.task_id}/landing/"
    jobs.push()
    assert f"{forge.home}/team/shop/pull/1" in client.get(landing).content.decode()
    assert "#1 open" in client.get(f"/tasks/{attempt.task_id}/gate/").content.decode()
    asked = len(forge.asked)
    jobs.push()
    assert len(forge.asked) == asked
    forge.pulls[0]["state"] = "merged"
    PullRequest.objects.update(looked_at=F("looked_at") - timedelta(minutes=5))
    client.get(landing)
    jobs.push()
    page = client.get(landing).content.decode()
    assert "It was merged there: mark done" in page
    client.post(f"/tasks/{attempt.task_id}/mark-done/")
    attempt.task.refresh_from_db()
    assert attempt.task.status == "done"
    assert "mark done" not in client.get(landing).content.decode()
    client.force_login(bob)
    assert client.post(f"/tasks/{attempt.task_id}/pull-request/refresh/").status_code == 403
    assert_error(Script(bob).send("post", pull_of(attempt)), 403)
