"""Implementation and fix: the agent changes the workspace; Studio commits what it left."""

from sessions.models import Session
from sessions.models.session import Phase
from sessions.opencode.config import BUILD_AGENT
from sessions.phases import prompts
from sessions.phases.answers_to_comments import keep_answers
from sessions.phases.bench import Bench, workspace_failures
from sessions.phases.turns import talk
from sessions.progress import change_completed
from sessions.reasons import Failed, Reason
from sessions.workspaces import resolving


def run(bench: Bench, session: Session) -> None:
    """Ask for the change, keep it, and let the checks follow."""
    step = session.step
    message = f"{session.task.key}: {step.title if step else session.task.title}"
    target_oid = session.inputs.get("target_oid", "")
    if target_oid and not session.goes_on:
        with workspace_failures():
            resolving.take_in(bench.workspace, target_oid, message, bench.claim.tick)
    said = "\n\n".join(talk(bench, session, BUILD_AGENT, prompt))
    head = bench.keep(message)
    if target_oid:
        with workspace_failures():
            rests = resolving.rest_on(bench.workspace, target_oid, head)
        if rests:
            with bench.claim.record():
                bench.attempt.record(base_oid=target_oid)
    is_last = step is None or not step.kin.open().exclude(pk=step.pk).exists()
    if session.phase == Phase.IMPLEMENTATION and is_last and head == bench.attempt.base_oid:
        raise Failed(Reason.NO_CHANGE, "The agent's last message says why it changed nothing.")
    with bench.claim.write():
        keep_answers(session, said)
        change_completed(session, head, said)


def prompt(session: Session) -> str:
    """What this session tells an agent that has not heard it."""
    return prompts.fix(session) if session.phase == Phase.FIX else prompts.implementation(session)
