"""How a change lands, by API and page: forecast, strategy, target, message, trailers, conflicts for the agent."""

from pathlib import Path
from typing import Any

import pytest

from sessions import landing, places
from sessions.models import Attempt
from sessions.workspaces import resolving
from tasks.models import Task
from tests import factories
from tests.factories import git
from tests.scripts import Script

pytestmark = pytest.mark.django_db


@pytest.fixture
def script(alice: Any) -> Script:
    return Script(alice)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return factories.make_repository(tmp_path / "shop", {"a.txt": "one\ntwo\nthree\n", "b.txt": "b\n"})


@pytest.fixture
def reviewed(alice: Any, bob: Any, repository: Path) -> Attempt:
    """In review, one commit ahead of main: the second line of a.txt is changed."""
    base = git(repository, "rev-parse", "HEAD")
    git(repository, "switch", "-qc", "work")
    (repository / "a.txt").write_text("one\nTWO\nthree\n")
    git(repository, "commit", "-qam", "Louder")
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "switch", "-q", "main")
    task = factories.make_task(
        factories.make_project(repository), status="review", policies={"checks_required": False}
    )
    return factories.make_attempt(task, base_oid=base, head_oid=head)


def go_on(repository: Path, text: str = "one\nzwei\nthree\n") -> str:
    (repository / "a.txt").write_text(text)
    git(repository, "commit", "-qam", "Translate")
    return git(repository, "rev-parse", "HEAD")


def test_the_forecast_says_that_it_merges_and_what_the_commit_would_say(
    script: Script, reviewed: Attempt
) -> None:
    factories.make_session(reviewed, phase="implementation", state="completed", model="demo/demo")
    told = script.get(f"/api/tasks/{reviewed.task_id}/conflicts").json()
    assert (told["clean"], told["files"], told["branch"]) == (True, [], "main")
    assert told["message"].startswith(f"{reviewed.task.key}: Say hello")
    for line in ("Studio-Task: ", "Studio-Session: ", "Studio-Model: demo/demo", "Approved-by: alice <"):
        assert f"\n{line}" in f"\n{told['trailers']}"


def test_the_forecast_shows_conflicts_file_by_file_and_follows_the_branch(
    script: Script, reviewed: Attempt, repository: Path, client: Any, alice: Any
) -> None:
    client.force_login(alice)
    address = f"/tasks/{reviewed.task_id}/conflicts/"
    assert "merges into main" in client.get(address, headers={"HX-Request": "true"}).content.decode()
    go_on(repository)
    told = script.get(f"/api/tasks/{reviewed.task_id}/conflicts").json()
    assert [file["path"] for file in told["files"]] == ["a.txt"]
    assert "zwei\n=======\nTWO" in told["files"][0]["hunks"][0]
    html = client.get(f"/tasks/{reviewed.task_id}/landing/").content.decode()
    assert "Let the agent resolve them" in html
    assert "zwei" in html
    assert "conflict in 1 file" in client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert git(repository, "status", "--porcelain") == ""


def test_a_squash_with_a_persons_message_lands_on_the_branch_that_is_named(
    script: Script, reviewed: Attempt, repository: Path
) -> None:
    git(repository, "branch", "release")
    how = {"strategy": "squash", "target": "release", "message": "Speak up"}
    reply = script.send("post", f"/api/tasks/{reviewed.task_id}/merge", how)
    assert reply.status_code == 200, reply.content
    assert reply.json()["branch"] == "release"
    told = git(repository, "log", "-1", "--format=%P|%B", "release")
    assert told.startswith(git(repository, "rev-parse", "main") + "|Speak up\n\nStudio-Task: ")
    assert script.get(f"/api/tasks/{reviewed.task_id}").json()["target_branch"] == "release"
    assert not git(repository, "for-each-ref", "refs/studio/landing")
    event = reviewed.task.events.get(name="task.status_changed")
    assert (event.data["strategy"], event.data["branch"]) == ("squash", "release")


def test_the_projects_strategy_holds_where_none_is_named_and_by_the_page(
    reviewed: Attempt, repository: Path, client: Any, alice: Any
) -> None:
    type(reviewed.task.project).objects.update(merge_strategy="rebase")
    client.force_login(alice)
    assert client.post(f"/tasks/{reviewed.task_id}/merge/", {}).status_code == 302
    assert git(repository, "log", "-1", "--format=%s %cn") == "Louder Studio"
    assert "Studio-Task:" in git(repository, "log", "-1", "--format=%B")


def test_a_branch_or_strategy_that_is_not_there_is_refused(script: Script, reviewed: Attempt) -> None:
    for how in ({"target": "nope"}, {"target": "--force"}, {"strategy": "octopus"}):
        assert script.send("post", f"/api/tasks/{reviewed.task_id}/merge", how).status_code == 422
    for place, body in (
        ("/api/tasks", {"project": reviewed.task.project_id, "title": "x", "target_branch": "nope"}),
        (f"/api/tasks/{reviewed.task_id}/merge", {"target": "nope"}),
    ):
        assert "target_branch" in script.send("post", place, body).json()["fields"]
    assert Task.objects.get(pk=reviewed.task_id).target == "main"


def test_resolving_sends_the_conflicting_files_to_the_agent(
    script: Script, reviewed: Attempt, repository: Path, bob: Any
) -> None:
    address = f"/api/tasks/{reviewed.task_id}/resolve-conflicts"
    assert script.post(address).json()["error"] == "no_conflict"
    target = go_on(repository)
    assert Script(bob).post(address).status_code == 403
    reply = script.post(address)
    assert reply.status_code == 202, reply.content
    session = reviewed.sessions.get(pk=reply.json()["session_id"])
    assert session.inputs == {"conflicts": ["a.txt"], "target_oid": target, "target": "main"}
    assert (session.phase, Task.objects.get(pk=reviewed.task_id).status) == ("fix", "fix")
    assert reviewed.task.events.filter(name="conflicts.sent").exists()


def test_the_target_comes_into_the_workspace_and_the_resolved_change_lands(
    reviewed: Attempt, repository: Path, alice: Any
) -> None:
    target = go_on(repository)
    before = (git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD"))
    workspace = places.workspace(reviewed)
    workspace.create("main", base=reviewed.base_oid, head=reviewed.head_oid)
    for _ in range(2):
        resolving.take_in(workspace, target, "Work")
    assert "<<<<<<< " in (workspace.path / "a.txt").read_text()
    half_done = workspace.commit("Half done")
    workspace.export(half_done)
    reviewed.record(head_oid=half_done)
    session = factories.make_session(
        reviewed, phase="fix", state="completed", inputs={"conflicts": ["a.txt"], "target_oid": target}
    )
    assert landing.marked_files(reviewed) == ["a.txt"]
    with pytest.raises(landing.Conflict, match=r"Marks of a conflict still stand in a.txt"):
        landing.merge(reviewed.task, by=alice)
    (workspace.path / "a.txt").write_text("one\nZWEI\nthree\n")
    head = workspace.commit("Resolved")
    workspace.export(head)
    assert resolving.rest_on(workspace, target, head)
    reviewed.record(head_oid=head, base_oid=target)
    assert (git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD")) == before
    assert [file.path for file in landing.attempt_diff(reviewed).files] == ["a.txt"]
    landing.merge(Task.objects.get(pk=session.task.pk), by=alice)
    assert (repository / "a.txt").read_text() == "one\nZWEI\nthree\n"


def test_just_marking_it_done_keeps_the_branch_and_leaves_the_target_as_it_is(
    script: Script, reviewed: Attempt, repository: Path
) -> None:
    git(repository, "branch", reviewed.branch, reviewed.head_oid)
    before = git(repository, "for-each-ref")
    assert script.send("post", f"/api/tasks/{reviewed.task_id}/mark-done").json()["status"] == "done"
    assert git(repository, "for-each-ref") == before
    assert git(repository, "rev-parse", "main") == reviewed.base_oid
