"""What follows a finished phase: the moves that Studio makes by itself. Each is called inside the claim's transaction."""

from django.db.models import Q
from django.utils import timezone

from sessions.models import Attempt, CheckResult, Session
from sessions.models.session import Phase, State
from sessions.phases.verdict import Verdict
from tasks.lifecycle import Status
from tasks.models import Finding, Plan


def planning_completed(session: Session, body: str) -> None:
    """A new version of the plan; it waits for a person, or the implementation begins."""
    attempt, task = session.attempt, session.attempt.task
    session.end(State.COMPLETED)
    plan = task.write_plan(body, session_id=session.pk)
    if task.policy.plan_approval:
        task.move("planning completed", Status.PLANNING_REVIEW)
        return
    Plan.objects.filter(pk=plan.pk).update(approved_at=timezone.now())
    task.move("planning completed", Status.IN_PROGRESS)
    attempt.begin(Phase.IMPLEMENTATION)


def change_completed(session: Session) -> None:
    """An implementation or a fix is done: the checks run next."""
    session.end(State.COMPLETED)
    session.attempt.begin(Phase.CHECKS)


def checks_completed(session: Session) -> None:
    """Red: a fix round, or a person once the rounds are used up. Green: the AI review, or a person."""
    attempt, task = session.attempt, session.attempt.task
    red = list(red_checks(session))
    session.end(State.COMPLETED, result={"red": [result.name for result in red]})
    rounds_left = attempt.rounds < task.policy.max_fix_rounds
    if red and rounds_left:
        if task.status != Status.FIX:
            task.move("checks completed", Status.FIX)
        attempt.begin_fix(checks=[result.pk for result in red])
    elif not red and task.policy.ai_review:
        task.move("checks completed", Status.AI_REVIEW)
        attempt.begin(Phase.REVIEW)
    else:
        task.move("checks completed", Status.REVIEW)


def review_completed(session: Session, verdict: Verdict | None, note: str = "") -> None:
    """Keep the findings, then fix them or hand over to a person. None is an inconclusive review."""
    attempt, task = session.attempt, session.attempt.task
    kind = verdict.verdict if verdict else "inconclusive"
    session.end(State.COMPLETED, result={"verdict": kind, "summary": verdict.summary if verdict else note})
    findings = [] if verdict is None else keep_findings(session, verdict)
    wanted = [finding.pk for finding in findings if finding.wants_fix]
    task.note("review.completed", session_id=session.pk, verdict=kind, findings=len(findings))
    if kind == "changes_requested" and wanted and attempt.rounds < task.policy.max_fix_rounds:
        task.move("review completed", Status.FIX)
        attempt.begin_fix(findings=wanted)
    else:
        task.move("review completed", Status.REVIEW)


def keep_findings(session: Session, verdict: Verdict) -> list[Finding]:
    """Store what the review found; what it does not find again counts as fixed."""
    before = session.task.findings.filter(attempt_number=session.attempt.number, state=Finding.State.OPEN)
    before.update(state=Finding.State.FIXED)
    return [
        session.task.findings.create(
            session_id=session.pk, attempt_number=session.attempt.number, **finding.model_dump()
        )
        for finding in verdict.findings
    ]


def red_checks(session: Session) -> "list[CheckResult]":
    """The required checks of that session that did not pass."""
    return list(session.check_results.filter(required=True).exclude(state=CheckResult.State.PASSED))


def obstacles(attempt: Attempt) -> list[str]:
    """Why the change may not be merged by the project's policy, in sentences; empty when it may."""
    task = attempt.task
    found = []
    checks = attempt.sessions.filter(phase=Phase.CHECKS, state=State.COMPLETED).order_by("-pk").first()
    red = red_checks(checks) if checks else []
    if task.policy.checks_required and red:
        found.append("Required checks are red: " + ", ".join(result.name for result in red) + ".")
    return found


def may_merge_alone(attempt: Attempt) -> bool:
    """Whether Studio merges by itself: human review off, required checks green, no `error` finding open."""
    errors = Q(severity=Finding.Severity.ERROR, state=Finding.State.OPEN, attempt_number=attempt.number)
    task = attempt.task
    waits = task.status == Status.REVIEW and not task.policy.human_review
    return (
        waits
        and not obstacles(attempt)
        and not task.findings.filter(errors).exists()
        and not _is_inconclusive(attempt)
    )


def _is_inconclusive(attempt: Attempt) -> bool:
    last = attempt.sessions.filter(phase=Phase.REVIEW).order_by("-pk").first()
    return last is not None and last.result.get("verdict") == "inconclusive"
