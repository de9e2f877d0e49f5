"""Landing an attempt's work on a branch of a person's repository, without ever dirtying their checkout."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sessions.workspaces.jj import jujutsu
from sessions.workspaces.plumbing import GitError, SourceGit, checked, is_ancestor, resolve
from sessions.workspaces.processes import Tick
from sessions.workspaces.repository import target_tip
from sessions.workspaces.strategies import Strategy, Words, commit
from studio import crash
from studio.errors import Conflict

TRIES = 3
RESERVED = (":(icase,glob)**/.jj/**", ":(icase,glob)**/.jj")
UNFINISHED = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "BISECT_LOG": "a bisect",
}


@dataclass(frozen=True)
class MergeResult:
    """What the target branch stands on now. `strategy`: how it landed, or contained already (nothing was done)."""

    oid: str
    strategy: Literal["merge", "squash", "rebase", "already_contained"]


@dataclass(frozen=True)
class _Checkout:
    path: Path
    branch: str


def merge(
    source: Path,
    head_oid: str,
    target_branch: str,
    message: str,
    author: tuple[str, str],
    *,
    strategy: Strategy = "merge",
    trailers: str = "",
    key: str = "",
    timeout: float = 30,
    tick: Tick | None = None,
    ready: Callable[[], object] = lambda: None,
) -> MergeResult:
    """Land a commit on a branch by a strategy; `author` is name and email of the person who lands it, `trailers` are for each
    commit of a rebase, where `message` is not used.

    Where the branch is checked out, the person's own `git merge` moves it there, with their hooks. Conflict with one of the codes
    merge_conflict (`files`), checkout_dirty, checkout_busy, untracked_collision (`files`), unrelated_histories, rebase_impossible,
    target_moved, merge_refused, git_timeout; where it can be landed by hand `command` says how. Invalid for an unknown branch. Each git
    command has `timeout` seconds; `tick` is called meanwhile and must not raise; `ready` is called before the branch moves and may.

    Calling it again after a crash is safe: what is contained is not landed again, and with a `key` the commits of a squash or rebase
    are named under refs/studio/landing/ before the branch moves, so that they are found again. `forget` lets go of that name.
    """
    git = SourceGit(source, timeout=timeout, tick=tick)
    target_branch = _real_branch(git, target_branch)
    for _ in range(TRIES):
        target = target_tip(git, target_branch)
        if is_ancestor(git, checked(head_oid), target) or _has_landed(git, key, head_oid, target):
            return MergeResult(target, "already_contained")
        _refuse_reserved(git, target, head_oid)
        merged = commit(git, strategy, target, head_oid, Words(message, author, trailers))
        if merged == target:
            return MergeResult(target, "already_contained")
        if key:
            git("update-ref", _pin(key, head_oid), merged)
        crash.point("landing-pinned")
        ready()
        if _land(git, target_branch, target, merged, head_oid):
            return MergeResult(merged, strategy)
    raise Conflict(
        f"The branch {target_branch} kept moving while it was merged into. Try again.", code="target_moved"
    )


def _refuse_reserved(git: SourceGit, target: str, head: str) -> None:
    """A .jj that comes with a change would turn the person's folder into a repository of jj's whose settings an agent wrote."""
    listing = git("diff-tree", "-r", "-z", "--name-only", "--no-renames", target, head, "--", *RESERVED)
    if files := [name.decode(errors="backslashreplace") for name in listing.split(b"\0") if name]:
        raise Conflict(
            f"The change touches {files[0]}: a folder named .jj belongs to jj, and is not merged.",
            code="reserved_path",
            files=files,
        )


def forget(source: Path, key: str) -> None:
    """Let go of the names under which a landing's commits could be found again."""
    git = SourceGit(source)
    for ref in git("for-each-ref", "--format=%(refname)", f"refs/studio/landing/{key}/").decode().split():
        git("update-ref", "-d", ref)


def _pin(key: str, head: str) -> str:
    """By the commit too: what an attempt does after a landing that was never noted is not contained in it."""
    return f"refs/studio/landing/{key}/{checked(head)}"


def _has_landed(git: SourceGit, key: str, head: str, target: str) -> bool:
    landed = resolve(git, _pin(key, head)) if key else ""
    return bool(landed) and is_ancestor(git, landed, target)


def _real_branch(git: SourceGit, branch: str) -> str:
    """The branch that moves: the target may be a symbolic ref to another one, which may be checked out."""
    if branch.startswith("-"):
        return branch  # `target_tip` refuses it
    leads_to = git("symbolic-ref", "--quiet", f"refs/heads/{branch}", ok=(0, 1, 128)).decode().strip()
    if not leads_to:
        return branch
    if not leads_to.startswith("refs/heads/"):
        raise Conflict(
            f"The branch {branch} is a link to {leads_to}, which is no branch.", code="merge_refused"
        )
    return leads_to.removeprefix("refs/heads/")


def _land(git: SourceGit, branch: str, target: str, merged: str, head: str) -> bool:
    """False when the branch moved meanwhile."""
    checkouts = [checkout for checkout in _checkouts(git) if checkout.branch == branch]
    if jj := jujutsu(git):
        if linked := [each for each in checkouts if each.path != jj.root]:
            raise _busy(linked[0].path, head, f"{branch} is checked out there by git")
        return jj.land(branch, target, merged)
    if len(checkouts) > 1:
        raise _busy(checkouts[1].path, head, f"{branch} is checked out in more than one folder")
    if checkouts:
        return _land_in_checkout(git, checkouts[0].path, branch, target, merged, head)
    try:
        with_hooks = SourceGit(git.path, timeout=git.timeout, hooks=True, tick=git.tick)
        with_hooks("update-ref", "-m", "merge by Studio", f"refs/heads/{branch}", merged, target)
    except GitError as error:
        now = resolve(git, f"refs/heads/{branch}")
        if now == merged:  # what failed or took too long came after, as a hook
            return True
        if now != target:
            return False
        code = "git_timeout" if error.code == "git_timeout" else "merge_refused"
        message = f"Git refused to move {branch}: {error.stderr or error.message}"
        raise Conflict(message, code=code) from error
    return True


def _checkouts(git: SourceGit) -> list[_Checkout]:
    """The working trees that are on a branch, also while they rebase or bisect it. A bare repository has none."""
    found = []
    for entry in git("worktree", "list", "--porcelain", "-z").decode(errors="surrogateescape").split("\0\0"):
        lines = {line.partition(" ")[0]: line.partition(" ")[2] for line in entry.split("\0") if line}
        if "bare" in lines or "prunable" in lines or not lines:
            continue
        path = Path(lines["worktree"])
        branch = lines.get("branch", "") or _interrupted_branch(
            SourceGit(path, timeout=git.timeout, tick=git.tick)
        )
        found.append(_Checkout(path, branch.removeprefix("refs/heads/")))
    return found


def _interrupted_branch(git: SourceGit) -> str:
    """The branch that an unfinished rebase or bisect in this working tree will go back to."""
    folder = _git_dir(git)
    for name in ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"):
        if (folder / name).is_file():
            return (folder / name).read_text(errors="replace").strip()
    return ""


def _git_dir(git: SourceGit) -> Path:
    return Path(git("rev-parse", "--absolute-git-dir").decode(errors="surrogateescape").removesuffix("\n"))


def _land_in_checkout(git: SourceGit, path: Path, branch: str, target: str, merged: str, head: str) -> bool:
    here = SourceGit(path, timeout=git.timeout, tick=git.tick)
    _refuse_unfinished(here, branch, head)
    _refuse_changes(here, head)
    added = _added(here, target, merged)
    _refuse_collisions(here, added, head)
    options = (
        "--ff-only",
        "--no-overwrite-ignore",
        "--no-autostash",
        "--no-verify-signatures",
        "--no-stat",
        "--quiet",
    )
    try:
        SourceGit(path, timeout=git.timeout, hooks=True, tick=git.tick)("merge", *options, merged)
    except GitError as error:
        now = resolve(git, f"refs/heads/{branch}")
        if now == merged:  # it has landed; what failed or took too long came after, as a hook
            return True
        if now != target:
            return False
        if error.code == "git_timeout":
            (_git_dir(here) / "index.lock").unlink(
                missing_ok=True
            )  # of the merge just ended; there was none before
        if error.code == "git_timeout" or _stands_on(here, merged):
            _put_back(here, target, merged, added)
        else:
            _undo_written(here, target, merged)
        raise Conflict(
            f"Git refused to merge in {path}: {error.stderr or error.message}",
            code="git_timeout" if error.code == "git_timeout" else "merge_refused",
            command=_command(path, head),
        ) from error
    return resolve(git, f"refs/heads/{branch}") == merged


def _refuse_unfinished(here: SourceGit, branch: str, head: str) -> None:
    folder = _git_dir(here)
    for name in ("index.lock", "HEAD.lock", f"refs/heads/{branch}.lock"):
        lock = here("rev-parse", "--git-path", name).decode(errors="surrogateescape").removesuffix("\n")
        if (here.path / lock).exists():
            raise _busy(here.path, head, f"another git command is at work there, or left its {name} behind")
    for name, noun in UNFINISHED.items():
        if (folder / name).exists():
            raise _busy(here.path, head, f"{noun} is unfinished there")


def _busy(path: Path, head: str, why: str) -> Conflict:
    return Conflict(
        f"Studio does not merge in {path}: {why}. Finish it, then merge here or by hand.",
        code="checkout_busy",
        command=_command(path, head),
    )


def _refuse_changes(here: SourceGit, head: str) -> None:
    changed = here(
        "status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames", "--ignore-submodules=none"
    )
    files = [entry[3:].decode(errors="backslashreplace") for entry in changed.split(b"\0") if entry]
    if files:
        raise Conflict(
            f"The branch is checked out in {here.path}, with changes that are not committed "
            f"({', '.join(files[:5])}{' and others' if len(files) > 5 else ''}). Commit or stash them, then merge here or by hand.",
            code="checkout_dirty",
            files=files,
            command=_command(here.path, head),
        )


def _added(here: SourceGit, target: str, merged: str) -> list[str]:
    listing = here("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=A", target, merged)
    return [name.decode(errors="surrogateescape") for name in listing.split(b"\0") if name]


def _refuse_collisions(here: SourceGit, added: list[str], head: str) -> None:
    """git itself would write over files that are ignored."""
    files = sorted({name for path in added for name in _in_the_way(here, path)})
    if files:
        shown = [file.encode(errors="surrogateescape").decode(errors="backslashreplace") for file in files]
        raise Conflict(
            f"The merge would write over files in {here.path} that are not in Git: "
            f"{', '.join(shown[:5])}{' and others' if len(files) > 5 else ''}. Move them away, then merge here or by hand.",
            code="untracked_collision",
            files=shown,
            command=_command(here.path, head),
        )


def _in_the_way(here: SourceGit, added: str) -> list[str]:
    """What stands, unknown to git, where a file is to be made: the file, its contents if it is a folder, or a file for one of its folders."""
    place = here.path / added
    for parent in [*reversed(place.relative_to(here.path).parents[:-1]), Path(added)]:
        found = here.path / parent
        if not found.is_symlink() and found.is_dir() and parent != Path(added):
            continue
        if not (found.is_symlink() or found.exists()):
            return []
        listing = here("--literal-pathspecs", "ls-files", "--others", "-z", "--", str(parent))
        return [name.decode(errors="surrogateescape") for name in listing.split(b"\0") if name]
    return []


def _stands_on(here: SourceGit, merged: str) -> bool:
    """Whether git has changed the files and then could not move the branch, as when a hook refuses that."""
    return not here("diff-index", "--cached", "--name-only", merged)


def _put_back(here: SourceGit, target: str, merged: str, added: list[str]) -> None:
    """Undo a merge that was stopped half-way: only the files that it changes, in a checkout that had no changes before."""
    (_git_dir(here) / "index.lock").unlink(
        missing_ok=True
    )  # of the merge that was just ended; there was none before
    here("read-tree", "--reset", target)
    changed = here(
        "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=MDT", target, merged
    )
    here("checkout-index", "--force", "--quiet", "-z", "--stdin", input=changed)
    here("update-index", "--refresh", "-q", ok=(0, 1))
    for name in added:
        place = here.path / name
        if place.is_dir() and not place.is_symlink():
            continue
        _remove_added(here, name)


def _undo_written(here: SourceGit, target: str, merged: str) -> None:
    """Undo what a merge wrote before it failed, as by a filter, with the index untouched: the files that are as it makes them, or gone."""
    listing = here("diff-tree", "-r", "-z", "--no-renames", target, merged).split(b"\0")
    for entry, raw in zip(listing[::2], listing[1::2], strict=False):
        _, _, old, new, _ = entry.decode().split()
        name = raw.decode(errors="surrogateescape")
        place = here.path / name
        if not place.is_symlink() and not place.exists():
            is_ours = bool(old.strip("0"))
        else:
            made = here("hash-object", "--end-of-options", name, ok=(0, 128)).decode().strip()
            is_ours = place.is_file() and made == new
        if is_ours and old.strip("0"):
            here("checkout-index", "--force", "--quiet", "-z", "--stdin", input=raw)
        elif is_ours:
            _remove_added(here, name)
    here("update-index", "--refresh", "-q", ok=(0, 1))


def _remove_added(here: SourceGit, name: str) -> None:
    """A file that the merge made, and the folders that are empty without it."""
    place = here.path / name
    place.unlink(missing_ok=True)
    for parent in place.relative_to(here.path).parents[:-1]:
        try:
            (here.path / parent).rmdir()
        except OSError:
            break


def _command(path: Path, head: str) -> str:
    return f"git -C {shlex.quote(str(path))} merge {head}"
