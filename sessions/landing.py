"""Landing: the diff of an attempt, and its merge into the project's repository."""

from contextlib import suppress
from functools import partial
from typing import Any, cast

from sessions import messages, places
from sessions.hold import held
from sessions.ledger import Claim
from sessions.models import Attempt, Session
from sessions.models.attempt import Lease
from sessions.models.session import Phase
from sessions.progress import may_merge_alone, obstacles
from sessions.workspaces.diff import Diff, diff
from sessions.workspaces.forecast import Forecast, forecast
from sessions.workspaces.merge import forget
from sessions.workspaces.merge import merge as merge_commits
from sessions.workspaces.plumbing import GitError, SourceGit
from sessions.workspaces.resolving import marked
from sessions.workspaces.strategies import Strategy
from studio import crash, database
from studio.errors import Conflict, Refusal
from tasks.lifecycle import Status
from tasks.models import Task

DIFF_SECONDS = 20
DIFF_TRIES = 3
MESSAGE_LIMIT = 20_000  # characters


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


def merge(task: Task, *, by: Any, strategy: str = "", target: str = "", message: str = "") -> str:
    """Land the task's change on its target branch and finish the task; the id of the commit that the branch stands on.

    What is left empty is as the project has it, and the message as `messages.proposed`. Raises Conflict, or Invalid.
    """
    attempt = task.current_attempt
    if task.status != Status.REVIEW or attempt is None:
        raise Conflict(
            f"{task.key} is in “{task.get_status_display().lower()}”; only a task in review can be merged."
        )
    why = obstacles(attempt)
    if why:
        raise Conflict(" ".join(why), code="merge_blocked")
    left = marked_files(attempt)
    if left:
        raise Conflict(
            f"Marks of a conflict still stand in {', '.join(left[:5])}.", code="merge_blocked", files=left
        )
    with held(attempt, "merge") as claim:
        if target and target != task.target:
            places.repository(attempt, target)  # Invalid where there is no such branch
            task.edit(by=by, target_branch=target)
        attempt = Attempt.objects.select_related("task__project").get(pk=attempt.pk)
        return land(attempt, claim, by=by, strategy=strategy, message=message)


def merge_alone(claim: Claim) -> bool:
    """Where the policy has no human review: merge by itself. A merge that is refused stays for a person; True when it landed."""
    attempt = Attempt.objects.select_related("task__project").get(pk=claim.attempt.pk)
    if not attempt.is_current or attempt.is_stopping or not may_merge_alone(attempt) or marked_files(attempt):
        return False
    try:
        land(attempt, claim, by=None)
    except Refusal as refusal:
        attempt.task.note("merge.refused", message=refusal.message)
        return False
    return True


def land(attempt: Attempt, claim: Claim, *, by: Any, strategy: str = "", message: str = "") -> str:
    """Land, then say so. Safe to repeat: what has landed is found again. The claim's lease beats meanwhile."""
    task = attempt.task
    if not attempt.is_current:
        raise Conflict(f"{task.key} follows another attempt by now; look again.", code="busy")
    if not attempt.head_oid or attempt.head_oid == attempt.base_oid:
        raise Conflict(f"{task.key} has no change to merge; mark it done instead.", code="nothing_to_merge")
    strategy = strategy or task.project.merge_strategy
    trailers = messages.trailers(attempt, by=by)
    whole = messages.whole(message or messages.proposed(attempt), trailers)
    source = places.repository(attempt).path
    crash.point("merge-begun")
    result = merge_commits(
        source, attempt.head_oid, task.target, whole, messages.author(by),
        strategy=cast(Strategy, strategy), trailers=trailers, key=attempt.key, tick=partial(beat, claim), ready=partial(sure, claim),
    )  # fmt: skip
    crash.point("merge-landed")
    task.merged(result.oid, by=by, strategy=result.strategy, branch=task.target)
    forget(source, attempt.key)
    return result.oid


def beat(claim: Claim) -> None:
    """Keep the lease while git works. It never raises: git would be stopped half-way in a person's checkout."""
    with suppress(*database.AWAY):
        claim.beat()


def sure(claim: Claim) -> None:
    """The last look before a branch moves. Raises LeaseLost."""
    with claim.record():
        pass


def foresee(attempt: Attempt) -> Forecast | None:
    """Whether the change merges into the target as it stands; None where there is no change to merge."""
    if not attempt.head_oid or attempt.head_oid == attempt.base_oid:
        return None
    return forecast(places.repository(attempt).path, attempt.head_oid, attempt.task.target)


def wording(attempt: Attempt, *, by: Any) -> dict[str, str]:
    """What the commit would say: `message`, which a person may change, and the `trailers` that Studio adds."""
    return {"message": messages.proposed(attempt), "trailers": messages.trailers(attempt, by=by)}


def resolve_conflicts(task: Task, *, by: Any) -> Session:
    """Have the agent resolve the conflicts with the target branch in its workspace. Conflict where there are none."""
    attempt = Attempt.objects.current_of(task)
    if task.status != Status.REVIEW or attempt is None:
        raise Conflict(
            f"{task.key} is in “{task.get_status_display().lower()}”; there is nothing to resolve."
        )
    foreseen = foresee(attempt)
    if foreseen is None or not foreseen.files:
        raise Conflict(f"{task.key} has no conflict with {task.target}.", code="no_conflict")
    files = [file.path for file in foreseen.files]
    return task.resolve_conflicts(files, foreseen.target_oid, by=by)


def marked_files(attempt: Attempt) -> list[str]:
    """The files that an agent was to resolve, and that still hold git's marks."""
    asked = attempt.sessions.filter(phase=Phase.FIX, inputs__has_key="conflicts")
    files = sorted({name for session in asked for name in session.inputs["conflicts"]})
    if not files or not attempt.head_oid:
        return []
    return marked(SourceGit(places.repository(attempt).path), attempt.head_oid, files)
