"""AI review: another agent reads the whole change and gives a verdict that Studio validates."""

from sessions.models import Session
from sessions.opencode.config import REVIEW_AGENT
from sessions.phases import prompts, verdict
from sessions.phases.bench import Bench, workspace_failures
from sessions.phases.reading import unchanged
from sessions.phases.verdict import Unreadable, Verdict
from sessions.progress import review_completed
from studio import crash


def run(bench: Bench, session: Session) -> None:
    """Ask for a verdict, once more where it cannot be read; after that it is inconclusive, and a person decides."""
    with workspace_failures():
        change = bench.workspace.diff(bench.attempt.base_oid, bench.claim.tick)
    text = prompts.review(session, change.to_text())
    if session.goes_on and prompts.unheard(session):
        text = prompts.resume(session)
    with unchanged(bench) as tree:
        found, note = ask(bench, session, text)
    if tree.touched:
        found, note = (
            None,
            "The review changed files, which it may not; the change was undone, and its verdict does not count.",
        )
    crash.point("verdict-read")
    with bench.claim.write():
        review_completed(session, found, note)


def ask(bench: Bench, session: Session, text: str) -> tuple[Verdict | None, str]:
    """The verdict, or None and what is wrong with the answers."""
    problem = ""
    for prompt in (text, None):
        answer = bench.converse(session, REVIEW_AGENT, prompt or prompts.review_again(problem))
        try:
            return verdict.read(answer), ""
        except Unreadable as error:
            problem = str(error)
    return None, f"The review's answer could not be read: {problem}."
