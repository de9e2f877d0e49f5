"""Cancelling what is queued, what runs, and what is just being merged."""

from typing import Any

import pytest

from sessions import ledger
from sessions.hold import held
from sessions.models import Attempt, Session
from studio.errors import Conflict
from tasks.models import Event, Task
from tests import factories
from tests.sessions.test_ledger import begin, claimed

pytestmark = pytest.mark.django_db(transaction=True)


def test_cancelling_a_queued_session_ends_it_at_once(started: Task, alice: Any) -> None:
    assert started.cancel(by=alice)
    session = Session.objects.get()
    assert (started.status, session.state, session.reason) == ("cancelled", "cancelled", "cancelled")
    assert ledger.claim() is None


def test_cancelling_a_running_session_asks_its_owner_who_then_says_so(started: Task, alice: Any) -> None:
    claim = claimed(started)
    begin(claim)
    assert not started.cancel(by=alice)
    assert claim.attempt.task.status == "planning"
    with pytest.raises(ledger.Stopped):
        claim.tick()
    claim.finish_stop()
    started.refresh_from_db()
    assert started.status == "cancelled"
    assert Session.objects.get().state == "cancelled"


def test_cancelling_twice_is_one_cancellation(started: Task, alice: Any) -> None:
    claim = claimed(started)
    begin(claim)
    assert [started.cancel(by=alice) for _ in range(2)] == [False, False]
    assert Event.objects.filter(name="task.stopping").count() == 1
    claim.finish_stop()
    with pytest.raises(Conflict):
        started.cancel(by=alice)


def test_a_cancel_whose_owner_died_is_carried_out_by_the_watch(started: Task, alice: Any) -> None:
    claim = claimed(started)
    begin(claim)
    started.cancel(by=alice)
    ledger.take_back(Attempt.objects.get(pk=claim.attempt.pk), gone=True)
    started.refresh_from_db()
    assert started.status == "cancelled"
    assert Session.objects.get().state == "cancelled"
    assert ledger.claim() is None


def test_a_cancel_asked_for_while_the_watch_decides_is_not_lost(started: Task, alice: Any) -> None:
    claim = claimed(started)
    begin(claim)
    as_the_watch_read_it = Attempt.objects.get(pk=claim.attempt.pk)
    started.cancel(by=alice)
    ledger.take_back(as_the_watch_read_it, gone=True)
    started.refresh_from_db()
    assert started.status == "cancelled"


def test_a_cancel_during_a_merge_that_is_refused_is_carried_out(project: Any, alice: Any) -> None:
    task = factories.make_task(project, status="review")
    attempt = factories.make_attempt(task)
    with held(attempt, "merge"):
        assert not task.cancel(by=alice)
    task.refresh_from_db()
    attempt.refresh_from_db()
    assert (task.status, attempt.lease, attempt.is_stopping) == ("cancelled", "idle", False)


def test_a_cancel_during_a_merge_that_lands_leaves_the_task_done(project: Any, alice: Any) -> None:
    task = factories.make_task(project, status="review")
    attempt = factories.make_attempt(task)
    with held(attempt, "merge"):
        task.cancel(by=alice)
        task.merged("0" * 40, by=alice)
    task.refresh_from_db()
    attempt.refresh_from_db()
    assert (task.status, attempt.lease, attempt.is_stopping) == ("done", "idle", False)


def test_a_cancel_that_comes_while_a_worker_lands_the_change_leaves_the_task_done(
    started: Task, alice: Any
) -> None:
    claim = claimed(started)
    begin(claim).end("completed")
    Task.objects.update(status="review")
    started.refresh_from_db()
    started.cancel(by=alice)
    started.merged("0" * 40)
    assert claim.release()
    started.refresh_from_db()
    assert (started.status, Attempt.objects.get().lease) == ("done", "idle")
