"""Landing: the diff of an attempt, and its merge into the project's repository."""

from typing import Any

from django.conf import settings

from sessions import places
from sessions.hold import held
from sessions.ledger import Claim
from sessions.models import Attempt
from sessions.models.attempt import Lease
from sessions.progress import may_merge_alone, obstacles
from sessions.workspaces.diff import Diff, diff
from sessions.workspaces.merge import merge as merge_commits
from sessions.workspaces.plumbing import GitError
from studio import crash
from studio.errors import Conflict, Refusal
from tasks.lifecycle import Status
from tasks.models import Task

DIFF_SECONDS = 20
DIFF_TRIES = 3
STUDIO = ("Studio", "studio@localhost")


def attempt_diff(attempt: Attempt) -> Diff:
    """Everything that the attempt changed: live from the workspace while it runs, else what would be merged. Empty before it began."""
    if not attempt.base_oid:
        return Diff(files=[], additions=0, deletions=0)
    for tries_left in reversed(range(DIFF_TRIES)):
        workspace = places.workspace(attempt) if attempt.lease in {Lease.CLAIMED, Lease.PARKED} else None
        if workspace is None or not workspace.exists():
            break
        try:
            return workspace.diff(attempt.base_oid, timeout=DIFF_SECONDS)
        except GitError:
            # The end of a run, or a reaper, sweeps all processes of the attempt away, our git with them.
            if not tries_left:
                raise
            attempt.refresh_from_db(fields=["lease", "head_oid"])
    return diff(places.repository(attempt).path, attempt.base_oid, attempt.head_oid or attempt.base_oid)


def merge(task: Task, *, by: Any) -> str:
    """Land the task's change on its target branch and finish the task; the id of the commit that landed. Raises Conflict."""
    attempt = task.current_attempt
    if task.status != Status.REVIEW or attempt is None:
        raise Conflict(
            f"{task.key} is in “{task.get_status_display().lower()}”; only a task in review can be merged."
        )
    why = obstacles(attempt)
    if why:
        raise Conflict(" ".join(why), code="merge_blocked")
    with held(attempt, "merge"):
        return land(attempt, by=by)


def merge_alone(claim: Claim) -> bool:
    """Where the policy has no human review: merge by itself. A merge that is refused stays for a person; True when it landed."""
    attempt = Attempt.objects.select_related("task__project").get(pk=claim.attempt.pk)
    if attempt.is_stopping or not may_merge_alone(attempt):
        return False
    try:
        land(attempt, by=None)
    except Refusal as refusal:
        attempt.task.note("merge.refused", message=refusal.message)
        return False
    return True


def land(attempt: Attempt, *, by: Any) -> str:
    """Merge, then say so. Safe to repeat: what has landed is found to be contained."""
    task = attempt.task
    if not attempt.head_oid or attempt.head_oid == attempt.base_oid:
        raise Conflict(f"{task.key} has no change to merge; mark it done instead.", code="nothing_to_merge")
    message = f"{task.key}: {task.title}\n\nStudio-Task: {settings.STUDIO_URL}{task.get_absolute_url()}\n"
    crash.point("merge-begun")
    result = merge_commits(
        places.repository(attempt).path, attempt.head_oid, task.project.target_branch, message, author(by)
    )
    crash.point("merge-landed")
    task.merged(result.oid, by=by)
    return result.oid


def author(user: Any) -> tuple[str, str]:
    """Name and email in the merge commit."""
    if user is None:
        return STUDIO
    name = "".join(
        letter
        for letter in user.get_full_name() or user.get_username()
        if letter.isprintable() and letter not in "<>"
    )
    return name or STUDIO[0], user.email or f"{user.get_username()}@localhost"
