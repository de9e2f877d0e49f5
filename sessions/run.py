"""Carry one claimed attempt through its phases, until a person is needed, it ends, or somebody stops it."""

import logging
from collections.abc import Callable

from sessions import landing
from sessions.ledger import Claim, Drained, LeaseLost, Stopped, end_session, take_back
from sessions.models import Session
from sessions.models.session import Phase, State
from sessions.phases import checks, implementation, planning, review
from sessions.phases.bench import Bench
from sessions.reasons import Failed, Reason
from studio import crash
from studio.errors import Refusal

log = logging.getLogger(__name__)

PHASES: dict[str, Callable[[Bench, Session], None]] = {
    Phase.PLANNING: planning.run,
    Phase.IMPLEMENTATION: implementation.run,
    Phase.CHECKS: checks.run,
    Phase.REVIEW: review.run,
    Phase.FIX: implementation.run,
}


def carry(claim: Claim) -> None:
    """Work on the attempt's sessions one after another. What runs for it is gone before anything is written about its end."""
    bench = Bench(claim)
    crash.point("claimed")
    try:
        while True:
            while session := claim.next_session():
                work(bench, session)
                crash.point("between-phases")
            if landing.merge_alone(claim):
                continue
            crash.point("before-close")
            if close(bench) and claim.release():
                crash.point("released")
                return
    except Stopped:
        crash.point("stop-seen")
        if close(bench):
            crash.point("stop-cleared")
            claim.finish_stop()
    except Drained:
        if close(bench):
            crash.point("drain-cleared")
            claim.hand_back()
    except LeaseLost:
        log.warning("%s was taken over; leaving it", claim.attempt.key)
        bench.close()
    except Exception:
        log.exception("%s is given back", claim.attempt.key)
        take_back(
            claim.attempt,
            gone=not bench.close(),
            detail="Studio met a defect of its own; the log has the details.",
        )


def work(bench: Bench, session: Session) -> None:
    """Run one session; its failure is written with its reason. Raises Stopped, Drained or LeaseLost."""
    try:
        with bench.claim.write():
            session.advance(State.STARTING)
        crash.point("session-starting")
        PHASES[session.phase](bench, session)
    except Failed as failure:
        fail(bench, session, failure)
    except (Stopped, Drained, LeaseLost):
        raise
    except Refusal as refusal:
        fail(bench, session, Failed(Reason.DEFECT, refusal.message))
    except Exception as error:
        log.exception("session %s", session.pk)
        fail(bench, session, Failed(Reason.DEFECT, f"{type(error).__name__}: {error}"))


def fail(bench: Bench, session: Session, failure: Failed) -> None:
    """End the session as failed; the task stays where it is, and the card says why."""
    log.warning("session %s of %s failed: %s", session.pk, bench.attempt.key, failure)
    crash.point("failure-named")
    with bench.claim.write():
        end_session(session, State.FAILED, failure.reason, failure.detail)


def close(bench: Bench) -> bool:
    """Whether everything of the attempt is gone; else the attempt is parked for a person."""
    survivors = bench.close()
    if survivors:
        bench.claim.park(
            Reason.NOT_CONFIRMED, f"Processes {', '.join(map(str, survivors))} could not be ended."
        )
    return not survivors
