"""Conflicts with the target branch, resolved by the agent: the target is brought into the workspace, inside its sandbox."""

from sessions.workspaces import snapshot
from sessions.workspaces.git import Workspace
from sessions.workspaces.plumbing import GitError, SourceGit, checked, committer, is_ancestor, resolve
from sessions.workspaces.processes import Tick

MARKS = "^(<<<<<<< |>>>>>>> )"


def take_in(workspace: Workspace, target_oid: str, message: str, tick: Tick | None = None) -> None:
    """Begin a merge of this commit in the workspace: what is not committed there is, then the conflicts stand in the files.

    The next commit of the workspace concludes it. Called again, or where it is contained, it does nothing.
    """
    git = workspace._git(tick)
    if resolve(git, "MERGE_HEAD") == checked(target_oid):
        return
    workspace.commit(message, tick)
    head = resolve(git, "HEAD")
    if is_ancestor(git, target_oid, head):
        return
    snapshot.unlock(git)
    try:
        git("merge", "--no-ff", "--no-commit", "--no-stat", "--quiet", target_oid, ok=(0, 1), env=committer())
    except GitError as error:
        if "unrelated histories" not in error.stderr:
            raise


def rest_on(workspace: Workspace, target_oid: str, head_oid: str) -> bool:
    """Count the attempt's change from the target that it contains now; whether it does."""
    source = SourceGit(workspace.source, timeout=120)
    if not is_ancestor(source, target_oid, head_oid):
        return False
    source("update-ref", workspace._ref("base"), checked(target_oid))
    return True


def marked(source_git: SourceGit, head_oid: str, names: list[str]) -> list[str]:
    """Those of the files that still hold git's marks of a conflict."""
    if not names:
        return []
    options = ("-I", "--name-only", "-z", "--extended-regexp", "-e", MARKS)
    try:
        found = source_git(
            "--literal-pathspecs", "grep", *options, checked(head_oid), "--", *names, ok=(0, 1)
        )
    except GitError as error:
        if error.code == "git_timeout":
            raise
        return []
    return sorted(
        word.decode(errors="backslashreplace").partition(":")[2] for word in found.split(b"\0") if word
    )
