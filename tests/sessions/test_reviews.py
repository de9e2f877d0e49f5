"""Findings and comments: where they stand, what people decide about them, and what that lets through."""

import json

import pytest

from sessions import anchors
from sessions.models import Session
from sessions.phases import answers_to_comments, prompts
from sessions.phases.parts import split
from sessions.phases.verdict import Verdict
from sessions.progress import obstacles, review_completed
from studio.roles import Role
from tasks.models import Approval, Comment, Finding
from tests import factories
from tests.factories import git
from tests.scripts import Script, assert_error, assert_field

SOURCE = "".join(f"line {number}\n" for number in range(1, 31))


@pytest.fixture
def attempt(repository, alice, bob):
    """In review, with one commit beyond main: src/a.py of 30 lines."""
    project = factories.make_project(repository)
    task = factories.make_task(project, status="review")
    base = git(repository, "rev-parse", "HEAD")
    head = commit(repository, {"src/a.py": SOURCE, "src/b.py": "x = 1\n"})
    return factories.make_attempt(task, base_oid=base, head_oid=head)


@pytest.fixture
def session(attempt):
    return factories.make_session(
        attempt, phase="review", state="completed", result={"verdict": "changes_requested"}
    )


def commit(repository, files, *, remove=()):
    """A commit on what is checked out; its id."""
    for name, text in files.items():
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(text)
    for name in remove:
        (repository / name).unlink()
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "More")
    return git(repository, "rev-parse", "HEAD")


def anchored(attempt, session, **fields):
    """A saved finding at its lines."""
    usual = {
        "task": attempt.task,
        "session_id": session.pk,
        "attempt_number": attempt.number,
        "severity": "error",
    }
    finding = Finding(**(usual | {"title": "Wrong", "path": "src/a.py"} | fields))
    anchors.anchor(attempt, [finding])
    finding.save()
    return finding


def go_on(attempt, head):
    for shift in anchors.shifts(attempt, head):
        shift.take()


@pytest.fixture
def script(alice):
    return Script(alice)


@pytest.fixture
def maintainer(attempt):
    user = factories.make_user("mia")
    attempt.task.project.memberships.create(user=user, role=Role.MAINTAINER)
    return Script(user)


# --- where they stand -----------------------------------------------------------------------------------------------


def test_a_finding_is_tied_to_the_commit_and_the_text_of_its_lines(attempt, session):
    finding = anchored(attempt, session, line=3, end_line=4)
    assert (finding.found_oid, finding.oid) == (attempt.head_oid, attempt.head_oid)
    assert finding.quote == "line 3\nline 4"
    assert finding.where == "src/a.py:3-4"


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ({"path": "src/a.py", "line": 99}, ("src/a.py", None)),
        ({"path": "nowhere.py", "line": 2}, ("nowhere.py", None)),
        ({"path": "src", "line": 1}, ("src", None)),
        ({"path": "", "line": None}, ("", None)),
        ({"path": "src/a.py", "line": 29, "end_line": 99}, ("src/a.py", 29)),
    ],
)
def test_a_place_that_is_not_there_becomes_the_nearest_that_is(attempt, session, place, kept):
    finding = anchored(attempt, session, **place)
    assert (finding.path, finding.line) == kept
    assert (finding.end_line or 0) <= 31


@pytest.mark.parametrize(
    ("change", "now"),
    [
        ({"src/b.py": "x = 2\n"}, ("src/a.py", 10, 12, False)),
        ({"src/a.py": "new\nnew\n" + SOURCE}, ("src/a.py", 12, 14, False)),
        ({"src/a.py": SOURCE.replace("line 2\n", "")}, ("src/a.py", 9, 11, False)),
        ({"src/a.py": SOURCE + "more\n"}, ("src/a.py", 10, 12, False)),
        ({"src/a.py": SOURCE.replace("line 11\n", "LINE 11\n")}, ("src/a.py", 10, 12, True)),
        ({"src/a.py": SOURCE.replace("line 11\n", "line 11\nbetween\n")}, ("src/a.py", 10, 12, True)),
        ({"src/a.py": SOURCE.replace("line 10\nline 11\nline 12\n", "")}, ("src/a.py", 10, 12, True)),
        ({"src/a.py": "all new\n"}, ("src/a.py", 10, 12, True)),
    ],
)
def test_a_finding_moves_with_its_lines_and_is_outdated_when_they_change(
    attempt, session, repository, change, now
):
    finding = anchored(attempt, session, line=10, end_line=12)
    head = commit(repository, change)
    go_on(attempt, head)
    go_on(attempt, head)  # a worker that died may do it again
    finding.refresh_from_db()
    assert (finding.path, finding.line, finding.end_line, finding.outdated) == now
    assert finding.oid == (attempt.head_oid if finding.outdated else head)


def test_a_finding_goes_with_a_renamed_file_and_is_outdated_in_a_deleted_one(attempt, session, repository):
    kept = anchored(attempt, session, line=10)
    gone = anchored(attempt, session, path="src/b.py", line=1)
    go_on(attempt, commit(repository, {"src/c.py": "top\n" + SOURCE}, remove=["src/a.py", "src/b.py"]))
    kept.refresh_from_db()
    gone.refresh_from_db()
    assert (kept.path, kept.line, kept.outdated) == ("src/c.py", 11, False)
    assert (gone.path, gone.line, gone.outdated) == ("src/b.py", 1, True)


def test_where_the_commit_of_a_finding_is_gone_it_is_outdated(attempt, session, repository):
    finding = anchored(attempt, session, line=10)
    Finding.objects.update(oid="0" * 39 + "1")
    go_on(attempt, attempt.head_oid)
    finding.refresh_from_db()
    assert finding.outdated


# --- reviews again --------------------------------------------------------------------------------------------------


def reviewed_again(session, *titles, kind="changes_requested"):
    """What is open after another review that found these errors."""
    again = Session.objects.create(attempt=session.attempt, phase="review", state="running")
    session.attempt.task.move("back-to-todo", "todo")
    type(session.attempt.task).objects.update(status="ai_review")
    session.attempt.task.refresh_from_db()
    again.attempt = session.attempt
    found = [Finding(severity="error", title=title, path="src/a.py", line=5) for title in titles]
    review_completed(again, Verdict(verdict=kind), "", found)
    return {finding.title: finding.state for finding in session.attempt.task.findings.all()}


def test_only_what_was_sent_to_a_fix_counts_as_fixed_when_it_is_not_found_again(attempt, session):
    sent, kept = anchored(attempt, session, title="Sent"), anchored(attempt, session, title="Kept")
    factories.make_session(attempt, phase="fix", state="completed", inputs={"findings": [sent.pk]})
    assert reviewed_again(session, kind="approved") == {"Sent": "fixed", "Kept": "open"}
    assert kept.state == "open"


def test_a_finding_that_is_found_again_stays_the_same_one_and_waived_where_it_was(attempt, session, alice):
    anchored(attempt, session, title="Same", line=3)
    anchored(attempt, session, title="Waived").waive("It is a test.", by=alice)
    assert reviewed_again(session, "SAME", "Waived") == {"SAME": "open", "Waived": "waived"}
    assert attempt.task.findings.count() == 2
    assert attempt.task.findings.get(title="Waived").reason == "It is a test."
    fix = attempt.sessions.get(phase="fix")
    assert fix.inputs == {"findings": [attempt.task.findings.get(title="SAME").pk]}


# --- what people decide ---------------------------------------------------------------------------------------------


def test_waiving_a_finding_needs_a_reason_and_says_who_and_when(attempt, session, script, alice):
    finding = anchored(attempt, session)
    assert_field(script.send("post", f"/api/findings/{finding.pk}/waive", {"reason": "  "}), "reason")
    reply = script.send("post", f"/api/findings/{finding.pk}/waive", {"reason": "Only a test."}).json()
    assert (reply["state"], reply["reason"], reply["waived_by"]) == ("waived", "Only a test.", alice.pk)
    assert reply["waived_at"]
    assert_error(script.send("post", f"/api/findings/{finding.pk}/waive", {"reason": "Again."}), 409)
    reply = script.send("post", f"/api/findings/{finding.pk}/reopen").json()
    assert (reply["state"], reply["reason"], reply["waived_by"]) == ("open", "", None)
    names = list(attempt.task.events.filter(name__startswith="finding.").values_list("name", "by_id"))
    assert names == [("finding.waived", alice.pk), ("finding.reopened", alice.pk)]


def test_a_viewer_decides_nothing_and_a_stranger_sees_nothing(attempt, session, bob, charlie):
    finding = anchored(attempt, session)
    for person, status in ((bob, 403), (charlie, 404)):
        caller = Script(person)
        assert_error(caller.send("post", f"/api/findings/{finding.pk}/waive", {"reason": "x"}), status)
        assert_error(caller.send("post", f"/api/tasks/{attempt.task.pk}/approve", {}), status)
        assert_error(caller.send("post", f"/api/tasks/{attempt.task.pk}/override", {"reason": "x"}), status)


def test_only_the_chosen_findings_go_to_the_agent_and_the_others_stay_open(attempt, session, script):
    first, second = anchored(attempt, session, title="First"), anchored(attempt, session, title="Second")
    path = f"/api/tasks/{attempt.task.pk}/fix-findings"
    assert_field(script.send("post", path, {"findings": [first.pk, 99_999]}), "findings")
    reply = script.send("post", path, {"findings": [second.pk]})
    assert reply.status_code == 202, reply.content
    fix = Session.objects.get(pk=reply.json()["session_id"])
    assert fix.inputs["findings"] == [second.pk]
    told = prompts.fix(fix)
    assert "Second" in told
    assert "First" not in told
    assert set(attempt.task.findings.values_list("state", flat=True)) == {"open"}


def test_all_open_findings_are_fixed_when_none_is_named(attempt, session, script, alice):
    open_one = anchored(attempt, session)
    anchored(attempt, session).waive("Fine.", by=alice)
    reply = script.send("post", f"/api/tasks/{attempt.task.pk}/fix-findings", {})
    assert Session.objects.get(pk=reply.json()["session_id"]).inputs["findings"] == [open_one.pk]


# --- the gate -------------------------------------------------------------------------------------------------------


def test_an_open_error_stands_in_the_way_of_a_merge_until_it_is_waived(attempt, session, script, alice):
    finding = anchored(attempt, session)
    anchored(attempt, session, severity="warning")
    assert_error(script.send("post", f"/api/tasks/{attempt.task.pk}/merge"), 409, "merge_blocked")
    finding.waive("Known.", by=alice)
    assert obstacles(attempt) == []


def test_an_approval_falls_when_the_change_goes_on(attempt, script, alice):
    type(attempt.task.project).objects.update(approval_required=True)
    attempt.task.project.refresh_from_db()
    assert obstacles(attempt) == ["Nobody has approved this version of the change."]
    path = f"/api/tasks/{attempt.task.pk}/approve"
    assert_error(script.send("post", path, {"oid": attempt.base_oid}), 409)
    gate = script.send("post", path, {"oid": attempt.head_oid}).json()
    assert (gate["obstacles"], [each["by"] for each in gate["approvals"]]) == ([], [alice.pk])
    attempt.record(head_oid="a" * 40)
    assert obstacles(attempt) == ["Nobody has approved this version of the change."]


def test_an_override_needs_a_maintainer_and_a_reason_and_is_recorded(attempt, session, script, maintainer):
    anchored(attempt, session)
    path = f"/api/tasks/{attempt.task.pk}/override"
    assert_error(script.send("post", path, {"reason": "Now!"}), 403)
    assert_field(maintainer.send("post", path, {"reason": ""}), "reason")
    gate = maintainer.send("post", path, {"reason": "The site is down."}).json()
    assert gate["overridden"]
    assert gate["obstacles"]  # they are still told
    assert obstacles(attempt) == []
    event = attempt.task.events.get(name="review.overridden")
    assert event.data == {"oid": attempt.head_oid, "reason": "The site is down."}
    attempt.record(head_oid="a" * 40)
    assert obstacles(attempt)


def test_requesting_changes_takes_approvals_back(attempt, alice):
    Approval.approve(attempt.task, by=alice)
    attempt.task.request_changes("Not yet.", by=alice)
    assert not attempt.task.approvals.exists()


# --- comments -------------------------------------------------------------------------------------------------------


def comment(script, attempt, **fields):
    body = {"body": "Why?", "path": "src/a.py", "line": 3, "end_line": 4} | fields
    return script.send("post", f"/api/tasks/{attempt.task.pk}/comments", body)


def test_a_draft_is_its_authors_alone_until_it_is_sent(attempt, script, bob):
    assert comment(script, attempt).json()["state"] == "draft"
    path = f"/api/tasks/{attempt.task.pk}/comments"
    assert len(script.get(path).json()["items"]) == 1
    assert Script(bob).get(path).json()["items"] == []
    assert script.send("post", f"/api/tasks/{attempt.task.pk}/send-comments").json() == {"sent": 1}
    (seen,) = Script(bob).get(path).json()["items"]
    assert (seen["state"], seen["quote"], seen["oid"]) == ("open", "line 3\nline 4", attempt.head_oid)
    assert attempt.task.events.filter(name="comment.created").count() == 1


def test_a_comment_stands_at_a_line_that_is_there(attempt, script):
    assert_field(comment(script, attempt, line=99, end_line=None), "line")
    assert_field(comment(script, attempt, path="", line=3), "path")
    assert_field(comment(script, attempt, line=4, end_line=3), "end_line")
    assert not Comment.objects.exists()


def test_a_draft_can_be_discarded_and_what_was_sent_cannot(attempt, script):
    draft, sent = comment(script, attempt).json(), comment(script, attempt, send=True).json()
    assert script.delete(f"/api/comments/{draft['id']}").status_code == 204
    assert_error(script.delete(f"/api/comments/{sent['id']}"), 409)


def test_a_comment_is_resolved_and_reopened_once_each(attempt, script, alice):
    number = comment(script, attempt, send=True).json()["id"]
    reply = script.send("post", f"/api/comments/{number}/resolve").json()
    assert (reply["state"], reply["resolved_by"]) == ("resolved", alice.pk)
    assert_error(script.send("post", f"/api/comments/{number}/resolve"), 409)
    assert script.send("post", f"/api/comments/{number}/reopen").json()["state"] == "open"


def test_drafts_go_to_the_agent_with_the_request_and_its_answers_stand_under_them(attempt, script):
    number = comment(script, attempt).json()["id"]
    reply = script.send("post", f"/api/tasks/{attempt.task.pk}/request-changes", {})
    assert reply.status_code == 202, reply.content
    fix = Session.objects.get(pk=reply.json()["session_id"])
    told = prompts.fix(fix)
    assert f"Comment {number}: a person writes about src/a.py:3-4\n> line 3\n> line 4:" in told
    other = Comment.objects.create(task=attempt.task, body="Another time", state="open")
    block = json.dumps({"answers": {str(number): "It is a constant.", str(other.pk): "Not asked."}})
    answers_to_comments.keep_answers(fix, f"Done.\n```json\n{block}\n```")
    answered = Comment.objects.get(pk=number)
    assert (answered.state, answered.answer) == ("open", "It is a constant.")
    assert answered.answered_at
    other.refresh_from_db()
    assert not other.answer


def test_a_request_for_changes_says_what_should_change(attempt, script):
    assert_field(script.send("post", f"/api/tasks/{attempt.task.pk}/request-changes", {}), "comment")
    attempt.task.refresh_from_db()
    assert attempt.task.status == "review"


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ('{"answers": {"3": "Yes."}}', {3: "Yes."}),
        ('{"answers": [{"id": 3, "answer": "Yes."}]}', {3: "Yes."}),
        ("All done.\n\nComment 3: Yes.\n- **Comment #4**: No.", {3: "Yes.", 4: "No."}),
        ('{"answers": {"3": "Yes."', {}),
        ('{"answers": {"x": "Yes.", "-1": "No.", "3": 7}}', {3: ""}),
        ('{"answers": "Yes"}', {}),
        ("", {}),
    ],
)
def test_the_agents_answers_are_taken_as_they_come(said, read):
    assert answers_to_comments.read(said) == read


# --- what a person has seen -----------------------------------------------------------------------------------------


def test_a_viewed_mark_is_a_persons_and_of_a_content(attempt, script, bob):
    path = f"/api/tasks/{attempt.task.pk}"
    file = script.get(f"{path}/diff").json()["files"][0]
    marked = script.send("post", f"{path}/viewed", {"path": file["path"], "content": file["content"]}).json()
    assert marked["viewed"] == {"src/a.py": git_blob(attempt, "src/a.py")}
    assert Script(bob).get(f"{path}/seen").json()["viewed"] == {}
    assert script.send("post", f"{path}/viewed", {"path": file["path"], "content": ""}).json()["viewed"] == {}


def git_blob(attempt, path):
    from pathlib import Path

    return git(Path(attempt.task.project.path), "rev-parse", f"{attempt.head_oid}:{path}")


def test_since_my_last_look_there_is_only_what_came_after(attempt, script, repository):
    path = f"/api/tasks/{attempt.task.pk}"
    assert script.send("post", f"{path}/look").json()["look"] == attempt.head_oid
    assert script.get(f"{path}/diff?since=look").json()["files"] == []
    attempt.record(head_oid=commit(repository, {"src/b.py": "x = 2\n"}))
    assert [file["path"] for file in script.get(f"{path}/diff?since=look").json()["files"]] == ["src/b.py"]
    attempt.task.looks.update(oid="0" * 39 + "1")
    assert_error(script.get(f"{path}/diff?since=look"), 409, "look_is_gone")


# --- large changes --------------------------------------------------------------------------------------------------


def test_a_large_change_is_read_in_parts_that_have_all_of_it():
    files = [f"diff --git a/{n} b/{n}\n" + "".join(f"+{n} {i}\n" for i in range(400)) for n in range(5)]
    parts = split("".join(files), 2_000)
    assert len(parts) > 5
    assert all(len(part) <= 2_000 for part in parts)
    assert all(part.startswith("diff --git a/") for part in parts)
    lines = [line for part in parts for line in part.splitlines() if line.startswith("+")]
    assert lines == [line for file in files for line in file.splitlines() if line.startswith("+")]


@pytest.mark.parametrize(
    "change", ["", "diff --git a/a b/a\n", "x" * 5_000, "diff --git a/" + "n" * 5_000 + "\n+x\n"]
)
def test_whatever_the_lines_are_the_parts_end(change):
    parts = split(change, 1_000)
    assert all(len(part) <= 1_000 for part in parts)
    assert sum(map(len, parts)) >= len(change)
