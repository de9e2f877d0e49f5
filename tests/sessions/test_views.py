"""What an agent does, as people see it, and the answers that they give."""

import pytest
from django.template.loader import render_to_string
from django.urls import reverse

from sessions import landing
from sessions.models import Request
from sessions.views import WINDOW
from sessions.workspaces.diff import Diff, FileDiff, Hunk, Line
from studio.errors import Conflict
from tasks.models import Task
from tests import factories

HOSTILE = '<script>alert(1)</script><img src="https://example.org/x"><b hx-get="/" data-hx-get="/">'
HTMX = {"HX-Request": "true"}


@pytest.fixture
def member(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def session(project):
    task = factories.make_task(project, status="in_progress")
    return factories.make_session(factories.make_attempt(task), phase="implementation")


def page(client, session, tab="tasks:detail"):
    return client.get(reverse(tab, args=[session.task.pk])).content.decode()


def entry_html(entry):
    return render_to_string("sessions/_entry.html", {"entry": entry})


# --- the feed ----------------------------------------------------------------------------------------------------


def test_every_session_of_the_attempt_is_there_in_order(member, session):
    factories.make_activity(session, text="The parser is in place.")
    type(session).objects.filter(pk=session.pk).update(state="completed")
    factories.make_session(
        session.attempt, phase="checks", state="failed", reason="workspace", detail="No space left"
    )
    html = page(member, session)
    assert html.index("The parser is in place.") < html.rindex("No space left")
    assert "The workspace could not be made" in html


def test_the_feed_says_where_it_is_for_the_live_stream(member, session):
    entry = factories.make_activity(session)
    html = page(member, session)
    assert (
        f'data-topic="session-{session.pk}" data-cursor="1" data-catch-up="/sessions/{session.pk}/catch-up/"'
        in html
    )
    assert f'id="activity-{entry.pk}" data-rev="1" data-seq="1"' in html


def test_a_long_session_shows_its_end_and_leads_to_the_rest(member, session):
    for number in range(WINDOW + 5):
        factories.make_activity(session, text=f"entry number {number}.")
    html = page(member, session)
    assert "entry number 5." in html
    assert "entry number 4." not in html
    earlier = member.get(f"/sessions/{session.pk}/earlier/?before=6").content.decode()
    assert "entry number 4." in earlier
    assert "entry number 5." not in earlier


def test_a_session_that_begins_later_is_fetched_by_the_open_page(member, session):
    address = f"/tasks/{session.task.pk}/later/{session.pk}/"
    assert member.get(address, headers=HTMX).status_code == 204
    type(session).objects.filter(pk=session.pk).update(state="completed")
    after = factories.make_session(session.attempt, phase="checks")
    html = member.get(address, headers=HTMX).content.decode()
    assert f'id="session-{after.pk}"' in html
    assert f"/later/{after.pk}/" in html


def test_an_earlier_attempt_can_be_looked_at(member, session):
    factories.make_activity(session, text="The first try.")
    type(session).objects.filter(pk=session.pk).update(state="failed")
    factories.make_attempt(session.task)
    assert "The first try." not in page(member, session)
    assert "The first try." in member.get(f"/tasks/{session.task.pk}/?attempt=1").content.decode()


# --- entries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"kind": "message", "text": "It **works**."}, "<strong>works</strong>"),
        ({"kind": "reasoning", "text": "Let me see."}, "Thought"),
        ({"kind": "prompt", "text": "You plan."}, "Prompt"),
        ({"kind": "error", "text": "APIError: 500"}, "APIError: 500"),
        ({"kind": "patch", "metadata": {"files": ["/a/b/c/d/e.py"]}}, "Changed …/c/d/e.py"),
        (
            {"kind": "tool", "tool": "read", "title": "a.py", "state": "completed", "output": "1\n2"},
            "2 lines",
        ),
        ({"kind": "tool", "tool": "glob", "input": {"pattern": "**/*.py"}, "state": "completed"}, "**/*.py"),
        (
            {
                "kind": "tool",
                "tool": "bash",
                "input": {"command": "ls"},
                "metadata": {"exit": 2},
                "state": "completed",
            },
            "exit 2",
        ),
        (
            {"kind": "tool", "tool": "bash", "input": {"command": "ls"}, "state": "running"},
            'aria-label="running"',
        ),
        (
            {"kind": "tool", "tool": "read", "state": "error", "output": "File not found: x"},
            "File not found: x",
        ),
        (
            {
                "kind": "tool",
                "tool": "edit",
                "title": "a.py",
                "state": "completed",
                "metadata": {"diff": "--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n"},
            },
            '<span class="plus">+new</span>',
        ),
        (
            {
                "kind": "tool",
                "tool": "write",
                "input": {"filePath": "a", "content": "1\n2\n3"},
                "state": "completed",
            },
            "+3",
        ),
        (
            {
                "kind": "tool",
                "tool": "todowrite",
                "state": "completed",
                "input": {"todos": [{"status": "completed"}, {}]},
            },
            "1 of 2 done",
        ),
        ({"kind": "tool", "tool": "grep", "state": "completed", "depth": 2}, "entry--depth-2"),
        ({"kind": "compaction"}, "Compaction"),
    ],
)
def test_an_entry_is_drawn_by_its_kind_without_a_request(session, fields, shown):
    html = entry_html(factories.make_activity(session, **fields))
    assert shown in html
    assert "<form" not in html


def test_every_kind_has_an_element_of_its_own(session):
    for kind in type(factories.make_activity(session)).Kind.values:
        entry = factories.make_activity(session, kind=kind)
        assert f'id="activity-{entry.pk}"' in entry_html(entry)


@pytest.mark.parametrize(
    "odd", [None, [], "text", 7, {"todos": "x"}, {"files": 1, "filediff": 2, "exit": "x"}]
)
def test_odd_data_of_a_tool_breaks_nothing(session, odd):
    for tool in ("bash", "edit", "todowrite", "write", "unknown", ""):
        entry = factories.make_activity(session, kind="tool", tool=tool)
        entry.input = entry.metadata = odd
        assert "activity-" in entry_html(entry)


def test_arguments_and_output_are_fetched_when_they_are_opened(member, session):
    entry = factories.make_activity(
        session, kind="tool", tool="bash", input={"command": "ls -la"}, output="total 0"
    )
    assert "total 0" not in page(member, session)
    address = f"/sessions/{session.pk}/entries/{entry.pk}/"
    assert f'href="{address}"' in page(member, session)
    part = member.get(address, headers=HTMX).content.decode()
    assert "ls -la" in part
    assert "total 0" in part
    assert "<html" not in part
    assert "<html" in member.get(address).content.decode()


def test_an_entry_of_another_session_is_not_found_here(member, session, project):
    other = factories.make_session(factories.make_attempt(factories.make_task(project)))
    entry = factories.make_activity(other)
    assert member.get(f"/sessions/{session.pk}/entries/{entry.pk}/").status_code == 404


def test_hostile_texts_of_an_agent_stay_texts(member, session, monkeypatch):
    for kind in ("prompt", "message", "reasoning", "error", "file"):
        factories.make_activity(session, kind=kind, text=HOSTILE, title=HOSTILE)
    tool = factories.make_activity(
        session,
        kind="tool",
        tool=HOSTILE[:60],
        title=HOSTILE,
        input={HOSTILE: HOSTILE, "command": HOSTILE},
        output=HOSTILE,
        state="error",
        metadata={"diff": f"@@\n+{HOSTILE}\n"},
    )
    factories.make_activity(session, kind="patch", metadata={"files": [HOSTILE]})
    factories.make_request(session, body={"permission": HOSTILE, "patterns": [HOSTILE], "always": [HOSTILE]})
    question = {
        "header": HOSTILE,
        "question": HOSTILE,
        "options": [{"label": HOSTILE, "description": HOSTILE}],
    }
    factories.make_request(session, kind="question", body={"questions": [question]})
    factories.make_check_result(session, HOSTILE[:90], output=HOSTILE, state="failed")
    kind = type(session)
    kind.objects.filter(pk=session.pk).update(
        doing=HOSTILE[:200],
        retry_notice=HOSTILE,
        todos=[{"content": HOSTILE, "status": "pending"}],
        detail=HOSTILE,
        result={"verdict": "approved", "summary": HOSTILE},
    )
    line = Line(kind="+", old_no=None, new_no=1, text=HOSTILE)
    file = FileDiff(path=HOSTILE, old_path=HOSTILE, status="renamed", hunks=[Hunk(HOSTILE, 1, 1, [line])])
    monkeypatch.setattr(landing, "attempt_diff", lambda attempt: Diff([file], 1, 0, cut=HOSTILE))
    tabs = ["tasks:detail", "sessions:changes", "sessions:checks", "tasks:review", "tasks:timeline"]
    pages = [page(member, session, tab) for tab in tabs]
    pages.append(member.get(f"/sessions/{session.pk}/entries/{tool.pk}/").content.decode())
    for html in pages:
        assert "<script>alert" not in html
        assert '<img src="https' not in html
        assert "<b hx-get" not in html


# --- changes and checks ------------------------------------------------------------------------------------------


def a_diff():
    lines = [
        Line(" ", 1, 1, "def one():"),
        Line("-", 2, None, "    return 2"),
        Line("+", None, 2, "    return 1"),
    ]
    return Diff(
        files=[
            FileDiff("sample.py", "sample.py", "modified", 1, 1, hunks=[Hunk("", 1, 1, lines)]),
            FileDiff("new.py", "new.py", "added", 0, 0),
            FileDiff("logo.png", "logo.png", "added", binary=True),
            FileDiff("huge.txt", "huge.txt", "modified", 9_000, 0, too_large=True),
        ],
        additions=1,
        deletions=1,
        cut="1 more file is not shown.",
    )


def test_the_diff_shows_lines_files_and_findings_where_they_belong(member, session, monkeypatch):
    monkeypatch.setattr(landing, "attempt_diff", lambda attempt: a_diff())
    factories.make_finding(session, title="At the line", path="sample.py", line=2)
    factories.make_finding(session, title="Elsewhere in the file", path="sample.py", line=99)
    html = page(member, session, "sessions:changes")
    assert html.index("Elsewhere in the file") < html.index("    return 1") < html.index("At the line")
    for words in ("A binary file", "too large to show", "1 more file is not shown.", "4 files"):
        assert words in html


def test_without_an_attempt_there_are_no_changes(member, task):
    assert "has not been started" in member.get(f"/tasks/{task.pk}/changes/").content.decode()


def test_in_review_the_changes_end_in_the_gate(member, session):
    Task.objects.filter(pk=session.task.pk).update(status="review")
    type(session).objects.filter(pk=session.pk).update(state="completed")
    html = page(member, session, "sessions:changes")
    assert f'action="/tasks/{session.task.pk}/merge/"' in html
    assert f'action="/tasks/{session.task.pk}/request-changes/"' in html


def test_merge_lands_the_change_and_leads_back(member, session, monkeypatch, alice):
    merged = []
    monkeypatch.setattr(landing, "merge", lambda task, by, **how: merged.append((task.pk, by)))
    assert member.post(f"/tasks/{session.task.pk}/merge/")["Location"] == f"/tasks/{session.task.pk}/"
    assert merged == [(session.task.pk, alice)]


def test_a_merge_that_cannot_be_says_why_and_how_to_do_it_by_hand(member, session, monkeypatch):
    def refuse(task, by, **how):
        raise Conflict("Your checkout has changes.", command="git merge studio/DEMO-1-1")

    monkeypatch.setattr(landing, "merge", refuse)
    answer = member.post(f"/tasks/{session.task.pk}/merge/")
    assert answer.status_code == 409
    assert b"Your checkout has changes." in answer.content
    assert b"git merge studio/DEMO-1-1" in answer.content


def test_merge_is_refused_to_viewers_and_hidden_from_strangers(client, session, bob, charlie):
    for person, status in ((bob, 403), (charlie, 404)):
        client.force_login(person)
        assert client.post(f"/tasks/{session.task.pk}/merge/").status_code == status


def test_checks_show_what_they_printed(member, session):
    factories.make_check_result(session, output="1 failed, 2 passed", state="failed", exit_code=1)
    html = page(member, session, "sessions:checks")
    assert "1 failed, 2 passed" in html
    assert "$ pytest -q" in html
    assert "exit 1" in html


# --- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data", "answer"),
    [
        ("permission", {"reply": "once"}, {"reply": "once", "message": ""}),
        ("permission", {"reply": "always"}, {"reply": "always", "message": ""}),
        (
            "permission",
            {"reply": "reject", "message": "Use the standard library."},
            {"reply": "reject", "message": "Use the standard library."},
        ),
        ("question", {"question-0": "Blue"}, {"answers": [["Blue"]]}),
        ("question", {"own-0": "Green"}, {"answers": [["Green"]]}),
        ("question", {"reply": "reject"}, {"reject": True}),
    ],
)
def test_a_person_answers_the_agent(member, session, alice, kind, data, answer):
    asked = factories.make_request(session, kind=kind)
    assert f'action="/requests/{asked.pk}/answer/"' in page(member, session)
    assert member.post(f"/requests/{asked.pk}/answer/", data)["Location"] == f"/tasks/{session.task.pk}/"
    asked.refresh_from_db()
    assert (asked.state, asked.answer, asked.answered_by) == ("answered", answer, alice)


def test_with_htmx_the_requests_that_are_left_answer(member, session):
    first, second = factories.make_request(session), factories.make_request(session)
    html = member.post(f"/requests/{first.pk}/answer/", {"reply": "once"}, headers=HTMX).content.decode()
    assert html.strip().startswith('<div id="requests"')
    assert f"request-{first.pk}" not in html
    assert f"request-{second.pk}" in html


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("permission", {}),
        ("permission", {"reply": "yes"}),
        ("question", {}),
        ("question", {"question-0": "Purple"}),
    ],
)
def test_no_answer_is_no_answer(member, session, kind, data):
    asked = factories.make_request(session, kind=kind)
    assert member.post(f"/requests/{asked.pk}/answer/", data).status_code == 422
    asked.refresh_from_db()
    assert asked.state == Request.State.OPEN


def test_the_first_answer_wins(member, session, bob):
    asked = factories.make_request(session)
    asked.give_answer({"reply": "once"}, by=bob)
    answer = member.post(f"/requests/{asked.pk}/answer/", {"reply": "reject"})
    assert answer.status_code == 409
    assert b"answered already, by bob" in answer.content


def test_viewers_do_not_answer_and_strangers_find_no_request(client, session, bob, charlie):
    asked = factories.make_request(session)
    for person, status in ((bob, 403), (charlie, 404)):
        client.force_login(person)
        assert client.post(f"/requests/{asked.pk}/answer/", {"reply": "once"}).status_code == status


def test_sessions_are_hidden_from_strangers(client, session, charlie):
    entry = factories.make_activity(session)
    client.force_login(charlie)
    for part in ("head", "earlier", "catch-up", f"entries/{entry.pk}"):
        assert client.get(f"/sessions/{session.pk}/{part}/").status_code == 404, part
