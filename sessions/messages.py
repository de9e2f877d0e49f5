"""What the commits of a landing say, and the trailers that lead from them back to task, sessions, models and people."""

import re
from typing import Any

from django.conf import settings

from sessions.models import Attempt
from sessions.models.session import Phase, State

SUMMARY_LIMIT = 2000  # characters of the plan
STUDIO = ("Studio", "studio@localhost")


def proposed(attempt: Attempt) -> str:
    """Subject and body without trailers: the task's title, and how the accepted plan begins."""
    task = attempt.task
    plan = task.plans.accepted()
    return f"{task.key}: {task.title}\n\n{_summary(plan.body) if plan else ''}".strip()


def _summary(body: str) -> str:
    """The plan's first paragraph that is no heading, list or fence."""
    paragraphs = (part.strip() for part in re.split(r"\n\s*\n", body))
    plain = (part for part in paragraphs if part and not re.match(r"[#>|`*+-]|\d+[.)]|~~~", part))
    return next(plain, "")[:SUMMARY_LIMIT]


def trailers(attempt: Attempt, *, by: Any) -> str:
    """One a line, for the end of the message."""
    task = attempt.task
    made = attempt.sessions.filter(
        phase__in=[Phase.IMPLEMENTATION, Phase.FIX], state=State.COMPLETED
    ).order_by("pk")
    review = attempt.sessions.filter(phase=Phase.REVIEW, state=State.COMPLETED).order_by("-pk").first()
    lines = [f"Studio-Task: {settings.STUDIO_URL}{task.get_absolute_url()}"]
    lines += [f"Studio-Session: {session.pk}" for session in made]
    lines += [f"Studio-Model: {model}" for model in dict.fromkeys(session.model for session in made) if model]
    if review is not None and review.result.get("verdict") == "approved":
        lines.append(f"Reviewed-by: {review.model or 'the AI review'} (session {review.pk})")
    approvals = task.approvals.filter(oid=attempt.head_oid, reason="").select_related("by")
    for person in (approval.by for approval in approvals if approval.by not in (None, by)):
        name, email = author(person)
        lines.append(f"Reviewed-by: {name} <{email}>")
    if by is not None:
        name, email = author(by)
        lines.append(f"Approved-by: {name} <{email}>")
    return "\n".join(" ".join(line.split()) for line in lines) + "\n"


def whole(message: str, trailers: str) -> str:
    """The message with its trailers."""
    return f"{message.strip()}\n\n{trailers}"


def author(user: Any) -> tuple[str, str]:
    """Name and email in the commits of a landing."""
    if user is None:
        return STUDIO
    name = "".join(
        letter
        for letter in user.get_full_name() or user.get_username()
        if letter.isprintable() and letter not in "<>"
    )
    return name or STUDIO[0], user.email or f"{user.get_username()}@localhost"
