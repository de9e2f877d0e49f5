"""What follows a finished phase: the moves that Studio makes by itself. Each is called inside the claim's transaction."""

from django.utils import timezone

from sessions.models import Attempt, CheckResult, Session
from sessions.models.session import Phase, State
from sessions.phases.verdict import Verdict
from tasks.lifecycle import Status
from tasks.models import Evidence, Finding, Plan


def planning_completed(session: Session, body: str) -> None:
    """A new version of the plan; it waits for a person, or the implementation begins."""
    attempt, task = session.attempt, session.attempt.task
    session.end(State.COMPLETED)
    plan = Plan.objects.write(task, body, session_id=session.pk)
    if task.policy.plan_approval:
        task.move("planning completed", Status.PLANNING_REVIEW)
        return
    Plan.objects.filter(pk=plan.pk).update(approved_at=timezone.now())
    task.move("planning completed", Status.IN_PROGRESS)
    attempt.begin(Phase.IMPLEMENTATION)


def change_completed(session: Session, head: str, said: str) -> None:
    """An implementation or a fix is done, at the commit `head`: the checks run next, or the next step of the plan, or a person wanted a pause."""
    attempt, step = session.attempt, session.step
    if step is not None:
        step.complete(head, said)
    session.end(State.COMPLETED)
    if step is None or not attempt.steps.open().exists():
        attempt.begin(Phase.CHECKS)
    elif step.pause_after:
        step.paused()
    else:
        attempt.begin(Phase.IMPLEMENTATION)


def checks_completed(session: Session) -> None:
    """What people wrote meanwhile comes first. Red: a fix round, or a person once the rounds are used up. Green: the AI review, or a person."""
    attempt, task = session.attempt, session.attempt.task
    red = list(red_checks(session))
    session.end(State.COMPLETED, result={"red": [result.name for result in red]})
    rounds_left = attempt.rounds < task.policy.max_fix_rounds
    if attempt.follow_ups.queued().exists():
        if task.status != Status.FIX:
            task.move("checks completed", Status.FIX)
        attempt.begin(Phase.FIX, checks=[result.pk for result in red], follow_up=True)
    elif red and rounds_left:
        if task.status != Status.FIX:
            task.move("checks completed", Status.FIX)
        attempt.begin_fix(checks=[result.pk for result in red])
    elif not red and task.policy.ai_review:
        task.move("checks completed", Status.AI_REVIEW)
        attempt.begin(Phase.REVIEW)
    else:
        task.move("checks completed", Status.REVIEW)


def review_completed(
    session: Session, verdict: Verdict | None, note: str = "", found: list[Finding] | None = None
) -> None:
    """Keep what was `found`, then have it fixed or hand over to a person. None is an inconclusive review."""
    attempt, task = session.attempt, session.attempt.task
    kind = verdict.verdict if verdict else "inconclusive"
    session.end(State.COMPLETED, result={"verdict": kind, "summary": verdict.summary if verdict else note})
    findings = [] if verdict is None else keep_findings(session, found or [])
    wanted = [finding.pk for finding in findings if finding.wants_fix]
    tick_criteria(session, verdict.criteria_met if verdict else [])
    task.note("review.completed", session_id=session.pk, verdict=kind, findings=len(findings))
    if kind == "changes_requested" and wanted and attempt.rounds < task.policy.max_fix_rounds:
        task.move("review completed", Status.FIX)
        attempt.begin_fix(findings=wanted)
    else:
        task.move("review completed", Status.REVIEW)


def tick_criteria(session: Session, numbers: list[int]) -> None:
    """The review saw these criteria of the accepted plan met; they count from 1."""
    plan = session.task.plans.accepted()
    criteria = plan.fields.criteria if plan and plan == session.task.plan else ()
    for number in numbers:
        if number <= len(criteria):
            Evidence.objects.tick(
                session.task, criteria[number - 1], session_id=session.pk, note="The AI review saw it."
            )


def keep_findings(session: Session, found: list[Finding]) -> list[Finding]:
    """Store what a review found; those of it that are open.

    What it finds again stays the finding that it was, waived where a person waived it. What was sent to a fix and is not found again
    counts as fixed; what was not sent stays open.
    """
    attempt, task = session.attempt, session.attempt.task
    settled = task.findings.filter(attempt_number=attempt.number).exclude(state=Finding.State.FIXED)
    known = list(settled)
    for finding in found:
        finding.task, finding.attempt_number, finding.session_id = task, attempt.number, session.pk
        again = _found_before(known, finding)
        if again is not None:
            known.remove(again)
            finding.found_again(again)
        else:
            finding.save()
    fixes = attempt.sessions.filter(phase=Phase.FIX, state=State.COMPLETED).values_list("inputs", flat=True)
    sent = {pk for inputs in fixes for pk in inputs.get("findings", [])}
    fixed = [finding.pk for finding in known if finding.pk in sent and finding.state == Finding.State.OPEN]
    task.findings.filter(pk__in=fixed, state=Finding.State.OPEN).update(state=Finding.State.FIXED)
    return [finding for finding in found if finding.state == Finding.State.OPEN]


def _found_before(known: list[Finding], problem: Finding) -> Finding | None:
    """The finding of an earlier review that says the same of the same file; of several the nearest."""
    same = [
        each
        for each in known
        if each.path == problem.path and each.title.casefold() == problem.title.casefold()
    ]
    return min(same, key=lambda each: abs((each.line or 0) - (problem.line or 0)), default=None)


def red_checks(session: Session) -> "list[CheckResult]":
    """The required checks of that session that did not pass."""
    checks = session.check_results.filter(kind=CheckResult.Kind.CHECK, required=True)
    return list(checks.exclude(state=CheckResult.State.PASSED))


def obstacles(attempt: Attempt) -> list[str]:
    """Why the change may not be merged by the project's policy, in sentences; empty when it may, or a maintainer overrode it."""
    overridden = attempt.task.approvals.filter(oid=attempt.head_oid).exclude(reason="").exists()
    return [] if attempt.head_oid and overridden else against_policy(attempt)


def against_policy(attempt: Attempt) -> list[str]:
    """What the policy has against a merge of the attempt's last commit, in sentences."""
    task = attempt.task
    found = []
    checks = attempt.sessions.filter(phase=Phase.CHECKS, state=State.COMPLETED).order_by("-pk").first()
    red = red_checks(checks) if checks else []
    if task.policy.checks_required and red:
        found.append("Required checks are red: " + ", ".join(result.name for result in red) + ".")
    errors = task.findings.filter(
        severity=Finding.Severity.ERROR, state=Finding.State.OPEN, attempt_number=attempt.number
    ).count()
    if errors:
        noun = (
            "An error that the review found is"
            if errors == 1
            else f"{errors} errors that the review found are"
        )
        found.append(f"{noun} open: have it fixed, or waive it with a reason.")
    if task.policy.approval_required and not task.approvals.filter(oid=attempt.head_oid, reason="").exists():
        found.append("Nobody has approved this version of the change.")
    return found


def may_merge_alone(attempt: Attempt) -> bool:
    """Whether Studio merges by itself: human review off, required checks green, no `error` finding open."""
    task = attempt.task
    waits = task.status == Status.REVIEW and not task.policy.human_review
    return waits and not obstacles(attempt) and not _is_inconclusive(attempt)


def _is_inconclusive(attempt: Attempt) -> bool:
    last = attempt.sessions.filter(phase=Phase.REVIEW).order_by("-pk").first()
    return last is not None and last.result.get("verdict") == "inconclusive"
