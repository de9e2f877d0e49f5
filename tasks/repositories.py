"""How tasks looks at a repository: the app of the sessions hands its way in, as tasks does not import it."""

from collections.abc import Callable
from typing import Any


def _unseen(path: str, target_branch: str = "") -> Any:
    """Until the hand-over nothing is looked at."""
    return None


def _plain(path: str) -> tuple[str, str]:
    return "git", ""


# Called with a path and a branch (empty for the checked out one). It raises `Invalid` with `fields`, or returns what it
# found with `path` and `target_branch`.
inspect: Callable[[str, str], Any] = _unseen

# Called with a path. What keeps the repository there, git or jj, and a sentence where that cannot be used on this machine.
backend: Callable[[str], tuple[str, str]] = _plain


def existing(project: Any, target_branch: str) -> str:
    """The branch, where the project's repository has it; empty for the project's own. Raises `Invalid` with `fields`."""
    if not target_branch or target_branch == project.target_branch:
        return ""
    inspect(project.path, target_branch)
    return target_branch
