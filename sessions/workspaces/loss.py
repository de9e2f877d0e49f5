"""What would be lost with a workspace."""

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

from sessions.workspaces import snapshot
from sessions.workspaces.plumbing import Git, SourceGit, WorkspaceGit, checked, is_ancestor, resolve
from sessions.workspaces.repository import tip as tip_of


@dataclass(frozen=True)
class Loss:
    """What a workspace has and its project's target branch has not.

    `changed` are files with changes that are not committed, `untracked` new ones, `commits` the number of commits that are not merged,
    `left_out` folders that are repositories of their own. `is_kept`: the project's repository has all of it, under refs/studio/.
    """

    changed: list[str]
    untracked: list[str]
    commits: int
    left_out: list[str]
    is_kept: bool


def measure(git: WorkspaceGit, source: SourceGit, base: str, target_branch: str, is_kept: bool) -> Loss:
    """Look at a workspace whose attempt started from `base`. Raises Conflict where it cannot be read."""
    tree, left_out = snapshot.files(git)
    head = resolve(git, "HEAD")
    changed, untracked = _changes(git, head or base, tree)
    target = tip_of(source, target_branch)
    tips = {tip for tip in (head, *snapshot.tips(git)) if tip}
    unmerged = sorted(tip for tip in tips if not (target and _contains(source, target, tip)))
    commits = int(git("rev-list", "--count", *unmerged, f"^{checked(base)}")) if unmerged else 0
    return Loss(changed, untracked, commits, left_out, is_kept)


def _changes(git: Git, head: str, tree: str) -> tuple[list[str], list[str]]:
    words = git("diff-tree", "-r", "-z", "--name-status", "--no-renames", head, tree).split(b"\0")
    names = [word.decode(errors="backslashreplace") for word in words[1::2]]
    found = list(zip(words[::2], names, strict=False))
    return [name for kind, name in found if kind != b"A"], [name for kind, name in found if kind == b"A"]


def _contains(source: SourceGit, target: str, tip: str) -> bool:
    return bool(resolve(source, tip)) and is_ancestor(source, tip, target)


def size_of(folder: Path, most_entries: int = 200_000, until: float = math.inf) -> int:
    """Bytes on disk below a folder, links not followed; of an enormous one, at least that much, as counted `until` then (monotonic)."""
    total, entries, waiting = 0, 0, [folder]
    while waiting and entries < most_entries and time.monotonic() < until:
        try:
            found = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in found:
            entries += 1
            try:
                total += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
            except OSError:
                continue
    return total
