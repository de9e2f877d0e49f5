"""Writing comments on the change, where they can stand."""

from typing import Any

from django.db import transaction

from sessions import anchors
from studio.errors import Invalid
from tasks.models import Comment, Task


def write_comment(
    task: Task,
    body: str,
    *,
    by: Any,
    path: str = "",
    line: int | None = None,
    end_line: int | None = None,
    send: bool = False,
) -> Comment:
    """A draft of the person's on lines, a file or (without a path) the whole change; with `send` everybody sees it at once.

    Raises Invalid where there is no such line.
    """
    if (line or end_line) and not path:
        raise Invalid("A line is of a file.", fields={"path": "Name the file that the line is of."})
    if end_line and (line is None or end_line < line):
        raise Invalid("The lines are the wrong way round.", fields={"end_line": "Not before line."})
    attempt = task.current_attempt
    comment = Comment(
        task=task,
        by=by,
        body=body,
        path=path,
        line=line,
        end_line=end_line,
        attempt_number=attempt.number if attempt else None,
    )
    if attempt is not None:
        anchors.anchor(attempt, [comment])
    if comment.line != line:
        raise Invalid(
            "There is no such line.",
            fields={"line": f"{path} has no line {line} in the change's last version."},
        )
    with transaction.atomic():
        comment.save()
        if send:
            comment.send(by=by)
    return comment


def send_drafts(task: Task, *, by: Any) -> int:
    """Show all drafts of the person's to everybody, and start nothing; how many."""
    with transaction.atomic():
        task.lock()
        drafts = list(task.comments.drafts_of(by))
        for draft in drafts:
            draft.send(by=by)
    return len(drafts)
