"""The turns of a session: what the phase asks for, and then what people wrote, one message a turn, until none is left."""

from collections.abc import Callable

from sessions.ledger import Claim
from sessions.models import FollowUp, Session
from sessions.models.session import State
from sessions.phases import prompts
from sessions.phases.bench import Bench
from tasks.lifecycle import Status


def talk(bench: Bench, session: Session, agent: str, whole: Callable[[Session], str]) -> list[str]:
    """Ask for what `whole` says, or to go on with it; what the agent said at the end of each turn. Raises Failed or Parked.

    The last turn was not interrupted. A message that waits already goes with the first prompt.
    """
    settle(bench)
    message = take(bench, session)
    opening = _opening(session, whole, message)
    said = [bench.converse(session, agent, opening, message)]
    while (message := take(bench, session)) or not said[-1]:
        text = prompts.follow_up(session, message) if message else prompts.resume(session)
        said.append(bench.converse(session, agent, text, message))
    return said


def _opening(session: Session, whole: Callable[[Session], str], message: FollowUp | None) -> str:
    """The first prompt. One that was begun for a message, in a conversation that is there, has no more to say than that."""
    words = prompts.follow_up(session, message) if message else ""
    if session.goes_on:
        return f"{prompts.resume(session)}\n\n{words}".strip()
    asks = {name for name, value in session.inputs.items() if value} - {"follow_up"}
    if session.opencode_session_id and session.inputs.get("follow_up") and not asks:
        return words or prompts.resume(session)
    return f"{whole(session)}\n\n{words}".strip()


def take(bench: Bench, session: Session) -> FollowUp | None:
    """The message to hand over next, which nobody changes or deletes from here on."""
    rows = bench.attempt.follow_ups
    if not (rows.called().exists() or rows.queued().exists()):
        return None
    with bench.claim.write():
        return FollowUp.objects.next_for(session)


def settle(bench: Bench) -> None:
    """Find out about the messages that a lost worker was sending: what OpenCode has is sent, what it has not waits again."""
    for message in bench.attempt.follow_ups.unsettled().select_related("session"):
        conversation = message.session.opencode_session_id if message.session else ""
        has_it = bench.has_heard(conversation, message.message_id)
        with bench.claim.write():
            if has_it:
                message.sent()
            else:
                message.back_into_queue()


def begin_waiting(claim: Claim) -> bool:
    """Start with what people wrote when the last session had no turn left for it; whether there was any."""
    if not claim.attempt.follow_ups.queued().exists():
        return False
    with claim.write():
        attempt, task = claim.attempt, claim.attempt.task
        last = attempt.last_session
        gate = task.status in {Status.PLANNING_REVIEW, Status.REVIEW}
        waits = gate and last is not None and last.state == State.COMPLETED
        if not waits or attempt.is_stopping or not attempt.follow_ups.queued().exists():
            return False
        attempt.follow_ups.begin(attempt)
    return True
