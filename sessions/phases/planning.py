"""Planning: the agent reads the project and answers with a plan; it changes nothing."""

from sessions.models import Session
from sessions.opencode.config import PLAN_AGENT
from sessions.phases import prompts
from sessions.phases.bench import Bench
from sessions.phases.reading import unchanged
from sessions.progress import planning_completed
from studio import crash


def run(bench: Bench, session: Session) -> None:
    """Ask for a plan and store it as a new version."""
    text = prompts.resume(session) if session.goes_on else prompts.planning(session)
    with unchanged(bench):
        plan = bench.converse(session, PLAN_AGENT, text)
    crash.point("plan-answered")
    with bench.claim.write():
        planning_completed(session, plan)
