"""The review as people use it in pages, without JavaScript: comments at lines, viewed files, findings, the gate."""

import pytest

from sessions import anchors
from studio.roles import Role
from tasks.models import Comment, Finding
from tests import factories
from tests.factories import git

SOURCE = "".join(f"line {number}\n" for number in range(1, 31))
HTMX = {"HX-Request": "true"}


@pytest.fixture
def attempt(repository, alice, bob):
    task = factories.make_task(factories.make_project(repository), status="review")
    base = git(repository, "rev-parse", "HEAD")
    (repository / "a.py").write_text(SOURCE)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "More")
    attempt = factories.make_attempt(task, base_oid=base, head_oid=git(repository, "rev-parse", "HEAD"))
    factories.make_session(
        attempt, phase="review", state="completed", result={"verdict": "changes_requested"}
    )
    return attempt


@pytest.fixture
def error(attempt):
    session = attempt.sessions.get()
    finding = Finding(
        task=attempt.task, session_id=session.pk, attempt_number=attempt.number, severity="error"
    )
    finding.title, finding.path, finding.line = "Off by one", "a.py", 5
    anchors.anchor(attempt, [finding])
    finding.save()
    return finding


@pytest.fixture
def member(client, alice):
    client.force_login(alice)
    return client


def changes(client, attempt, tail=""):
    return client.get(f"/tasks/{attempt.task.pk}/changes/{tail}").content.decode()


def test_a_line_number_leads_to_a_form_whose_draft_stands_at_that_line(member, attempt):
    address = f"/tasks/{attempt.task.pk}/comments/new/?path=a.py"
    assert f'href="{address}&amp;line=3"' in changes(member, attempt)
    form = member.get(f"{address}&line=3").content.decode()
    assert 'value="a.py"' in form
    assert 'name="line" value="3"' in form
    assert "<tr>" in member.get(f"{address}&line=3", headers=HTMX).content.decode()
    answer = member.post(address, {"body": "Why <b>?", "path": "a.py", "line": "3", "end_line": "4"})
    draft = Comment.objects.get()
    assert answer["Location"] == f"/tasks/{attempt.task.pk}/changes/#comment-{draft.pk}"
    html = changes(member, attempt)
    assert html.index("line 4<") < html.index("Why &lt;b&gt;?") < html.index("line 5<")
    assert "1 draft of yours" in html
    wrong = member.post(address, {"body": "Why?", "path": "a.py", "line": "99"})
    assert wrong.status_code == 422
    assert b"has no line 99" in wrong.content


def test_a_viewer_reads_line_numbers_and_comments_on_none(client, attempt, bob):
    client.force_login(bob)
    html = changes(client, attempt)
    assert 'data-no="3"' in html
    assert "comments/new/" not in html
    assert client.get(f"/tasks/{attempt.task.pk}/comments/new/?path=a.py&line=3").status_code == 403


def test_drafts_are_sent_with_the_request_for_changes(member, attempt):
    member.post(f"/tasks/{attempt.task.pk}/comments/new/", {"body": "Why?", "path": "a.py", "line": "3"})
    assert member.post(f"/tasks/{attempt.task.pk}/request-changes/", {"comment": ""}).status_code == 302
    attempt.task.refresh_from_db()
    assert (attempt.task.status, Comment.objects.get().state) == ("fix", "open")


def test_a_request_for_changes_without_a_word_is_asked_for_one(member, attempt):
    answer = member.post(f"/tasks/{attempt.task.pk}/request-changes/", {"comment": ""})
    assert answer.status_code == 422
    assert b"Say what should change." in answer.content


def test_comments_are_sent_answered_resolved_and_reopened(member, attempt):
    member.post(f"/tasks/{attempt.task.pk}/comments/new/", {"body": "Why?", "path": "a.py", "line": "3"})
    member.post(f"/tasks/{attempt.task.pk}/send-comments/")
    comment = Comment.objects.get()
    Comment.objects.update(answer="Because.", answered_at=comment.sent_at)
    assert "Because." in changes(member, attempt)
    for verb, state in (("resolve", "resolved"), ("reopen", "open")):
        answer = member.post(f"/comments/{comment.pk}/{verb}/", {"from": "changes"})
        assert answer["Location"].endswith("/changes/")
        comment.refresh_from_db()
        assert comment.state == state


@pytest.mark.parametrize("path", ["", "a\x00b", "x" * 1001])
def test_what_is_no_file_is_not_marked_as_viewed(member, attempt, path):
    answer = member.post(f"/tasks/{attempt.task.pk}/viewed/", {"path": path, "content": "1" * 40})
    assert answer.status_code == 422
    assert not attempt.task.viewed.exists()


def test_a_viewed_file_is_folded_until_its_content_changes(member, attempt, repository):
    blob = git(repository, "rev-parse", "HEAD:a.py")
    marked = {"path": "a.py", "content": blob, "number": "1"}
    where = f"/tasks/{attempt.task.pk}/viewed/"
    assert member.post(where, marked)["Location"].endswith("/changes/#file-1")
    html = changes(member, attempt)
    assert "✓ viewed" in html
    assert '<details class="file" id="file-1">' in html
    assert "✓ viewed" in member.post(where, marked, headers=HTMX).content.decode()
    (repository / "a.py").write_text(SOURCE + "more\n")
    git(repository, "commit", "--quiet", "--all", "--message", "Again")
    attempt.record(head_oid=git(repository, "rev-parse", "HEAD"))
    html = changes(member, attempt)
    assert "✓ viewed" not in html
    assert "changed since you viewed it" in html
    assert '<details class="file" id="file-1" open>' in html


def test_after_a_look_the_page_offers_what_is_new(member, attempt, repository):
    member.post(f"/tasks/{attempt.task.pk}/look/", {"oid": attempt.head_oid})
    assert "Nothing has changed since your last look" in changes(member, attempt, "since/")
    (repository / "b.py").write_text("x = 1\n")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Again")
    attempt.record(head_oid=git(repository, "rev-parse", "HEAD"))
    assert member.post(f"/tasks/{attempt.task.pk}/look/", {"oid": attempt.base_oid}).status_code == 409
    assert f'href="/tasks/{attempt.task.pk}/changes/since/"' in changes(member, attempt)
    news = changes(member, attempt, "since/")
    assert "b.py" in news
    assert "a.py" not in news


def test_ticked_findings_are_fixed_and_a_reason_waives(member, attempt, error):
    other = Finding.objects.create(
        task=attempt.task, session_id=1, attempt_number=attempt.number, severity="warning", title="Other"
    )
    page = member.get(f"/tasks/{attempt.task.pk}/review/").content.decode()
    assert f'name="findings" value="{error.pk}" form="fix-findings"' in page
    refused = member.post(f"/findings/{other.pk}/waive/", {"reason": " "})
    assert refused.status_code == 422
    member.post(f"/findings/{other.pk}/waive/", {"reason": "It is a draft."})
    assert "Waived by alice" in member.get(f"/tasks/{attempt.task.pk}/review/").content.decode()
    assert member.post(f"/tasks/{attempt.task.pk}/fix-findings/", {"chosen": ""}).status_code == 422
    member.post(f"/tasks/{attempt.task.pk}/fix-findings/", {"chosen": "", "findings": [error.pk]})
    assert attempt.sessions.get(phase="fix").inputs["findings"] == [error.pk]


def test_the_gate_says_what_stands_in_the_way_and_a_maintainer_overrides_it(member, attempt, error, alice):
    html = changes(member, attempt)
    assert "An error that the review found is open" in html
    assert f"/tasks/{attempt.task.pk}/merge/" not in html.partition('id="gate"')[2]
    override = f"/tasks/{attempt.task.pk}/override/"
    reason = {"reason": "The site is down.", "oid": attempt.head_oid}
    assert member.post(override, reason).status_code == 403
    attempt.task.project.memberships.filter(user=alice).update(role=Role.MAINTAINER)
    assert member.post(override, {"reason": ""}).status_code == 422
    assert member.post(override, reason).status_code == 302
    html = changes(member, attempt)
    assert "overridden by alice" in html
    assert f"/tasks/{attempt.task.pk}/merge/" in html
    assert "The site is down." in member.get(f"/tasks/{attempt.task.pk}/timeline/").content.decode()


def test_an_approval_is_of_the_version_that_the_page_showed(member, attempt):
    approve = f"/tasks/{attempt.task.pk}/approve/"
    assert member.post(approve, {"oid": attempt.base_oid}).status_code == 409
    assert member.post(approve, {"oid": attempt.head_oid}).status_code == 302
    assert "approved by alice" in changes(member, attempt)


def test_what_is_outdated_says_how_its_lines_read(member, attempt, error):
    Finding.objects.update(outdated=True)
    html = changes(member, attempt)
    assert html.index("Off by one") < html.index("line 1<")
    assert "outdated" in html
    assert '<pre class="remark__quote" tabindex="0">line 5</pre>' in html
