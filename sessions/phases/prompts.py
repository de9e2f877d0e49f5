"""What Studio tells the agent at the start of each session. The agents' own instructions are in sessions/opencode."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from sessions.models import CheckResult, FollowUp, Request, Session, Step
from tasks.models import Attachment, Comment, Finding, PlanComment, Task
from tasks.models.review import Place

ANSWERS = (
    "When you are done, end your last message with one fenced JSON block that answers each comment in a sentence or two, "
    'by its number: {"answers": {"12": "…"}}'
)
HANDOVER = (
    "When you are done, end your last message with a hand-over to whoever does the next phase: what is done, what was decided and why, "
    "and what is left or to be watched. All of that message is handed over, and nothing else of this conversation."
)


def task_text(task: Task) -> str:
    """The task as its author wrote it, with the files that came with it."""
    text = f"Task {task.key}: {task.title}\n\n{task.description.strip()}".strip()
    return _join(text, _attached(task.attachments.of_description()))


def follow_up_text(message: FollowUp) -> str:
    """What a person wrote, with the files that came with it."""
    return _join(message.text, _attached(message.attachments.all()))


def _attached(files: Iterable[Attachment]) -> str:
    """Where the files lie. Those that the model gets itself sessions/phases/attached.py finds by that."""
    lines = [f"- {each.path} ({each.media_type}, {each.size} bytes)" for each in files]
    return (
        lines
        and _join(
            "Files that a person attached. They lie outside of the repository, for you to read only:",
            "\n".join(lines),
        )
    ) or ""


def planning(session: Session) -> str:
    """Ask for a plan, or for a better one after what a person said of it."""
    task = session.task
    asked = _plan_changes(session)
    last = task.plan
    written = f"The plan, as a person wrote it last:\n\n{last.body}" if last and last.by_id else ""
    if asked and session.opencode_session_id:
        return _join(
            "Phase: planning",
            written,
            "A person read your plan and asks for changes:",
            asked,
            "Answer with the whole new plan.",
        )
    return _join(
        "Phase: planning",
        "Make a plan for this task. Change nothing yet.",
        task_text(task),
        f"The last plan was:\n\n{last.body}" if last and (asked or session.inputs.get("follow_up")) else "",
        f"A person asks for these changes to it:\n\n{asked}" if asked else "",
        _written(session),
    )


def _plan_changes(session: Session) -> str:
    """What a person wants changed in the plan: in all, and at lines."""
    remarks = PlanComment.objects.filter(pk__in=session.inputs.get("plan_comments", []))
    at_lines = [_at_lines(remark) for remark in remarks]
    return _join(session.inputs.get("comment", ""), *at_lines)


def _at_lines(remark: PlanComment) -> str:
    quote = "".join(f"\n> {line}" for line in remark.quote.split("\n"))
    return f"About {remark.where}:{quote}\n\n{remark.body}"


def implementation(session: Session) -> str:
    """Ask for the change, by the accepted plan where there is one, or for one of its phases."""
    if session.step is not None:
        return _step(session, session.step)
    task = session.task
    plan = task.plans.accepted()
    return _join(
        "Phase: implementation",
        "Carry out this task in the working directory. Leave your work uncommitted or committed, as you like; Studio keeps both.",
        task_text(task),
        f"The accepted plan:\n\n{plan.body}" if plan else "",
        _written(session),
        _checks(task),
    )


def _step(session: Session, step: Step) -> str:
    task = session.task
    plan, steps = task.plans.accepted(), list(step.kin)
    done = [each for each in steps if each.state == Step.State.COMPLETED and each.pk != step.pk]
    last = max(done, key=lambda each: each.ended_at or session.created_at, default=None)
    return _join(
        "Phase: implementation",
        f"Round: {step.number}",
        f"You work on phase {step.number} of {len(steps)} of the accepted plan, in the working directory, and on nothing else of it: the other "
        "phases have sessions of their own. Leave your work uncommitted or committed, as you like; Studio keeps both.",
        task_text(task),
        f"The accepted plan:\n\n{plan.body}" if plan else "",
        "The phases so far:\n\n" + "\n".join(_stands(each, step) for each in steps),
        f"What the agent of phase {last.number} hands over to you:\n\n{last.summary}" if last else "",
        f"Your phase now is {step.number}: {step.title}\n\n{step.body}".strip(),
        _written(session),
        HANDOVER,
        _checks(task, "after the last phase"),
    )


def _stands(each: Step, now: Step) -> str:
    state = "yours" if each.pk == now.pk else {"open": "not begun"}.get(each.state, each.state)
    return f"- {each.number}. {each.title}: {state}" + (f" ({each.reason})" if each.reason else "")


def review(session: Session, diff: str, part: int = 1, parts: int = 1) -> str:
    """Ask for a verdict on the change, or on one of its parts, counted from 1."""
    task = session.task
    return _join(
        "Phase: review",
        f"Round: {session.attempt.sessions.filter(phase='review', state='completed').count() + 1}",
        "Review this change. Answer with the one JSON block that your instructions describe.",
        f"It is too large for one reading. This is part {part} of {parts}; others read the rest. Judge this part, and look into the "
        "files for what it depends on."
        if parts > 1
        else "",
        task_text(task),
        _criteria(task),
        _results(CheckResult.objects.filter(session=_last_checks(session))),
        f"The change:\n\n````diff\n{diff}\n````",
    )


def review_again(problem: str) -> str:
    """Ask once more for a verdict that can be read."""
    return _join(
        "Phase: review",
        f"Your answer could not be read as a verdict: {problem}",
        "Answer again, with nothing but the one JSON block that your instructions describe.",
    )


def fix(session: Session) -> str:
    """Ask for a fix of what a check, a review or a person found."""
    inputs = session.inputs
    findings = Finding.objects.filter(pk__in=inputs.get("findings", []), state=Finding.State.OPEN)
    comments = Comment.objects.filter(pk__in=inputs.get("comments", []), state=Comment.State.OPEN)
    results = CheckResult.objects.filter(pk__in=inputs.get("checks", []))
    started = session.attempt.sessions.filter(phase="fix").count()
    return _join(
        "Phase: fix",
        f"Round: {started}",
        "" if session.opencode_session_id else task_text(session.task),
        "The change needs more work. Take care of all of this:",
        _written(session),
        _conflicts(inputs),
        "\n\n".join(_comment(comment) for comment in comments),
        _results(results),
        "\n\n".join(_finding(finding) for finding in findings),
        ANSWERS if comments else "",
    )


def resume(session: Session) -> str:
    """Go on after an interruption, in the same conversation, with what people have answered meanwhile."""
    answers = [_answer(request) for request in unheard(session)]
    return _join(
        f"Phase: {session.phase}",
        f"Round: {session.step.number}" if session.step else "",
        "You asked something and were stopped until a person had answered:" if answers else "",
        *answers,
        "You are back in the same working directory. Look at what is there already, then go on and finish."
        if answers
        else "You were interrupted and are back in the same working directory. Look at what is there already, then go on and finish.",
        "Answer with the one JSON block that your instructions describe."
        if session.phase == "review"
        else "",
        HANDOVER if session.step else "",
    )


def follow_up(session: Session, message: FollowUp) -> str:
    """What a person wrote, for the agent that is at work on the task, or was."""
    planning = "Answer with the whole plan as it should be now." if session.phase == "planning" else ""
    return _join(f"Phase: {session.phase}", f"A person writes:\n\n{follow_up_text(message)}", planning)


def _written(session: Session) -> str:
    """What people wrote to the agent before, where its conversation is lost."""
    if session.opencode_session_id:
        return ""
    sent = session.attempt.follow_ups.filter(state=FollowUp.State.SENT)
    return _join(*(f"A person wrote meanwhile:\n\n{follow_up_text(message)}" for message in sent))


def unheard(session: Session) -> QuerySet[Request]:
    """The answers to what it asked (or what the session asked that it resumes) that no OpenCode has had."""
    return Request.objects.filter(
        session__in=session.lineage, state=Request.State.ANSWERED, delivered_at=None
    ).order_by("pk")


def _answer(request: Request) -> str:
    answer = request.answer or {}
    if request.kind == Request.Kind.PERMISSION:
        said = f"\n\n{answer['message']}" if answer.get("message") else ""
        verdict = {
            "once": "A person allows it: do it now, as you meant to.",
            "always": "A person allows it, now and from now on: do it as you meant to.",
        }.get(
            str(answer.get("reply")),
            "A person refuses it. Find another way, or do without it and say so at the end.",
        )
        what = request.body.get("permission")
        return f"You asked leave ({what}) for:\n\n```\n{request.wish}\n```\n\n{verdict}{said}"
    questions = request.body.get("questions") or []
    chosen = answer.get("answers") or []
    return "\n\n".join(
        f"You asked: {question.get('question', '')}\n\n{_chosen(chosen, number)}"
        for number, question in enumerate(questions)
    )


def _chosen(answers: list[list[str]], number: int) -> str:
    if number >= len(answers):
        return "A person declined to answer. Decide it sensibly yourself, and say so at the end."
    return f"A person answers: {'; '.join(answers[number])}"


def _join(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _checks(task: Task, when: str = "when you are done") -> str:
    commands = [f"- `{check['command']}`" for check in task.project.checks]
    return f"Studio will run these checks {when}:\n\n" + "\n".join(commands) if commands else ""


def _criteria(task: Task) -> str:
    plan = task.plans.accepted()
    wanted = (
        [f"{number}. {each}" for number, each in enumerate(plan.fields.criteria, start=1)] if plan else []
    )
    if not wanted:
        return ""
    return _join(
        "Acceptance criteria of the plan:",
        "\n".join(wanted),
        "List in `criteria_met` the numbers of those that you saw to be met.",
    )


def _results(results: Iterable[CheckResult]) -> str:
    return "\n\n".join(
        f"Check `{result.command}`: {result.get_state_display().lower()}.\n\n```\n{result.output[-6000:]}\n```"
        for result in results
    )


def _finding(finding: Finding) -> str:
    return f"Finding ({finding.severity}) in {_where(finding)}: {finding.title}\n\n{finding.body}"


def _comment(comment: Comment) -> str:
    return f"Comment {comment.pk}: a person writes about {_where(comment)}:\n\n{comment.body}"


def _where(remark: Place) -> str:
    """The place, and how its lines read when the remark was made."""
    quote = "".join(f"\n> {line}" for line in remark.quote.split("\n")) if remark.quote else ""
    before = " (its lines were changed since)" if remark.outdated else ""
    return f"{remark.where or 'the whole change'}{before}{quote}"


def _conflicts(inputs: dict[str, Any]) -> str:
    files = "\n".join(f"- {path}" for path in inputs.get("conflicts", []))
    return files and (
        f"The branch {inputs.get('target', '')} went on meanwhile. Studio has begun to merge it into your working directory. These files are "
        f"in conflict:\n\n{files}\n\nResolve each of them so that both intents hold, and leave no conflict marks. Do not abort the merge; "
        "Studio concludes it."
    )


def _last_checks(session: Session) -> Session | None:
    return session.attempt.sessions.filter(phase="checks").order_by("-pk").first()
