"""The board, its columns and its cards."""

import pytest
from django.template.loader import render_to_string

from tasks import lifecycle
from tasks.lifecycle import Status
from tasks.models import Task
from tests import factories


@pytest.mark.parametrize("status", Status.values)
def test_every_state_has_its_place(member, project, status):
    task = factories.make_task(project, status=status, title="Find me")
    board = member.get(f"/projects/{project.key}/").content.decode()
    shown = any(status in column.statuses for column in lifecycle.COLUMNS)
    assert (f'id="task-{task.pk}"' in board) == shown
    if not shown:
        assert "1 cancelled" in board
        assert "Find me" in member.get(f"/projects/{project.key}/?view=list&state=cancelled").content.decode()


def test_done_is_windowed(member, project):
    for number in range(23):
        factories.make_task(project, status="done", title=f"Done {number}")
    board = member.get(f"/projects/{project.key}/").content.decode()
    assert board.count('class="card ') == 20
    assert "3 more" in board
    assert (
        member.get(f"/projects/{project.key}/?view=list&state=done").content.decode().count('<tr id="row-')
        == 23
    )


def test_the_board_asks_no_more_for_fifty_tasks_than_for_one(member, project, django_assert_max_num_queries):
    for number in range(50):
        task = factories.make_task(
            project, status=["planning", "in_progress", "review", "done", "todo"][number % 5]
        )
        session = factories.make_session(factories.make_attempt(task), phase="checks", state="completed")
        factories.make_check_result(session)
        factories.make_finding(session)
    with django_assert_max_num_queries(20):
        member.get(f"/projects/{project.key}/")


def test_a_column_can_be_fetched_alone(member, project):
    factories.make_task(project, status="fix", title="In the fix")
    page = member.get(f"/projects/{project.key}/columns/build/").content.decode()
    assert page.strip().startswith('<section class="column" id="column-build"')
    assert "In the fix" in page


def test_a_viewer_s_page_hides_what_only_members_may(client, project, bob):
    client.force_login(bob)
    assert b'<body class="role-viewer">' in client.get(f"/projects/{project.key}/").content


# --- cards -------------------------------------------------------------------------------------------------------


def card(task):
    return render_to_string("tasks/_card.html", {"task": Task.objects.get(pk=task.pk)})


def test_a_card_needs_no_request_and_carries_no_form(task):
    html = card(task)
    assert f'id="task-{task.pk}"' in html
    assert "data-rev=" in html
    assert "<form" not in html
    assert "csrf" not in html
    assert "to do" in html
    assert f'formaction="/tasks/{task.pk}/execute/"' in html


@pytest.mark.parametrize(
    ("status", "session", "words"),
    [
        ("planning", {"state": "queued"}, "Waits for a worker"),
        ("planning", {"state": "running", "doing": "read tasks/models.py"}, "read tasks/models.py"),
        ("planning", {"state": "running", "retry_notice": "rate limited"}, "Waits for the provider"),
        ("planning_review", {"state": "completed"}, "Plan waits for approval"),
        ("in_progress", {"state": "starting", "phase": "implementation"}, "The agent starts"),
        (
            "in_progress",
            {"state": "failed", "phase": "implementation", "reason": "stalled"},
            "Nothing happened for too long",
        ),
        ("in_progress", {"state": "failed", "phase": "implementation", "reason": "stalled"}, "then retry"),
        ("ai_review", {"state": "running", "phase": "review"}, "Reviews the change"),
        ("fix", {"state": "running", "phase": "fix"}, "Fixes"),
        ("review", {"state": "completed", "phase": "review"}, "Waits for review"),
        ("done", {"state": "completed", "phase": "review"}, "done"),
    ],
)
def test_a_card_says_what_the_task_does_or_waits_for(project, status, session, words):
    task = factories.make_task(project, status=status)
    factories.make_session(factories.make_attempt(task), **session)
    assert words in card(task)
    assert "data-since" in card(task)


def test_a_card_says_what_the_agent_asks(project):
    task = factories.make_task(project, status="in_progress")
    session = factories.make_session(factories.make_attempt(task), phase="implementation", state="waiting")
    factories.make_request(session)
    assert "Asks leave" in card(task)
    assert "pip install httpx" in card(task)
    assert "card--calls" in card(task)


def test_a_card_says_stopping_at_once(member, project):
    task = factories.make_task(project, status="in_progress")
    factories.make_session(factories.make_attempt(task, lease="claimed"), phase="implementation")
    member.post(f"/tasks/{task.pk}/cancel/")
    assert "Stopping…" in card(task)
    assert "Stopping…" in member.get(f"/tasks/{task.pk}/").content.decode()


def test_a_card_counts_checks_findings_and_money(project):
    task = factories.make_task(project, status="review")
    session = factories.make_session(
        factories.make_attempt(task), phase="checks", state="completed", cost="0.14"
    )
    factories.make_check_result(session)
    factories.make_check_result(session, "ruff", state="failed", exit_code=1)
    factories.make_finding(session)
    html = card(task)
    for chip in ("1 of 2 checks red", "1 finding", "$0.14"):
        assert chip in html


# --- moving them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "drops"),
    [
        ("todo", "plan=execute build=execute"),
        ("in_progress", "to-do=back-to-todo"),
        ("review", "to-do=back-to-todo done=mark-done"),
        ("done", "to-do=reopen"),
    ],
)
def test_where_a_card_may_be_dropped_is_what_a_person_may_do(member, project, status, drops):
    task = factories.make_task(project, status=status)
    if status != "todo":
        factories.make_attempt(task)
    assert f'data-drops="{drops}"' in card(task)
    for drop in drops.split():
        column, verb = drop.split("=")
        Task.objects.filter(pk=task.pk).update(status=status)
        task.attempts.update(status=status, ended_at=None)
        assert member.post(f"/tasks/{task.pk}/{verb}/").status_code == 302, drop
        if column != "build":
            assert f'id="task-{task.pk}"' in member.get(f"/projects/DEMO/columns/{column}/").content.decode()
        task.attempts.exclude(sessions=None).delete()


def test_a_card_s_menu_offers_the_same_and_leads_to_gates_without_passing_them(member, task, project):
    menu = member.get(f"/tasks/{task.pk}/moves/").content.decode()
    assert f'action="/tasks/{task.pk}/execute/"' in menu
    assert f'action="/tasks/{task.pk}/cancel/"' in menu
    assert f'href="/tasks/{task.pk}/moves/"' in card(task)
    reviewed = factories.make_task(project, status="review")
    factories.make_attempt(reviewed)
    menu = member.get(f"/tasks/{reviewed.pk}/moves/", headers={"HX-Request": "true"}).content.decode()
    assert "mark-done" in menu
    assert "/merge/" not in menu
    assert f"/tasks/{reviewed.pk}/changes/" in menu
