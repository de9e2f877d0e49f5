"""Retention: what tools put out of tasks finished long ago goes, what was said and what happened stays."""

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.template.loader import render_to_string
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Success

from sessions import jobs
from sessions.models import Activity, Session
from studio import queue
from studio.models import KeptReply, SignInLink
from tasks.models import Event, Task
from tests import factories
from tests.scripts import Script

pytestmark = pytest.mark.django_db
LONG = "x" * 5000


@pytest.fixture
def old(project: Any, settings: Any) -> Session:
    """A session with a prompt, a message, a thought and a tool call, of a task that was done a hundred days ago."""
    settings.STUDIO_RETENTION_DAYS = 90
    task = factories.make_task(project, status="done")
    Task.objects.filter(pk=task.pk).update(status_changed_at=timezone.now() - timedelta(days=100))
    session = factories.make_session(factories.make_attempt(task), state="completed")
    for kind in ("prompt", "message", "reasoning"):
        factories.make_activity(session, kind=kind, text=LONG)
    factories.make_activity(
        session, kind="tool", tool="bash", state="completed", output=LONG, input={"command": "make", "content": LONG}, metadata={"exit": 0, "output": LONG},
    )  # fmt: skip
    return session


def test_thinning_takes_what_tools_put_out_and_leaves_what_was_said(old: Session) -> None:
    events = Event.objects.count()
    jobs.retain()
    prompt, message, thought, tool = old.activity.order_by("seq")
    assert (prompt.text, message.text, prompt.thinned_at) == (LONG, LONG, None)
    assert (thought.text, tool.output) == ("", "")
    assert (tool.input, tool.metadata, tool.tool) == ({"command": "make"}, {"exit": 0}, "bash")
    assert Event.objects.count() == events


def test_a_thinned_entry_says_so_on_the_page_and_in_the_api(old: Session, admin: Any) -> None:
    jobs.retain()
    tool = old.activity.get(kind="tool")
    assert "removed by retention" in render_to_string("sessions/_entry.html", {"entry": tool})
    told = Script(admin).get(f"/api/sessions/{old.pk}/activity").json()["items"]
    assert [bool(entry["thinned_at"]) for entry in told] == [False, False, True, True]


@pytest.mark.parametrize("spared", ["off", "recent", "open", "running"])
def test_what_is_not_old_and_finished_is_left_alone(spared: str, old: Session, settings: Any) -> None:
    task = Task.objects.filter(pk=old.task.pk)
    if spared == "off":
        settings.STUDIO_RETENTION_DAYS = 0
    elif spared == "recent":
        task.update(status_changed_at=timezone.now() - timedelta(days=89))
    elif spared == "open":
        task.update(status="review")
    else:
        Session.objects.filter(pk=old.pk).update(state="running")
    jobs.retain()
    assert not Activity.objects.exclude(thinned_at=None).exists()


def test_old_records_are_deleted_and_new_ones_kept(alice: Any) -> None:
    for age in (8, 6):
        at = timezone.now() - timedelta(days=age)
        reply = KeptReply.objects.create(user=alice, key=f"k{age}", path="/", status=202, body={})
        KeptReply.objects.filter(pk=reply.pk).update(created_at=at)
        link = SignInLink.objects.create(user=alice, digest=f"d{age}")
        SignInLink.objects.filter(pk=link.pk).update(created_at=at)
        Success.objects.create(id=f"job{age}", name="j", func="f", started=at, stopped=at, success=True)
    said = io.StringIO()
    call_command("retain", stdout=said)
    assert "deleted 3 records" in said.getvalue()
    assert (KeptReply.objects.get().key, SignInLink.objects.get().digest, Success.objects.get().id) == (
        "k6",
        "d6",
        "job6",
    )


def test_the_short_cluster_forgets_once_a_day() -> None:
    queue.keep_schedules()
    schedule = Schedule.objects.get(name="retain")
    assert (schedule.func, schedule.schedule_type, schedule.cluster) == (
        "sessions.jobs.retain",
        Schedule.DAILY,
        "short",
    )
    assert not OrmQ.objects.exists()
