"""Attempts of a task beside each other: what each came to, and the changes of two of them file by file."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from sessions import places
from sessions.models import Attempt
from tasks.models import Task
from tests import factories
from tests.scripts import Script

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def home(settings: Any, tmp_path: Path) -> None:
    """A data folder of its own."""
    settings.STUDIO_HOME = tmp_path / "home"
    settings.STUDIO_HOME.mkdir()


@pytest.fixture
def two(project: Any) -> Task:
    """A task with two attempts in review: both wrote same.txt alike, each changed one file more, and differently."""
    task = factories.make_task(project, status="review")
    for number, texts in (
        (1, {"same.txt": "same\n", "first.txt": "one\ntwo\n"}),
        (2, {"same.txt": "same\n", "second.txt": "<b>\n"}),
    ):
        attempt = factories.make_attempt(task)
        workspace = places.workspace(attempt)
        base = workspace.create("main")
        for name, text in texts.items():
            (places.folder(attempt) / "workspace" / name).write_text(text)
        head = workspace.commit("Work")
        workspace.export(head)
        attempt.record(base_oid=base, head_oid=head)
        session = factories.make_session(
            attempt,
            phase="implementation",
            state="completed",
            model=f"acme/m{number}",
            cost=number,
            tokens={"input": 10 * number, "output": number},
        )
        factories.make_check_result(
            factories.make_session(attempt, phase="checks", state="completed"),
            state="failed" if number == 1 else "passed",
        )
        if number == 1:
            factories.make_finding(session, severity="error")
    return task


def test_each_attempt_says_what_it_came_to(two: Task, alice: Any) -> None:
    first, second = Script(alice).get(f"/api/tasks/{two.pk}/attempts/compare").json()
    assert (first["number"], first["checks"], first["findings"]) == (1, {"pytest": "failed"}, {"error": 1})
    assert (second["number"], second["checks"], second["findings"]) == (2, {"pytest": "passed"}, {})
    assert (first["files"], first["additions"], second["additions"]) == (2, 3, 2)
    assert (first["cost"], first["models"], first["tokens"]) == (1.0, ["acme/m1"], {"input": 10, "output": 1})
    assert (first["is_current"], second["is_current"]) == (False, True)


def test_the_page_shows_two_changes_file_by_file(two: Task, alice: Any, client: Client) -> None:
    client.force_login(alice)
    page = client.get(f"/tasks/{two.pk}/attempts/compare/").content.decode()
    for words in (
        "1 of 1 red",
        "1 green",
        "1 error",
        "acme/m2",
        "the same in both",
        "It did not change this file.",
        "&lt;b&gt;",
    ):
        assert words in page
    assert page.count("It did not change this file.") == 2
    assert "Choose attempt 1" in page
    swapped = client.get(f"/tasks/{two.pk}/attempts/compare/?left=2&right=1").content.decode()
    assert '<option value="2" selected>2</option>' in swapped.split('name="right"')[0]


@pytest.mark.parametrize("query", ["left=9&right=x", "left=1&right=1", "left=&right=-1"])
def test_an_attempt_that_is_not_there_is_no_trouble(
    two: Task, alice: Any, client: Client, query: str
) -> None:
    client.force_login(alice)
    assert client.get(f"/tasks/{two.pk}/attempts/compare/?{query}").status_code == 200


def test_one_attempt_is_compared_with_nothing(task: Task, alice: Any, client: Client) -> None:
    factories.make_attempt(task)
    client.force_login(alice)
    assert "nothing to compare" in client.get(f"/tasks/{task.pk}/attempts/compare/").content.decode()


def test_a_change_that_cannot_be_read_is_said(two: Task, alice: Any, client: Client) -> None:
    shutil.rmtree(two.project.path)
    client.force_login(alice)
    assert "cannot be read" in client.get(f"/tasks/{two.pk}/attempts/compare/").content.decode()
    shown = Script(alice).get(f"/api/tasks/{two.pk}/attempts/compare").json()
    assert shown[0]["files"] is None


def test_only_who_sees_the_task_sees_its_attempts_compared(
    two: Task, bob: Any, charlie: Any, client: Client
) -> None:
    for person, status in ((bob, 200), (charlie, 404)):
        client.force_login(person)
        assert client.get(f"/tasks/{two.pk}/attempts/compare/").status_code == status
        assert Script(person).get(f"/api/tasks/{two.pk}/attempts/compare").status_code == status
    assert Attempt.objects.count() == 2
