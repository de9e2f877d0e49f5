"""What has changed since a person last looked."""

from typing import Any

from sessions import places
from sessions.models import Attempt
from sessions.workspaces.diff import Diff, diff
from sessions.workspaces.plumbing import GitError
from studio.errors import Conflict

DIFF_SECONDS = 20


def last(attempt: Attempt, user: Any) -> str:
    """The commit up to which the person has looked; where the attempt began, for who has not."""
    look = attempt.task.looks.filter(by_id=user.pk).first()
    return look.oid if look else attempt.base_oid


def since(attempt: Attempt, oid: str) -> Diff:
    """What changed from that commit to the attempt's last one. Raises Conflict where the commit is gone."""
    if not oid or not attempt.head_oid or oid == attempt.head_oid:
        return Diff(files=[], additions=0, deletions=0)
    try:
        return diff(places.repository(attempt).path, oid, attempt.head_oid, timeout=DIFF_SECONDS)
    except GitError as error:
        raise Conflict(
            "What you saw last is not in the repository any more: see the whole change.", code="look_is_gone"
        ) from error
