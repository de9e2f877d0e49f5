"""A pause: nothing starts in a project, or in none; what runs finishes or is put aside; a resume is heard at once."""

import threading
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django_q.models import OrmQ

from sessions import ledger, run
from sessions.halts import Paused
from sessions.models import Attempt, Pause, Session
from sessions.models.pause import Running
from sessions.reasons import Reason
from studio.errors import Conflict
from studio.roles import Role
from tasks.models import Event, Membership, Project, Task
from tests import factories
from tests.scripts import Script
from tests.sessions.test_ledger import begin, in_threads

pytestmark = pytest.mark.django_db
THREADS = pytest.mark.django_db(transaction=True)


@pytest.fixture
def started(task: Task) -> Task:
    """A task whose planning is queued."""
    task.execute()
    return task


@pytest.fixture
def maintainer(alice: Any, project: Project) -> Script:
    """A script of hers, who maintains the project."""
    Membership.objects.filter(user=alice, project=project).update(role=Role.MAINTAINER)
    return Script(alice)


def test_a_paused_projects_tasks_wait_and_others_do_not(started: Task, repository: Any) -> None:
    other = factories.make_task(factories.make_project(repository, key="OTHER"))
    other.execute()
    Pause.begin(started.project)
    claim = ledger.claim()
    assert claim is not None
    assert claim.attempt.task_id == other.pk
    assert ledger.claim() is None
    Pause.resume(started.project)
    assert ledger.claim() is not None


def test_a_pause_of_everything_holds_every_project_and_its_end_leaves_a_projects_own(started: Task) -> None:
    Pause.begin(None)
    Pause.begin(started.project)
    for project in (None, started.project):
        assert ledger.claim() is None
        Pause.resume(project)
    assert ledger.claim() is not None


def test_a_resume_wakes_every_worker_in_the_same_transaction(started: Task, settings: Any) -> None:
    Pause.begin(started.project)
    OrmQ.objects.all().delete()
    Pause.resume(started.project)
    assert OrmQ.objects.filter(key=settings.LONG_JOBS).count() == settings.STUDIO_CONCURRENCY


@THREADS
def test_of_eight_who_pause_at_once_one_does(project: Project) -> None:
    results = in_threads(8, lambda: Pause.begin(project))
    assert len([each for each in results if isinstance(each, Pause)]) == 1
    assert len([each for each in results if isinstance(each, Conflict)]) == 7
    assert Event.objects.filter(name="project.paused").count() == 1
    results = in_threads(8, lambda: Pause.resume(project))
    assert results.count(None) == 1
    assert Event.objects.filter(name="project.resumed").count() == 1


def test_what_runs_finishes_its_session_and_what_follows_waits_in_the_queue(started: Task) -> None:
    claim = ledger.claim()
    assert claim is not None
    session = begin(claim)
    Pause.begin(started.project)
    claim.tick()
    with claim.write():
        session.end("completed")
        claim.attempt.begin("implementation")
    with pytest.raises(Paused):
        claim.next_session()
    run.carry(claim)
    attempt = Attempt.objects.get(pk=claim.attempt.pk)
    assert (attempt.lease, attempt.tries) == ("claimable", 0)
    assert [row.state for row in attempt.sessions.order_by("pk")] == ["completed", "queued"]
    assert ledger.claim() is None


def test_what_is_to_be_interrupted_is_so_within_a_tick_and_goes_on_afterwards(started: Task) -> None:
    claim = ledger.claim()
    assert claim is not None
    session = begin(claim, opencode_session_id="ses_1")
    Pause.begin(started.project)
    claim.tick()
    claim.polled = 0.0
    Pause.begin(started.project, running=Running.INTERRUPT)
    with pytest.raises(Paused):
        claim.tick()
    claim.hand_back(Reason.PAUSED)  # as sessions/run.py answers it
    session.refresh_from_db()
    assert (session.state, session.reason) == ("interrupted", "paused")
    assert ledger.claim() is None
    Pause.resume(started.project)
    again = ledger.claim()
    assert again is not None
    following = again.next_session()
    assert following is not None
    assert (following.resumes_id, following.opencode_session_id) == (session.pk, "ses_1")


def test_who_may_pause_and_resume(maintainer: Script, project: Project, admin: Any) -> None:
    viewer, member = Script(factories.make_user("bob")), Script(factories.make_user("dora"))
    Membership.objects.create(project=project, user=factories.make_user("dora"), role=Role.MEMBER)
    pause = f"/api/projects/{project.pk}/pause"
    for script in (viewer, member):
        assert script.send("post", pause).status_code == 403
        assert script.send("post", "/api/queue/pause").status_code == 403
    assert maintainer.send("post", "/api/queue/pause").status_code == 403
    assert Script(factories.make_user("charlie")).send("post", pause).status_code == 404
    assert maintainer.send("post", pause, {"reason": "x" * 201}).status_code == 422
    assert not Pause.objects.exists()
    said = maintainer.send("post", pause, {"reason": "The site is down."}).json()
    assert (said["project"], said["reason"], said["running"], said["drained"]) == (
        project.pk,
        "The site is down.",
        "finish",
        True,
    )
    again = maintainer.send("post", pause)
    assert (again.status_code, again.json()["error"]) == (409, "paused")
    assert "paused by alice already" in again.json()["message"]
    assert viewer.send("post", f"/api/projects/{project.pk}/resume").status_code == 403
    assert maintainer.send("post", f"/api/projects/{project.pk}/resume").status_code == 204
    assert maintainer.send("post", f"/api/projects/{project.pk}/resume").json()["error"] == "not_paused"
    assert Script(admin).send("post", "/api/queue/pause", {"running": "interrupt"}).json()["project"] is None
    assert Script(admin).send("post", "/api/queue/resume").status_code == 204


def test_the_pages_say_who_paused_since_when_why_and_what_still_runs(
    client: Client, maintainer: Script, started: Task, alice: Any
) -> None:
    project = started.project
    client.force_login(alice)
    assert "What runs now" in client.get(f"/projects/{project.key}/pause/").content.decode()
    assert ledger.claim() is not None
    waiting = factories.make_task(project)
    waiting.execute()
    answer = client.post(f"/projects/{project.key}/pause/", {"reason": "An audit", "running": "finish"})
    assert answer.status_code == 302
    board = client.get(f"/projects/{project.key}/").content.decode()
    assert "demo is paused by alice" in board
    assert ": An audit" in board
    assert "1 session still runs" in board
    assert f'action="/projects/{project.key}/resume/"' in board
    assert "An audit" in client.get(f"/tasks/{waiting.pk}/card/").content.decode()
    progress = maintainer.send("get", f"/api/tasks/{waiting.pk}/execution").json()["progress"]
    assert (progress["level"], "An audit" in progress["reason"]) == ("paused", True)
    refused = client.post(f"/projects/{project.key}/pause/", {"running": "finish"})
    assert refused.status_code == 422
    assert "paused by alice already" in refused.content.decode()
    Attempt.objects.filter(lease="claimed").update(lease="idle")
    assert "drained" in client.get(f"/pauses/?project={project.key}").content.decode()
    client.post(f"/projects/{project.key}/resume/")
    assert "is paused" not in client.get(f"/projects/{project.key}/").content.decode()


def test_a_viewer_reads_the_banner_of_everything_and_cannot_end_it(client: Client, project: Project) -> None:
    Pause.begin(None)
    client.force_login(factories.make_user("bob"))
    page = client.get("/projects/").content.decode()
    assert "All projects are paused by an operator" in page
    assert "Resume" not in page
    assert client.post("/queue/resume/").status_code == 403


@THREADS
def test_an_operator_drains_waits_and_resumes(started: Task, capsys: Any) -> None:
    claim = ledger.claim()
    assert claim is not None
    with pytest.raises(SystemExit, match="1 still at work"):
        call_command("drain", "--wait", "0.1")
    finished = threading.Timer(0.3, lambda: (claim.finish_stop(), connection.close()))
    finished.start()
    call_command("drain", "--wait", "30")
    finished.join()
    said = capsys.readouterr().out
    assert "paused by an operator already" in said
    assert "Drained: nothing runs." in said
    call_command("resume")
    with pytest.raises(SystemExit, match="not paused"):
        call_command("resume")
    assert not Pause.objects.exists()
    assert Session.objects.count() == 1
