"""AI review: another agent reads the whole change, in parts where it is too large for one reading, and gives a verdict."""

from django.conf import settings

from sessions import anchors
from sessions.models import Session
from sessions.opencode.config import REVIEW_AGENT
from sessions.phases import prompts, verdict
from sessions.phases.bench import Bench, workspace_failures
from sessions.phases.parts import split
from sessions.phases.reading import unchanged
from sessions.phases.verdict import Unreadable, Verdict
from sessions.progress import review_completed
from studio import crash
from tasks.models import Finding


def run(bench: Bench, session: Session) -> None:
    """Ask for a verdict, once more where it cannot be read; after that it is inconclusive, and a person decides."""
    with workspace_failures():
        change = bench.workspace.diff(bench.attempt.base_oid, bench.claim.tick)
    parts = split(change.to_text(), settings.STUDIO_REVIEW_CHARACTERS)
    with unchanged(bench) as tree:
        found, note = review(bench, session, parts)
    if tree.touched:
        found, note = (
            None,
            "The review changed files, which it may not; the change was undone, and its verdict does not count.",
        )
    if found and change.cut:
        found.summary = f"Not all of the change was shown to it: {change.cut}\n\n{found.summary}".strip()
    findings = [Finding(**problem.model_dump()) for problem in found.findings] if found else []
    with workspace_failures():
        anchors.anchor(bench.attempt, findings)
    crash.point("verdict-read")
    with bench.claim.write():
        review_completed(session, found, note, findings)


def review(bench: Bench, session: Session, parts: list[str]) -> tuple[Verdict | None, str]:
    """The verdict on all parts, or None and what is wrong with an answer. Each part is read in a conversation of its own."""
    if len(parts) == 1 and session.goes_on and prompts.unheard(session):
        return ask(bench, session, prompts.resume(session))
    verdicts: list[Verdict] = []
    for number, part in enumerate(parts, start=1):
        if len(parts) > 1:
            session.opencode_session_id = ""
        found, note = ask(bench, session, prompts.review(session, part, number, len(parts)))
        if found is None:
            return None, note
        verdicts.append(found)
    whole = verdict.merged(verdicts)
    if len(parts) > 1:
        whole.summary = f"Read in {len(parts)} parts, as the change is large.\n\n{whole.summary}".strip()
    return whole, ""


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
