"""Taking a merge back: in a repository of jj's, where it was one operation."""

from typing import Any

from sessions import places
from sessions.hold import held
from sessions.models import Attempt
from sessions.workspaces.jj import jujutsu
from sessions.workspaces.plumbing import SourceGit, is_ancestor
from sessions.workspaces.repository import target_tip
from studio.errors import Conflict
from tasks.lifecycle import Status
from tasks.models import Task


def undo_merge(task: Task, *, by: Any) -> str:
    """Move the target branch back and the task into review; the commit where the branch stands. Raises Conflict.

    Safe to repeat after a crash: what the branch no longer contains was undone already, by Studio or by the person's own jj.
    """
    attempt = task.current_attempt
    if task.status != Status.DONE or attempt is None or not task.merged_oid:
        raise Conflict(f"{task.key} was not merged, so there is nothing to undo.", code="not_merged")
    if task.project.backend != "jj":
        raise Conflict(
            f"Git keeps no operation that could be undone. Take the change of {task.key} back by hand.",
            code="not_undoable",
            command=f"git -C {task.project.path} revert {task.merged_oid}",
        )
    with held(attempt, "undo-merge"):
        task.refresh_from_db(fields=["merged_oid"])
        stands = _take_back(attempt, task.target, task.merged_oid)
        task.merge_undone(stands, by=by)
    return stands


def _take_back(attempt: Attempt, branch: str, landed: str) -> str:
    git = SourceGit(places.repository(attempt).path)
    stands = target_tip(git, branch)
    jj = jujutsu(git)
    if jj is None or not landed or not is_ancestor(git, landed, stands):
        return stands
    return jj.take_back(branch, landed)
