"""Undoing a merge, by the page and by the API, and what shows that a project is one of jj's."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from sessions import reconcile
from tasks.models import Event, Task
from tests import factories
from tests.scripts import Script, assert_error
from tests.sessions.clones import files_of, jj, make_source, needs_jj, tip, work

pytestmark = pytest.mark.django_db


def in_review(source: Path, **fields: Any) -> Task:
    """A task whose change waits for a merge."""
    project = factories.make_project(source, key="DEMO")
    task = factories.make_task(project, status="review")
    factories.make_attempt(task, base_oid=tip(source), head_oid=work(source), **fields)
    return task


@needs_jj
def test_a_merge_is_undone_by_the_page_and_the_task_is_in_review_again(
    tmp_path: Path, alice: Any, bob: Any, charlie: Any, client: Client
) -> None:
    source = make_source(tmp_path / "source", "jj beside git")
    task, before, seen = in_review(source), tip(source), files_of(source)
    script = Script(alice)
    assert script.send("post", f"/api/tasks/{task.pk}/merge", {}).status_code == 200
    assert tip(source) != before
    for person, status in ((bob, 403), (charlie, 404)):
        assert_error(Script(person).send("post", f"/api/tasks/{task.pk}/undo-merge"), status)
    client.force_login(alice)
    page = client.get(task.get_absolute_url()).content.decode()
    assert "Undo merge" in page
    assert "refs/studio/attempts/DEMO-1-1" in page
    assert client.post(reverse("sessions:undo-merge", args=[task.pk]), follow=True).status_code == 200
    task.refresh_from_db()
    assert (task.status, task.merged_oid, tip(source)) == ("review", "", before)
    assert files_of(source) == seen
    assert Event.objects.filter(task=task, data__verb="undo-merge").count() == 1
    assert_error(script.post(f"/api/tasks/{task.pk}/undo-merge"), 409, "not_merged")
    assert script.send("post", f"/api/tasks/{task.pk}/merge", {}).status_code == 200  # and once more
    jj(source, "undo")  # the person themselves: only the task is left to move
    answer = script.post(f"/api/tasks/{task.pk}/undo-merge")
    assert (answer.status_code, answer.json()["oid"], answer.json()["status"]) == (200, before, "review")


@needs_jj
def test_a_merge_that_others_rely_on_stays_and_the_task_too(tmp_path: Path, alice: Any) -> None:
    source = make_source(tmp_path / "source", "jj alone")
    task, script = in_review(source), Script(alice)
    assert script.send("post", f"/api/tasks/{task.pk}/merge", {}).status_code == 200
    jj(source, "new", "main")
    assert_error(script.post(f"/api/tasks/{task.pk}/undo-merge"), 409, "moved_since")
    task.refresh_from_db()
    assert (task.status, task.merged_oid) == ("done", tip(source))


def test_with_git_a_merge_is_undone_by_hand(tmp_path: Path, alice: Any) -> None:
    source = make_source(tmp_path / "source", "git")
    task, script = in_review(source), Script(alice)
    assert script.send("post", f"/api/tasks/{task.pk}/merge", {}).status_code == 200
    landed = tip(source)
    refusal = assert_error(script.post(f"/api/tasks/{task.pk}/undo-merge"), 409, "not_undoable")
    assert landed in refusal["command"]
    assert tip(source) == landed


# --- what shows that a project is one of jj's ----------------------------------------------------------------------------


@needs_jj
def test_adding_a_repository_of_jj_finds_its_branch_and_says_what_it_is(
    tmp_path: Path, admin: Any, client: Client
) -> None:
    source = make_source(tmp_path / "source", "jj alone")
    answer = Script(admin).send("post", "/api/projects", {"key": "JJ", "name": "Kept", "path": str(source)})
    assert answer.status_code == 201, answer.json()
    assert (answer.json()["backend"], answer.json()["target_branch"]) == ("jj", "main")
    client.force_login(admin)
    listed = client.get(reverse("tasks:projects")).content.decode()
    assert ">jj</span>" in listed
    assert "jj undo" in client.get(reverse("tasks:project-settings", args=["JJ"])).content.decode()


def test_without_jj_the_form_the_pages_and_the_start_say_so(
    tmp_path: Path, admin: Any, client: Client, monkeypatch: Any
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (tmp_path / "kept/.jj/repo").mkdir(parents=True)
    factories.make_project(tmp_path / "kept", key="JJ")
    client.force_login(admin)
    form = {"path": str(tmp_path / "kept"), "name": "", "key": "", "target_branch": "", "checks": ""}
    said = client.post(reverse("tasks:new-project"), form).content.decode()
    pages = [
        client.get(reverse("tasks:projects")),
        client.get(reverse("tasks:project-settings", args=["JJ"])),
    ]
    for text in (said, *(page.content.decode() for page in pages), reconcile.name_missing_tools()):
        assert "jj is not installed here" in text
