"""Files that people give to agents: limits, hostile names and types, who sees them, and that the row is the truth."""

import os
import time
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile as File
from django.test import Client
from django.utils import timezone

from sessions import cleanup, deletion
from sessions.models import FollowUp
from sessions.phases import attached, prompts
from studio import uploads
from tasks.models import Attachment, Task
from tasks.models.attachment import LARGEST, folder, root, safe_name, stage
from tests import factories
from tests.factories import PNG
from tests.scripts import Script, assert_error

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(client: Client, project: Any, alice: Any) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def busy(project: Any) -> Any:
    """A task whose agent is at work, so that messages wait."""
    attempt = factories.make_attempt(factories.make_task(project, status="in_progress"), lease="claimed")
    return factories.make_session(attempt, phase="implementation")


def attach(task: Task, name: str = "notes.txt", content: bytes = b"Words.") -> Attachment:
    (made,) = task.attachments.keep(task, stage([File(name, content)]), by=None)
    return made


def test_a_task_is_filed_with_files_that_its_agents_are_told_of(member: Client, project: Any) -> None:
    files = [File("bug.png", PNG), File("log.txt", b"It broke.")]
    member.post(f"/projects/{project.key}/tasks/new/", {"title": "Mend it", "attached": files})
    task = Task.objects.get()
    picture, log = task.attachments.all()
    text = prompts.task_text(task)
    assert f"- {picture.path} (image/png" in text
    assert f"- {log.path} (text/plain" in text
    assert log.path.read_bytes() == b"It broke."
    assert not log.path.stat().st_mode & 0o277
    (part,) = attached.parts(task, text)
    assert (part["mime"], part["filename"], part["url"][:22]) == (
        "image/png",
        "bug.png",
        "data:image/png;base64,",
    )
    assert not attached.parts(task, "Another prompt")


def test_a_message_takes_its_files_and_the_page_shows_them(member: Client, busy: Any) -> None:
    page = member.post(
        f"/tasks/{busy.task.pk}/follow-up/",
        {"text": "See this", "attached": [File("bug.png", PNG)]},
        follow=True,
    ).content.decode()
    message = FollowUp.objects.get()
    (picture,) = message.attachments.all()
    assert f'src="{picture.get_absolute_url()}"' in page
    assert str(picture.path) in prompts.follow_up(busy, message)
    assert str(picture.path) not in prompts.task_text(busy.task)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([File(f"{n}.txt", b"x") for n in range(11)], "These are 11 files"),
        ([File("big.bin", b"x" * (LARGEST + 1))], "big.bin is too large"),
        ([File("none.txt", b"")], "none.txt is empty"),
        ([File(f"{n}.bin", b"x" * (LARGEST - 9)) for n in range(3)], "Together they are too large"),
    ],
    ids=["many", "large", "empty", "together"],
)
def test_files_beyond_the_limits_are_refused_with_nothing_made(
    member: Client, busy: Any, files: list[File], words: str
) -> None:
    answer = member.post(f"/tasks/{busy.task.pk}/follow-up/", {"text": "See", "attached": files})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    filed = member.post(f"/projects/{busy.task.project.key}/tasks/new/", {"title": "x", "attached": files})
    assert filed.status_code == 422
    assert not FollowUp.objects.exists()
    assert not Attachment.objects.exists()
    assert Task.objects.count() == 1


def test_a_body_that_is_far_too_large_is_413(
    member: Client, busy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "LARGEST_BODY", 1000)
    path = f"/tasks/{busy.task.pk}/follow-up/"
    for headers, words in (({}, "25 MB in all"), ({"hx-request": "true"}, "Nothing was changed")):
        body = {"text": "See", "attached": [File("a", b"x" * 2000)]}
        answer = member.post(path, body, headers=headers)
        assert answer.status_code == 413
        assert words in answer.content.decode()
    assert not FollowUp.objects.exists()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..", "file"),
        (".env", "env"),
        ("-rf", "rf"),
        ("a b\r\nSet-Cookie: x.txt", "a_bSet-Cookie_x.txt"),
        ('"><script>.png', "script.png"),
        ("\u202egnp.exe", "gnp.exe"),
        ("ü" * 300 + ".txt", "ü" * 58 + ".txt"),
        ("x." + "y" * 300, "x." + "y" * 19),
        ("\x00", "file"),
    ],
)
def test_a_hostile_name_becomes_a_harmless_one(name: str, kept: str) -> None:
    assert safe_name(name) == kept


@pytest.mark.parametrize(
    ("name", "content", "kind", "inline"),
    [
        ("page.html", b"<script>alert(1)</script>", "text/plain", False),
        ("evil.png", b"<html><script>alert(1)</script>", "text/plain", False),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>", "text/plain", False),
        ("picture.txt", PNG, "image/png", True),
        ("photo", b"\xff\xd8\xff\xe0JFIF", "image/jpeg", True),
        ("p.webp", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp", True),
        ("x.bin", b"\x00\x01", "application/octet-stream", False),
    ],
)
def test_only_what_is_an_image_by_its_bytes_is_shown_and_nothing_runs(
    member: Client, task: Task, name: str, content: bytes, kind: str, inline: bool
) -> None:
    made = attach(task, name, content)
    answer: Any = member.get(made.get_absolute_url())
    assert made.media_type == kind
    assert answer["Content-Type"] == (kind if inline else "application/octet-stream")
    assert answer["Content-Disposition"].startswith("inline" if inline else "attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].endswith("sandbox")
    assert b"".join(answer.streaming_content) == content


def test_who_may_not_see_the_project_sees_no_file_and_a_viewer_changes_none(
    client: Client, task: Task, bob: Any, charlie: Any
) -> None:
    made = attach(task)
    client.force_login(charlie)
    assert client.get(made.get_absolute_url()).status_code == 404
    assert client.post(f"/attachments/{made.pk}/remove/").status_code == 404
    client.force_login(bob)
    assert client.get(made.get_absolute_url()).status_code == 200
    assert client.post(f"/attachments/{made.pk}/remove/").status_code == 403
    assert_error(Script(bob).post(f"/api/tasks/{task.pk}/attachments", {"file": File("a", b"x")}), 403)


def test_a_script_attaches_and_a_message_takes_it_once(busy: Any, alice: Any) -> None:
    script, task = Script(alice), busy.task
    made = script.post(f"/api/tasks/{task.pk}/attachments", {"file": File("log.txt", b"It broke.")}).json()
    path = f"/api/tasks/{task.pk}/follow-ups"
    sent = script.send("post", path, {"text": "See", "attachments": [made["id"]]}).json()
    assert [each["name"] for each in sent["attachments"]] == ["log.txt"]
    assert_error(script.send("post", path, {"text": "Again", "attachments": [made["id"]]}), 422)
    assert b"".join(script.get(made["url"]).streaming_content) == b"It broke."
    FollowUp.objects.update(state="sent")
    assert_error(script.send("delete", f"/api/attachments/{made['id']}"), 409, "sent_already")
    FollowUp.objects.update(state="queued")
    assert script.send("delete", f"/api/attachments/{made['id']}").status_code == 204
    assert not script.get(f"/api/tasks/{task.pk}/attachments").json()["items"]


def test_a_file_without_a_row_is_swept_and_one_with_a_row_stays(task: Task) -> None:
    kept = attach(task)
    young = stage([File("young.txt", b"x")])[0]
    half = stage([File("half.txt", b"x")])[0]  # the process died before its row was written
    lost = root() / "incoming" / half.token
    placed = folder(task.pk) / ("0" * 32)
    placed.mkdir()
    long_ago = time.time() - 2 * 86400
    for each in (kept.path.parent, lost, placed):
        os.utime(each, (long_ago, long_ago))
    assert cleanup.sweep_files() == "2 attachments were swept."
    assert kept.path.exists()
    assert (root() / "incoming" / young.token).exists()
    assert not lost.exists()
    assert not placed.exists()


def test_files_go_with_their_task(task: Task, django_capture_on_commit_callbacks: Any) -> None:
    removed, kept = attach(task), attach(task)
    with django_capture_on_commit_callbacks(execute=True):
        removed.remove(by=None)
    assert not removed.path.parent.exists()
    assert kept.path.exists()
    type(task.project).objects.update(deleting_at=timezone.now())
    deletion.carry(task.project)
    assert not kept.path.exists()
