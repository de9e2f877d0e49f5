"""The ledger: one owner at a time, fenced, beating, stopped by people and taken back from the dead."""

import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from sessions import ledger, watch
from sessions.hold import held
from sessions.models import Attempt, Session
from sessions.models.attempt import Lease
from studio import drain, processes
from studio.errors import Conflict
from tasks.models import Event, Plan, Task
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def claimed(task: Task) -> ledger.Claim:
    claim = ledger.claim()
    assert claim is not None
    assert claim.attempt.task_id == task.pk
    return claim


def in_threads(number: int, work: Any) -> list[Any]:
    """Run `work` in as many threads at once; what each returned or raised."""
    results: list[Any] = []
    barrier = threading.Barrier(number)

    def one() -> None:
        barrier.wait()
        try:
            results.append(work())
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_executing_a_task_queues_one_session_and_makes_its_attempt_claimable(started: Task) -> None:
    attempt = started.current_attempt
    assert attempt is not None
    assert attempt.lease == Lease.CLAIMABLE
    assert [(session.phase, session.state) for session in attempt.sessions.all()] == [("planning", "queued")]
    assert started.status == attempt.status == "planning"


def test_eight_executes_at_once_start_one_session(task: Task, alice: Any) -> None:
    results = in_threads(8, lambda: Task.objects.get(pk=task.pk).execute(by=alice))
    sessions = [each for each in results if isinstance(each, Session)]
    conflicts = [each for each in results if isinstance(each, Conflict)]
    assert len(sessions) == 1
    assert len(conflicts) == 7
    assert {conflict.data["session_id"] for conflict in conflicts} == {sessions[0].pk}


def test_eight_workers_claim_an_attempt_once(started: Task) -> None:
    results = in_threads(8, ledger.claim)
    assert len([each for each in results if each is not None]) == 1


def test_a_claim_raises_the_fence_and_counts_a_try(started: Task) -> None:
    claim = claimed(started)
    attempt = Attempt.objects.get(pk=claim.attempt.pk)
    assert (attempt.fence, attempt.tries, attempt.lease) == (1, 1, Lease.CLAIMED)


def test_an_owner_who_was_given_up_for_dead_can_write_nothing(started: Task) -> None:
    claim = claimed(started)
    assert ledger.take_back(Attempt.objects.get(pk=claim.attempt.pk), gone=True)
    for write in (claim.write, claim.record):
        with pytest.raises(ledger.LeaseLost), write():
            pass
    with pytest.raises(ledger.LeaseLost):
        claim.tick()


def test_a_write_that_was_refused_leaves_nothing_behind(started: Task) -> None:
    claim = claimed(started)
    before = Event.objects.count()
    ledger.take_back(Attempt.objects.get(pk=claim.attempt.pk), gone=True)
    after = Event.objects.count()
    with pytest.raises(ledger.LeaseLost), claim.write():
        started.note("task.never")
    assert Event.objects.count() == after >= before


def test_an_interrupted_session_goes_on_in_a_new_one_in_the_same_conversation(started: Task) -> None:
    claim = claimed(started)
    running = begin(claim, opencode_session_id="ses_1", prompt_ids=["msg_1"])
    factories.make_activity(running, kind="prompt")
    ledger.take_back(Attempt.objects.get(pk=claim.attempt.pk), gone=True, detail="Process 1 is gone.")
    running.refresh_from_db()
    assert (running.state, running.reason) == ("interrupted", "worker_died")
    again = claimed(started).next_session()
    assert again is not None
    assert (again.resumes_id, again.opencode_session_id, again.goes_on) == (running.pk, "ses_1", True)


def test_a_prompt_that_may_have_died_with_its_agent_is_told_whole_again(started: Task) -> None:
    claim = claimed(started)
    begin(claim, opencode_session_id="ses_1", prompt_ids=["msg_1"])
    ledger.take_back(Attempt.objects.get(pk=claim.attempt.pk), gone=True)
    again = claimed(started).next_session()
    assert again is not None
    assert (again.opencode_session_id, again.goes_on) == ("ses_1", False)


def test_what_was_under_way_in_an_interrupted_session_is_marked_so(started: Task) -> None:
    claim = claimed(started)
    running = begin(claim)
    entry = factories.make_activity(running, kind="tool", tool="bash", state="running")
    ledger.take_back(Attempt.objects.get(pk=claim.attempt.pk), gone=True)
    before = entry.rev
    entry.refresh_from_db()
    running.refresh_from_db()
    assert entry.state == "interrupted"
    assert entry.rev == running.rev > before


def test_a_session_that_dies_three_times_without_activity_waits_for_a_person(started: Task) -> None:
    for _ in range(ledger.MOST_TRIES):
        claim = claimed(started)
        begin(claim)
        ledger.take_back(Attempt.objects.get(pk=claim.attempt.pk), gone=True)
    last = claim.attempt.last_session
    assert last is not None
    assert (last.state, last.reason) == ("interrupted", "tries_used_up")
    assert ledger.claim() is None
    assert started.retry() is not None


def test_a_try_does_not_count_when_studio_itself_stopped(started: Task) -> None:
    for _ in range(ledger.MOST_TRIES + 1):
        claim = claimed(started)
        begin(claim)
        claim.hand_back()
    last = claim.attempt.last_session
    assert last is not None
    assert last.state == "queued"


def test_a_worker_that_leaves_sees_the_session_a_person_queued_meanwhile(started: Task, alice: Any) -> None:
    claim = claimed(started)
    session = begin(claim)
    with claim.write():
        session.end("completed")
        Plan.objects.write(started, "A plan")
        claim.attempt.task.move("planning completed", "planning_review")
    started.approve_plan(by=alice)
    assert not claim.release()
    following = claim.next_session()
    assert following is not None
    assert following.phase == "implementation"


def test_released_attempts_are_idle_and_offered_again_by_the_next_verb(started: Task, alice: Any) -> None:
    claim = claimed(started)
    session = begin(claim)
    with claim.write():
        session.end("completed")
        Plan.objects.write(started, "A plan")
        claim.attempt.task.move("planning completed", "planning_review")
    assert claim.release()
    assert ledger.claim() is None
    started.approve_plan(by=alice)
    assert claimed(started).fence == 2


def test_the_watch_takes_back_what_a_dead_process_held(started: Task) -> None:
    claim = claimed(started)
    session = begin(claim)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    Attempt.objects.filter(pk=claim.attempt.pk).update(pid=dead.pid, pid_started=1)
    watch.Watch().round()
    session.refresh_from_db()
    assert (session.state, session.reason) == ("interrupted", "worker_died")
    assert Attempt.objects.get(pk=claim.attempt.pk).lease == Lease.CLAIMABLE


def test_the_watch_leaves_a_living_owner_alone_whatever_the_wall_clock_says(started: Task) -> None:
    claim = claimed(started)
    Attempt.objects.filter(pk=claim.attempt.pk).update(claimed_at=timezone.now() - timedelta(days=2))
    guard = watch.Watch()
    guard.round()
    guard.round()
    with claim.write():
        pass


def test_an_owner_whose_beat_stands_still_for_a_lease_is_taken_back(started: Task, settings: Any) -> None:
    claim = claimed(started)
    Attempt.objects.filter(pk=claim.attempt.pk).update(pid=0)
    settings.STUDIO_LEASE_SECONDS = 0.0
    guard = watch.Watch()
    guard.round()
    guard.round()
    with pytest.raises(ledger.LeaseLost), claim.write():
        pass


def test_a_lost_wake_up_is_rung_again(started: Task) -> None:
    Attempt.objects.update(lease=Lease.IDLE)
    assert ledger.claim() is None
    assert ledger.repair() == 1
    assert ledger.claim() is not None


def test_a_beat_is_written_when_it_is_due(started: Task, settings: Any) -> None:
    settings.STUDIO_BEAT_SECONDS = 0
    claim = claimed(started)
    before = Attempt.objects.get(pk=claim.attempt.pk).beat
    claim.tick()
    assert Attempt.objects.get(pk=claim.attempt.pk).beat == before + 1


def test_nothing_is_claimed_while_studio_stops(started: Task) -> None:
    drain.file().parent.mkdir(parents=True, exist_ok=True)
    drain.file().touch()
    try:
        assert ledger.claim() is None
    finally:
        drain.file().unlink()
    assert ledger.claim() is not None


def test_a_final_state_never_changes(started: Task) -> None:
    session = begin(claimed(started))
    session.end("completed")
    for state in ("failed", "cancelled", "interrupted", "completed"):
        with pytest.raises(Conflict):
            session.end(state)
    with pytest.raises(Conflict):
        session.advance("running")


def begin(claim: ledger.Claim, **fields: Any) -> Session:
    """Put the claim's session into the state running."""
    session = claim.next_session()
    assert session is not None
    session.advance("starting")
    session.advance("running", **fields)
    return session


def test_a_session_that_says_it_runs_though_nobody_has_it_goes_on(started: Task) -> None:
    claim = claimed(started)
    session = begin(claim)
    Attempt.objects.filter(pk=claim.attempt.pk).update(lease="idle", owner="", pid=0)
    assert ledger.repair() == 1
    session.refresh_from_db()
    attempt = Attempt.objects.get(pk=claim.attempt.pk)
    assert (session.state, session.reason, attempt.lease) == ("interrupted", "worker_died", "claimable")
    assert attempt.live_session.resumes == session
    assert ledger.repair() == 0


def test_a_start_during_a_removal_is_carried_out_after_it(project: Any, alice: Any) -> None:
    attempt = factories.make_attempt(factories.make_task(project, status="in_progress"))
    factories.make_session(attempt, phase="implementation", state="failed")
    with held(attempt, "remove"):
        attempt.task.retry(by=alice)
        assert ledger.claim() is None
    assert ledger.claim() is not None


def test_a_worker_that_works_on_another_attempt_is_not_killed_for_one_it_lost(
    started: Task, project: Any, alice: Any
) -> None:
    lost = claimed(started)
    factories.make_task(project, title="Another").execute(by=alice)
    other = ledger.claim()
    assert other is not None
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        start = processes.started(worker.pid)
        Attempt.objects.all().update(pid=worker.pid, pid_started=start)
        watch.reap(Attempt.objects.get(pk=lost.attempt.pk), "still")
        assert processes.is_alive(worker.pid, start)
        assert Attempt.objects.get(pk=lost.attempt.pk).lease == Lease.CLAIMABLE
        watch.reap(Attempt.objects.get(pk=other.attempt.pk), "still")
        assert not processes.is_alive(worker.pid, start)
    finally:
        worker.kill()
        worker.wait()


def test_what_an_owner_left_undone_after_the_last_session_is_offered_again(started: Task) -> None:
    claim = claimed(started)
    begin(claim).end("completed")
    ledger.take_back(Attempt.objects.get(pk=claim.attempt.pk), gone=True)
    assert claimed(started).release()
    assert ledger.claim() is None
