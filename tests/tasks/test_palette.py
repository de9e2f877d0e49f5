"""A task, a project, a page or a verb is found by a few letters."""

from typing import Any

import pytest

from tests import factories

pytestmark = pytest.mark.django_db


def found(reader: Any, query: str) -> str:
    answer = reader.get(f"/go/?{query}", headers={"HX-Request": "true"})
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_a_task_is_found_by_its_key_its_number_and_its_title(member: Any, task: Any) -> None:
    hidden = factories.make_task(factories.make_project(key="HIDE", roles={}), title="Say nothing")
    for words in (task.key.lower(), str(task.number), "say HELLO"):
        assert task.get_absolute_url() in found(member, f"q={words}")
    for words in (hidden.key, "say nothing"):
        assert "Nothing is called" in found(member, f"q={words}")


def test_projects_pages_and_the_verbs_of_the_open_task_are_offered(member: Any, task: Any, bob: Any) -> None:
    here = f"q=&task={task.pk}&project=DEMO"
    for said in ("/needs-you/", "/projects/DEMO/", f"/tasks/{task.pk}/execute/", "/projects/DEMO/tasks/new/"):
        assert said in found(member, here)
    member.force_login(bob)
    assert "/execute/" not in found(member, here)
    assert "tasks/new/" not in found(member, here)


@pytest.mark.parametrize("query", ["task=x", "task=" + "9" * 30, "q=" + "9" * 300, "q=%00"])
def test_nonsense_finds_nothing(member: Any, project: Any, query: str) -> None:
    assert found(member, query)


def test_without_javascript_it_is_a_page_with_the_keys(member: Any, task: Any) -> None:
    page = member.get(f"/go/?q={task.key}").content.decode()
    assert task.title in page
    assert "Mark the file as viewed" in page
