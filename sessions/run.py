"""Carry one claimed attempt through its phases, until a person is needed, it ends, or somebody stops it."""

import logging
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from django.utils import timezone

from sessions import landing
from sessions.halts import DiskFull, Drained, LeaseLost, Parked, Paused, PutOff, Stopped
from sessions.ledger import Claim, end_session, interrupt, take_back
from sessions.models import Attempt, Session
from sessions.models.breaker import pause_seconds
from sessions.models.session import Phase, State
from sessions.phases import checks, implementation, planning, reading, review, setup
from sessions.phases.bench import Bench
from sessions.phases.turns import begin_waiting
from sessions.reasons import HANDLING, Again, Failed, Reason
from sessions.workspaces.orphans import Brood
from studio import crash, database, disk
from studio.errors import Refusal

log = logging.getLogger(__name__)

PHASES: dict[str, Callable[[Bench, Session], None]] = {
    Phase.PLANNING: planning.run,
    Phase.IMPLEMENTATION: implementation.run,
    Phase.CHECKS: checks.run,
    Phase.REVIEW: review.run,
    Phase.FIX: implementation.run,
}


RESTARTS = ((5, timedelta(minutes=10)), (20, timedelta(days=1)))  # of an attempt's OpenCode, at most
LONGEST_PAUSE_SECONDS = 16
MOST_RETRIES = 4  # of a phase, when its provider fails for this session and not for all


def carry(claim: Claim, brood: Brood | None = None) -> None:
    """Work on the attempt's sessions one after another. What runs for it is gone before anything is written about its end.

    `brood` is given by a worker, in whose process everything that comes is the attempt's.
    """
    bench = Bench(claim, brood)
    crash.point("claimed")
    try:
        try:
            carry_on(bench)
        except Stopped:
            crash.point("stop-seen")
            if close(bench):
                crash.point("stop-cleared")
                claim.finish_stop()
        except Drained:
            if close(bench):
                crash.point("drain-cleared")
                claim.hand_back()
        except Paused:
            if close(bench):
                claim.hand_back(Reason.PAUSED)
        except Parked:
            if close(bench):
                crash.point("park-cleared")
                claim.rest()
        except PutOff as off:
            if close(bench):
                claim.put_off(off)
        except DiskFull:
            if close(bench):
                database.outlast(partial(claim.hand_back, Reason.DISK_FULL))
        except database.AWAY as error:
            log.exception("%s is given back", claim.attempt.key)
            gone = not bench.close()
            reason = Reason.DISK_FULL if disk.says_full(str(error)) else Reason.DATABASE
            give_back = partial(take_back, claim.attempt, gone=gone, detail=str(error), reason=reason)
            database.outlast(give_back)
    except LeaseLost:
        log.warning("%s was taken over; leaving it", claim.attempt.key)
        bench.abandon()
    except Exception:
        log.exception("%s is given back", claim.attempt.key)
        take_back(
            claim.attempt,
            gone=not bench.close(),
            detail="Studio met a defect of its own; the log has the details.",
        )


def carry_on(bench: Bench) -> None:
    """Session after session, until nothing is queued."""
    while True:
        while session := bench.claim.next_session():
            work(bench, session)
            crash.point("between-phases")
        if begin_waiting(bench.claim) or landing.merge_alone(bench.claim):
            continue
        crash.point("before-close")
        if close(bench) and bench.claim.release():
            crash.point("released")
            return


def work(bench: Bench, session: Session) -> None:
    """Run one session; its failure is written with its reason. Raises Stopped, Drained, Paused, Parked, PutOff, DiskFull or LeaseLost."""
    try:
        with bench.claim.write():
            session.advance(State.STARTING)
        crash.point("session-starting")
        reading.put_back(bench, bench.claim.tick)  # what a worker left that was lost
        setup.run(bench, session)
        PHASES[session.phase](bench, session)
    except Failed as failure:
        failure.detail = bench.redactor.text(failure.detail)
        failure = for_want_of_space(bench, failure)
        if failure.reason == Reason.SERVER_DIED:
            start_again(bench, session, failure)
        elif HANDLING[failure.reason].again == Again.PROVIDER:
            put_off(bench, session, failure)
        else:
            fail(bench, session, failure)
    except (Stopped, Drained, Paused, Parked, PutOff, DiskFull, LeaseLost, *database.AWAY):
        raise
    except Refusal as refusal:
        fail(bench, session, Failed(Reason.DEFECT, bench.redactor.text(refusal.message)))
    except Exception as error:
        said = bench.redactor.text("".join(traceback.format_exception(error)))
        log.error("session %s\n%s", session.pk, said)
        detail = bench.redactor.text(f"{type(error).__name__}: {error}")
        fail(bench, session, Failed(Reason.DEFECT, detail))


def fail(bench: Bench, session: Session, failure: Failed) -> None:
    """End the session as failed; the task stays where it is, and the card says why."""
    log.warning("session %s of %s failed: %s", session.pk, bench.attempt.key, failure)
    failure = for_want_of_space(bench, failure)
    crash.point("failure-named")
    with bench.claim.write():
        end_session(session, State.FAILED, failure.reason, failure.detail)


def start_again(bench: Bench, session: Session, failure: Failed) -> None:
    """OpenCode died or hangs: end what is left of it, and let the next session go on in the same conversation, by RESTARTS."""
    earlier = bench.attempt.sessions.filter(state=State.INTERRUPTED, reason=Reason.SERVER_DIED)
    ended = [list(earlier.filter(ended_at__gt=timezone.now() - window)) for _, window in RESTARTS]
    if any(len(deaths) >= most for deaths, (most, _) in zip(ended, RESTARTS, strict=True)):
        fail(bench, session, Failed(Reason.SERVER_KEEPS_DYING, failure.detail))
        return
    log.warning("OpenCode of %s died in session %s: %s", bench.attempt.key, session.pk, failure.detail)
    if not close(bench):
        raise LeaseLost
    with bench.claim.write():
        interrupt(bench.attempt, session, Reason.SERVER_DIED, failure.detail)
    again_at = time.monotonic() + min(2 ** len(ended[0]), LONGEST_PAUSE_SECONDS)
    while time.monotonic() < again_at:
        bench.claim.tick()
        time.sleep(0.2)


def for_want_of_space(bench: Bench, failure: Failed) -> Failed:
    """The same failure, named by its cause where the disk is full. Raises DiskFull where it goes on by itself with more room."""
    path = bench.attempt.task.project.path
    if not disk.is_full(path) and not disk.says_full(failure.detail):
        return failure
    if disk.shortage(path):
        raise DiskFull
    return Failed(Reason.DISK_FULL, failure.detail)


def put_off(bench: Bench, session: Session, failure: Failed) -> None:
    """The provider failed, and that passes: the next session waits for it. Raises PutOff, except where it has been tried often enough."""
    if failure.is_paused:
        raise PutOff(session, failure.reason, failure.detail, 0)
    retries = Attempt.objects.values_list("retries", flat=True).get(pk=bench.attempt.pk)
    if retries >= MOST_RETRIES:
        fail(bench, session, failure)
        return
    asked = (failure.again_at - timezone.now()).total_seconds() if failure.again_at else 0
    raise PutOff(session, failure.reason, failure.detail, max(pause_seconds(retries), asked))


def close(bench: Bench) -> bool:
    """Whether everything of the attempt is gone; else the attempt is parked for a person. What a reader changed is put back."""
    survivors = bench.close()
    if survivors:
        bench.claim.park(
            Reason.NOT_CONFIRMED, f"Processes {', '.join(map(str, survivors))} could not be ended."
        )
        return False
    try:
        reading.put_back(bench, bench.claim.beat)
    except (
        Failed,
        *database.AWAY,
    ) as error:  # the next session starts with it, and fails where it cannot be done
        log.warning("%s is not put back: %s", bench.attempt.key, error)
    return True
