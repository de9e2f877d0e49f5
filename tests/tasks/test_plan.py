"""A task's plan as a document: its fields, its versions, what people write on its lines, and the criteria that are met."""

from typing import Any

import pytest
from django.test import Client

from sessions.models import Session
from sessions.phases import prompts
from sessions.phases.verdict import Verdict
from sessions.progress import review_completed
from studio.errors import Conflict
from tasks.models import Evidence, Plan, PlanComment, Task
from tests import factories
from tests.scripts import Script, assert_error, assert_field

pytestmark = pytest.mark.django_db(transaction=True)

BODY = """## Summary

Greet <b>louder</b>.

Complexity: M

## Files to change

- `hello.py`: greets

## Acceptance criteria

- It greets
- It ends
"""


@pytest.fixture
def task(project: Any) -> Task:
    """In plan review, with one version by the agent."""
    task = factories.make_task(project, status="planning_review")
    attempt = factories.make_attempt(task)
    factories.make_session(attempt, phase="planning", state="completed", opencode_session_id="ses_1")
    factories.make_plan(task, BODY)
    return task


@pytest.fixture
def page(client: Client, alice: Any) -> Client:
    client.force_login(alice)
    return client


def shown(client: Client, task: Task, asked: str = "") -> str:
    reply = client.get(f"/tasks/{task.pk}/plan/{asked}")
    assert reply.status_code == 200
    return str(reply.content.decode())


def test_what_a_plan_says_is_shown_beside_it(page: Client, task: Task, alice: Any) -> None:
    html = shown(page, task)
    assert "1 file to change" in html
    assert "<b>M</b>" in html
    assert html.count('class="criterion') >= 2
    fields = Script(alice).get(f"/api/tasks/{task.pk}/plan").json()["fields"]
    assert (fields["complexity"], fields["files"]) == ("M", [{"path": "hello.py", "what": "greets"}])
    assert [each["criterion"] for each in fields["criteria"]] == ["It greets", "It ends"]


def test_a_plan_without_fields_is_shown_as_it_is(page: Client, project: Any) -> None:
    task = factories.make_task(project, status="planning_review")
    factories.make_plan(task, "Just do it.")
    html = shown(page, task)
    assert "Just do it." in html
    assert "In short" not in html


def test_two_versions_are_compared(page: Client, task: Task) -> None:
    factories.make_plan(task, BODY.replace("- It ends", "- It <i>ends</i> well"))
    html = shown(page, task, "?version=2&compare=1")
    assert "<del>- - It ends\n</del>" in html
    assert "<ins>+ - It &lt;i&gt;ends&lt;/i&gt; well\n</ins>" in html
    assert "Greet" not in html.split('class="compared"')[1].split("</pre>")[0].split("…")[0]


def test_the_versions_are_listed_and_read_by_script(task: Task, alice: Any) -> None:
    factories.make_plan(task, "Newer", by=alice)
    script = Script(alice)
    listed = script.get(f"/api/tasks/{task.pk}/plan/versions").json()
    assert [(each["version"], each["by"]) for each in listed] == [(1, None), (2, alice.pk)]
    assert script.get(f"/api/tasks/{task.pk}/plan?version=1").json()["body"] == BODY
    assert_error(script.get(f"/api/tasks/{task.pk}/plan?version=9"), 404)


def test_an_edit_of_an_old_version_is_refused_and_nothing_of_it_is_lost(
    page: Client, task: Task, bob: Any
) -> None:
    assert 'name="base" value="1"' in page.get(f"/tasks/{task.pk}/plan/write/").content.decode()
    factories.make_plan(task, "Of bob", by=bob)
    reply = page.post(f"/tasks/{task.pk}/plan/write/", {"body": "Of alice", "base": "1"})
    html = reply.content.decode()
    assert reply.status_code == 409
    assert "version 2 has come since" in html
    assert "Of alice" in html
    assert 'name="base" value="2"' in html, "saving again makes it the newest"
    assert page.post(f"/tasks/{task.pk}/plan/write/", {"body": "Of alice", "base": "2"}).status_code == 302
    assert [plan.body for plan in task.plans.all()] == [BODY, "Of bob", "Of alice"]


def test_a_script_that_edits_an_old_version_hears_which_is_the_newest(task: Task, alice: Any) -> None:
    script = Script(alice)
    path = f"/api/tasks/{task.pk}/plan"
    assert script.send("put", path, {"body": "Two", "base": 1}).status_code == 200
    error = assert_error(script.send("put", path, {"body": "Three", "base": 1}), 409, "old_plan")
    assert error["newest"] == 2
    assert task.plans.count() == 2


def test_comments_on_lines_go_to_the_agent_with_the_request_for_changes(
    page: Client, task: Task, bob: Any
) -> None:
    form = shown(page, task, "?lines=3")
    assert f'action="/tasks/{task.pk}/plan/1/comment/"' in form
    assert "Greet &lt;b&gt;louder" in form
    said = {"line": "3", "end_line": "5", "body": "How loud?"}
    assert page.post(f"/tasks/{task.pk}/plan/1/comment/", said).status_code == 302
    assert "draft, not sent yet" in shown(page, task, "?lines=yes")
    other = Client()
    other.force_login(bob)
    assert "How loud?" not in shown(other, task, "?lines=yes"), "a draft is its author's alone"
    assert page.post(f"/tasks/{task.pk}/request-plan-changes/", {"comment": ""}).status_code == 302
    assert "How loud?" in shown(other, task, "?lines=yes")
    told = prompts.planning(Session.objects.latest("pk"))
    assert "About lines 3-5:\n> Greet <b>louder</b>.\n> \n> Complexity: M\n\nHow loud?" in told


def test_an_agent_that_is_asked_for_changes_sees_what_a_person_wrote_last(task: Task, alice: Any) -> None:
    Plan.objects.write(task, "Of alice", by=alice)
    told = prompts.planning(task.request_plan_changes("Shorter.", by=alice))
    assert "The plan, as a person wrote it last:\n\nOf alice" in told
    assert "Shorter." in told


def test_a_request_for_changes_says_something(page: Client, task: Task, alice: Any) -> None:
    reply = page.post(f"/tasks/{task.pk}/request-plan-changes/", {"comment": ""})
    assert reply.status_code == 422
    assert_field(Script(alice).post(f"/api/tasks/{task.pk}/request-plan-changes"), "comment")
    task.refresh_from_db()
    assert task.status == "planning_review"


@pytest.mark.parametrize("lines", [(0, 1), (3, 2), (1, 99), (99, 99)])
def test_a_comment_stands_at_lines_that_are_there(task: Task, alice: Any, lines: tuple[int, int]) -> None:
    said = {"line": lines[0], "end_line": lines[1], "body": "Here?"}
    assert_error(Script(alice).send("post", f"/api/tasks/{task.pk}/plan/comments", said), 422)
    assert not PlanComment.objects.exists()


def test_only_the_newest_version_in_review_is_commented_on(task: Task, alice: Any) -> None:
    first = task.plans.get()
    factories.make_plan(task, "Newer")
    with pytest.raises(Conflict):
        first.comment("Late", line=1, by=alice)


def test_a_draft_is_discarded_by_its_author_and_not_once_it_is_sent(
    task: Task, alice: Any, bob: Any, project: Any
) -> None:
    script, path = Script(alice), f"/api/tasks/{task.pk}/plan/comments"
    project.memberships.filter(user=bob).update(role="member")
    made = [script.send("post", path, {"line": 1, "body": text}).json()["id"] for text in ("One", "Two")]
    assert_error(Script(bob).send("delete", f"{path}/{made[0]}"), 404)
    assert script.send("delete", f"{path}/{made[0]}").status_code == 204
    assert script.post(f"/api/tasks/{task.pk}/request-plan-changes").status_code == 202
    assert_error(script.send("delete", f"{path}/{made[1]}"), 409)


def test_a_criterion_is_met_by_a_persons_word_until_they_take_it_back(page: Client, task: Task) -> None:
    path = f"/tasks/{task.pk}/criteria/"
    assert page.post(path, {"criterion": "It greets"}).status_code == 302
    assert "criterion--met" in shown(page, task)
    factories.make_plan(task, BODY + "\nMore.")
    assert "criterion--met" in shown(page, task), "the words are the same in the new version"
    page.post(path, {"criterion": "It greets", "unmet": "yes"})
    assert "criterion--met" not in shown(page, task)
    names = list(task.events.filter(name__startswith="criterion").values_list("name", flat=True))
    assert names == ["criterion.met", "criterion.unmet"]


def test_what_is_no_criterion_is_not_met(page: Client, task: Task, alice: Any, charlie: Any) -> None:
    assert page.post(f"/tasks/{task.pk}/criteria/", {"criterion": "Mine"}).status_code == 422
    path = f"/api/tasks/{task.pk}/criteria"
    assert_field(Script(alice).send("post", path, {"criterion": "Mine"}), "criterion")
    assert Script(charlie).send("post", path, {"criterion": "It greets"}).status_code in (403, 404)
    assert not Evidence.objects.exists()


def test_a_review_ticks_the_criteria_that_it_saw_met(project: Any) -> None:
    task = factories.make_task(project, status="ai_review")
    attempt = factories.make_attempt(task)
    plan = factories.make_plan(task, BODY)
    plan.approve(by=None)
    session = factories.make_session(attempt, phase="review", state="running")
    assert "1. It greets\n2. It ends" in prompts.review(session, "diff")
    said: dict[str, Any] = {"verdict": "approved", "criteria_met": [2, 9, -1, "1", True]}
    review_completed(session, Verdict.model_validate(said))
    (evidence,) = Evidence.objects.all()
    assert (evidence.criterion, evidence.by, evidence.session_id) == ("It ends", None, session.pk)
