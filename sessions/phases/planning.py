"""Planning: the agent reads the project and answers with a plan; it changes nothing."""

from sessions.models import Session
from sessions.opencode.config import PLAN_AGENT
from sessions.phases import prompts
from sessions.phases.bench import Bench
from sessions.phases.reading import unchanged
from sessions.phases.turns import talk
from sessions.progress import planning_completed
from studio import crash


def run(bench: Bench, session: Session) -> None:
    """Ask for a plan and store it as a new version."""
    with unchanged(bench):
        *_, plan = talk(bench, session, PLAN_AGENT, prompts.planning)
    crash.point("plan-answered")
    with bench.claim.write():
        planning_completed(session, plan)
