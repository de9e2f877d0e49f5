"""Who sees what, filing, and a task's verbs, through the pages that people use."""

import pytest
from django.urls import reverse

from tasks.lifecycle import Status
from tasks.models import Task
from tests import factories

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(1)><a hx-get="/">'
HTMX = {"HX-Request": "true"}
TABS = ["tasks:detail", "tasks:plan", "sessions:changes", "tasks:review", "sessions:checks", "tasks:timeline"]
PARTS = ["tasks:card", "tasks:head", "tasks:aside", "sessions:requests", "sessions:gate"]


# --- who sees what -----------------------------------------------------------------------------------------------


def pages(task):
    yield from (reverse(name, args=[task.pk]) for name in [*TABS, *PARTS])
    yield reverse("tasks:board", args=[task.project.key])


def test_a_viewer_sees_every_page(client, task, bob):
    client.force_login(bob)
    for address in pages(task):
        assert client.get(address).status_code == 200, address


def test_a_stranger_is_told_of_nothing(client, task, charlie):
    client.force_login(charlie)
    for address in pages(task):
        assert client.get(address).status_code == 404, address


def test_without_signing_in_there_is_only_the_sign_in_page(client, task):
    for address in [*pages(task), "/", "/projects/", "/projects/new/"]:
        assert client.get(address)["Location"].startswith(reverse("studio:sign-in")), address


def test_home_is_the_board_of_the_only_project(member, project):
    assert member.get("/")["Location"] == f"/projects/{project.key}/"


def test_home_is_one_board_of_all_projects_that_one_may_see(member, project):
    other = factories.make_project(key="OTHER")
    hidden = factories.make_project(key="HIDDEN", roles={})
    for number, place in enumerate([project, other, hidden]):
        factories.make_task(place, title=f"Task {number}")
    home = member.get("/").content.decode()
    assert ("Task 0" in home, "Task 1" in home, "Task 2" in home) == (True, True, False)
    assert f"project-{other.pk}" in home
    assert "Task 2" not in member.get("/columns/to-do/").content.decode()


def test_who_is_in_no_project_is_told_what_to_do(client, charlie):
    client.force_login(charlie)
    assert b"You are in no project" in client.get("/", follow=True).content


def test_staff_without_a_project_are_led_to_adding_one(client, admin):
    client.force_login(admin)
    assert reverse("tasks:new-project").encode() in client.get("/", follow=True).content


# --- filing ------------------------------------------------------------------------------------------------------


def test_a_task_is_filed_from_the_board(member, project):
    answer = member.post(
        f"/projects/{project.key}/tasks/new/", {"title": "Say hello", "description": "Kindly."}
    )
    assert answer["Location"] == f"/projects/{project.key}/"
    task = Task.objects.get()
    assert (task.title, task.description, task.status, task.created_by.username) == (
        "Say hello",
        "Kindly.",
        "todo",
        "alice",
    )


def test_create_and_start_starts_it_too(member, project):
    answer = member.post(f"/projects/{project.key}/tasks/new/", {"title": "Say hello", "start": "1"})
    task = Task.objects.get()
    assert answer["Location"] == f"/tasks/{task.pk}/"
    assert task.status == Status.PLANNING


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"title": ""}, "required"),
        ({"title": "   "}, "required"),
        ({"title": "x" * 201}, "at most 200"),
        ({"title": "x", "description": "x" * 100_001}, "at most 100000"),
        ({"title": "x", "description": "x" * 2_000_000}, "at most 100000"),
        ({"title": "a\0b"}, "Null characters"),
    ],
)
def test_a_task_that_is_not_right_is_not_filed(member, project, data, message):
    answer = member.post(f"/projects/{project.key}/tasks/new/", data)
    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert not Task.objects.exists()


def test_more_than_studio_reads_is_refused_with_413(member, project):
    answer = member.post(
        f"/projects/{project.key}/tasks/new/", {"title": "x", "description": "x" * 3_000_000}
    )
    assert answer.status_code == 413
    assert b"too large" in answer.content


def test_a_viewer_files_nothing(client, project, bob):
    client.force_login(bob)
    answer = client.post(f"/projects/{project.key}/tasks/new/", {"title": "x"})
    assert answer.status_code == 403
    assert not Task.objects.exists()


def test_a_task_can_be_edited(member, task):
    member.post(f"/tasks/{task.pk}/edit/", {"title": "Say goodbye", "description": ""})
    task.refresh_from_db()
    assert task.title == "Say goodbye"


# --- verbs -------------------------------------------------------------------------------------------------------


def ready(task, status):
    """The task in `status`, with an attempt and a plan as its verbs need them."""
    Task.objects.filter(pk=task.pk).update(status=status)
    task.refresh_from_db()
    if status != "todo":
        attempt = factories.make_attempt(task)
        state = "failed" if status == "in_progress" else "completed"
        factories.make_session(
            attempt, phase="implementation", state=state, reason="stalled" if state == "failed" else ""
        )
        factories.make_plan(task)


VERBS = [
    ("execute", "todo", "planning", {}),
    ("cancel", "todo", "cancelled", {}),
    ("retry", "in_progress", "in_progress", {}),
    ("back-to-todo", "in_progress", "todo", {}),
    ("approve-plan", "planning_review", "in_progress", {}),
    ("request-plan-changes", "planning_review", "planning", {"comment": "Smaller steps."}),
    ("request-changes", "review", "fix", {"comment": "Rename it."}),
    ("mark-done", "review", "done", {}),
    ("reopen", "done", "todo", {}),
]


@pytest.mark.parametrize(("verb", "before", "after", "data"), VERBS)
def test_a_verb_moves_the_task_and_leads_back_to_it(member, task, verb, before, after, data):
    ready(task, before)
    answer = member.post(reverse(f"tasks:{verb}", args=[task.pk]), data)
    assert answer["Location"] == f"/tasks/{task.pk}/"
    task.refresh_from_db()
    assert task.status == after


@pytest.mark.parametrize(("verb", "before", "after", "data"), [verb for verb in VERBS if not verb[3]])
def test_with_htmx_a_verb_answers_the_head_of_the_page(member, task, verb, before, after, data):
    ready(task, before)
    page = member.post(reverse(f"tasks:{verb}", args=[task.pk]), headers=HTMX | {"HX-Target": "head"}).content
    assert page.strip().startswith(b'<header class="task-head" id="head"')
    assert b"<html" not in page


def test_started_from_the_board_the_card_answers(member, task):
    headers = HTMX | {"HX-Target": f"task-{task.pk}"}
    page = member.post(f"/tasks/{task.pk}/execute/", headers=headers).content.decode()
    assert page.strip().startswith('<article class="card card--planning')
    assert "Waits for a worker" in page


@pytest.mark.parametrize(("verb", "before", "after", "data"), VERBS)
def test_a_viewer_is_refused_and_a_stranger_finds_nothing(
    client, task, bob, charlie, verb, before, after, data
):
    ready(task, before)
    for person, status in ((bob, 403), (charlie, 404)):
        client.force_login(person)
        assert client.post(reverse(f"tasks:{verb}", args=[task.pk]), data).status_code == status
    client.logout()
    assert client.post(reverse(f"tasks:{verb}", args=[task.pk]), data).status_code == 302
    task.refresh_from_db()
    assert task.status == before


@pytest.mark.parametrize("verb", [verb[0] for verb in VERBS])
def test_verbs_take_a_post(member, task, verb):
    assert member.get(reverse(f"tasks:{verb}", args=[task.pk])).status_code == 405


def test_a_verb_in_the_wrong_state_is_a_conflict_in_words(member, task):
    answer = member.post(f"/tasks/{task.pk}/approve-plan/")
    assert answer.status_code == 409
    assert "which does not allow" in answer.content.decode()


def test_with_htmx_a_conflict_is_a_message_in_the_corner(member, task):
    answer = member.post(f"/tasks/{task.pk}/approve-plan/", headers=HTMX | {"HX-Target": "head"})
    assert (answer.status_code, answer["HX-Retarget"], answer["HX-Reswap"]) == (409, "#toasts", "beforeend")
    assert b"<html" not in answer.content


@pytest.mark.parametrize("verb", ["request-changes", "request-plan-changes"])
def test_asking_for_changes_without_words_asks_again(member, task, verb):
    ready(task, "review" if verb == "request-changes" else "planning_review")
    answer = member.post(reverse(f"tasks:{verb}", args=[task.pk]), {"comment": " "})
    assert answer.status_code == 422
    assert b"field__error" in answer.content


def test_a_person_writes_the_next_version_of_the_plan(member, task):
    ready(task, "planning_review")
    assert (
        member.post(f"/tasks/{task.pk}/plan/write/", {"body": "My way."})["Location"]
        == f"/tasks/{task.pk}/plan/"
    )
    assert (task.plan.version, task.plan.body, task.plan.by.username) == (2, "My way.", "alice")
    page = member.get(f"/tasks/{task.pk}/plan/").content.decode()
    assert "My way." in page
    assert "Version 1" in page


def test_an_edit_of_an_old_version_of_the_plan_is_refused_and_its_text_kept(member, task):
    ready(task, "planning_review")
    address = f"/tasks/{task.pk}/plan/write/"
    assert 'name="base" value="1"' in member.get(address).content.decode()
    assert member.post(address, {"body": "First.", "base": 1}).status_code == 302
    answer = member.post(address, {"body": "Made of what is old.", "base": 1})
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "Made of what is old." in page
    assert 'name="base" value="2"' in page
    assert task.plan.body == "First."


def test_the_api_refuses_a_plan_made_of_an_old_version(member, task):
    ready(task, "planning_review")

    def put(base):
        data = {"body": "Mine.", "base": base}
        return member.put(f"/api/tasks/{task.pk}/plan", data, content_type="application/json")

    assert put(1).json()["version"] == 2
    for old in (1, 9, 10**30):
        answer = put(old)
        assert (answer.status_code, answer.json()["error"]) == (409, "old_plan"), old
    assert task.plan.version == 2


def test_unknown_tasks_and_projects_are_404(member, project):
    for address in (
        "/tasks/999999/",
        "/tasks/999999/plan/",
        "/projects/NOPE/",
        f"/projects/{project.key}/columns/x/",
    ):
        assert member.get(address).status_code == 404, address


# --- hostile texts -----------------------------------------------------------------------------------------------


def test_hostile_texts_of_people_stay_texts(member, project):
    task = factories.make_task(project, status="planning_review", title=HOSTILE[:200], description=HOSTILE)
    factories.make_plan(task, HOSTILE, change_request=HOSTILE)
    session = factories.make_session(factories.make_attempt(task), state="completed")
    factories.make_finding(session, title=HOSTILE, body=HOSTILE, path=HOSTILE)
    task.note("plan.changes_requested", comment=HOSTILE)
    for address in pages(task):
        page = member.get(address).content.decode()
        assert "<script>alert" not in page, address
        assert "<img" not in page.replace('<img src="/static/', ""), address
        assert '<a hx-get="/">' not in page, address
