"""What the agent answers to people's comments: asked for as JSON by the comments' numbers, and taken as it comes."""

import re
from typing import Any

from django.utils import timezone

from sessions.models import Session
from sessions.phases.json_answers import Unreadable, objects
from tasks.models import Comment

LONGEST = 5_000  # characters
LINE = re.compile(r"^\W*comment\s+#?(\d{1,18})\W+(.+)$", re.IGNORECASE | re.MULTILINE)


def keep_answers(session: Session, said: str) -> None:
    """Write the answers under the comments that the session was given; what it does not answer stays unanswered."""
    answers = read(said)
    for comment in Comment.objects.filter(pk__in=session.inputs.get("comments", [])):
        answer = answers.get(comment.pk, "")
        if answer:
            Comment.objects.filter(pk=comment.pk).update(answer=answer, answered_at=timezone.now())
            session.task.note("comment.answered", session_id=session.pk, id=comment.pk, comment=comment.body)


def read(said: str) -> dict[int, str]:
    """The answers by the comments' numbers: from the JSON block, else from lines like `Comment 12: …`."""
    try:
        blocks = objects(said, "answers")
    except Unreadable:
        blocks = []
    pairs = [pair for block in blocks for pair in _pairs(block["answers"])] or LINE.findall(said)
    return {
        int(number): _plain(text)
        for number, text in pairs
        if str(number).isdecimal() and len(str(number)) < 19
    }


def _pairs(answers: Any) -> list[tuple[Any, Any]]:
    if isinstance(answers, dict):
        return list(answers.items())
    if isinstance(answers, list):
        return [(each.get("id"), each.get("answer")) for each in answers if isinstance(each, dict)]
    return []


def _plain(text: Any) -> str:
    if not isinstance(text, str):
        return ""
    return text.replace("\x00", "").encode("utf-8", "replace").decode().strip()[:LONGEST]
