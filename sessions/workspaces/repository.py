"""The repository that a project works on, looked at before anything is promised."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from django.conf import settings

from sessions.workspaces.jj import Jujutsu, trouble, untrusted, usable
from sessions.workspaces.jj import jujutsu as jujutsu_on
from sessions.workspaces.plumbing import GitError, SourceGit, is_colocated, jj_repository, resolve
from studio.errors import Conflict, Invalid

ALTERNATES_DEPTH = 5
GITLINK = b"160000"
NO_BOOKMARK = "This repository has no bookmark yet. Name the commit to work from, then try again: jj bookmark create main -r @-"


@dataclass(frozen=True)
class Repository:
    """A repository that Studio can work on.

    `path` is its top folder (the repository itself when bare), `git_dir` what all its checkouts share, `objects` its object stores
    (its own first, then those that it borrows from), `checkouts` the folders of all its working trees. `target_branch` is the branch asked
    for, else the checked out one, and `head_oid` that branch's tip. With the backend jj, branches are bookmarks and checkouts workspaces.
    """

    path: Path
    git_dir: Path
    objects: tuple[Path, ...]
    checkouts: tuple[Path, ...]
    head_branch: str
    branches: tuple[str, ...]
    target_branch: str
    head_oid: str
    object_format: str
    backend: Literal["git", "jj"] = "git"


def inspect(path: str | Path, target_branch: str = "") -> Repository:
    """Look at a repository. Invalid with `fields` path or target_branch, each a sentence, for one that Studio cannot work on."""
    folder = _folder(path)
    git = SourceGit(folder)
    jj = _jujutsu(git)
    bare, git_dir, object_format = _kind(git, folder)
    branches, head_branch = _jj_branches(jj, target_branch) if jj else (_branches(git), _head_branch(git))
    if not branches:
        raise _invalid(
            NO_BOOKMARK if jj else "This repository has no commit yet. Make a first commit, then try again."
        )
    target = _target(target_branch, head_branch, branches)
    _refuse_unsupported(git, branches[target])
    return Repository(
        path=folder,
        git_dir=git_dir,
        objects=_object_stores(git_dir / "objects"),
        checkouts=(*jj.workspaces(), jj.repository) if jj else (folder,) if bare else _checkouts(git),
        head_branch=head_branch,
        branches=tuple(branches),
        target_branch=target,
        head_oid=branches[target],
        object_format=object_format,
        backend="jj" if jj else "git",
    )


def _folder(path: str | Path) -> Path:
    text = str(path).strip()
    if not text or re.search(r"[\x00-\x1f\x7f]", text):
        raise _invalid("Name the folder of a Git repository.")
    folder = Path(text).expanduser() if text.startswith("~") else Path(text)
    if not folder.is_absolute():
        raise _invalid("Give the whole path, beginning with a slash.")
    try:
        folder = folder.resolve()
        if not folder.exists():
            raise _invalid(f"{folder} does not exist.")
        if not folder.is_dir():
            raise _invalid(f"{folder} is not a folder.")
    except OSError as error:
        raise _invalid(f"{folder} cannot be read: {error.strerror}.") from error
    home = settings.STUDIO_HOME.resolve()
    own = any(folder.parent.is_relative_to(home / kept) for kept in ("demo", "clones"))
    if folder.is_relative_to(home) and not own:
        raise _invalid("This folder lies inside Studio's own data folder. Choose a repository elsewhere.")
    if home.is_relative_to(folder):
        raise _invalid(
            "Studio's data folder lies inside this folder; set STUDIO_HOME to a place outside of it."
        )
    return folder


def _jujutsu(git: SourceGit) -> Jujutsu | None:
    repository = jj_repository(git.path)
    if repository is None:
        return None
    try:
        why = untrusted(git) or trouble()
    except GitError as error:
        raise _invalid(_no_repository(git.path, error.stderr)) from error
    if why:
        raise _invalid(f"{git.path} is a repository of jj (Jujutsu). {why}.")
    kind = repository / "store/type"
    if not kind.is_file() or kind.read_text(errors="replace").strip() != "git":
        raise _invalid(
            f"{git.path} is a repository of jj whose commits are not kept in Git. Studio needs one that does: jj git init"
        )
    try:
        return jujutsu_on(git)
    except Conflict as error:
        raise _invalid(error.message) from error


def _jj_branches(jj: Jujutsu, asked: str) -> tuple[dict[str, str], str]:
    """Its bookmarks, and the one that is taken where none is asked for. Invalid where that one cannot be worked on."""
    try:
        bookmarks, usual = jj.bookmarks(), jj.usual_bookmark()
    except GitError as error:
        raise _invalid(f"jj cannot read {jj.git.path}: {error.stderr or error.message}") from error
    target = bookmarks.get(asked or usual)
    if target is not None and target.trouble:
        raise _invalid(f"{target.trouble}.", "target_branch")
    return usable(bookmarks.values()), usual


def _kind(git: SourceGit, folder: Path) -> tuple[bool, Path, str]:
    """Whether it is bare, its shared git folder, its object format."""
    question = (
        "--is-bare-repository",
        "--is-inside-git-dir",
        "--is-shallow-repository",
        "--show-object-format",
    )
    try:
        bare, inside, shallow, object_format = git("rev-parse", *question).decode().split()
        common = git("rev-parse", "--path-format=absolute", "--git-common-dir").decode().removesuffix("\n")
    except GitError as error:
        raise _invalid(_no_repository(folder, error.stderr)) from error
    if jj_repository(folder) is not None and not is_colocated(folder):
        bare = "false"  # jj keeps its git repository inside, and the files around it
    elif bare == "true":
        if Path(common).resolve() != folder:
            raise _invalid(f"{folder} lies inside the repository {common}. Name the repository itself.")
    elif inside == "true":
        raise _invalid(f"{folder} is the inside of a repository. Name the folder that holds it.")
    else:
        top = git("rev-parse", "--show-toplevel").decode().removesuffix("\n")
        if Path(top).resolve() != folder:
            raise _invalid(f"{folder} is no repository; it lies inside the repository {top}.")
    if shallow == "true":
        raise _invalid("This is a shallow clone. Fetch its whole history first: git fetch --unshallow")
    return bare == "true", Path(common).resolve(), object_format


def _no_repository(folder: Path, stderr: str) -> str:
    if "dubious ownership" in stderr:
        return f"{folder} belongs to someone else, so Git refuses it. Allow it: git config --global --add safe.directory {folder}"
    if above := next((each for each in folder.parents if jj_repository(each)), None):
        return f"{folder} is no repository; it lies inside the repository {above}."
    if "not a git repository" in stderr:
        return f"{folder} is not a Git repository. Make it one: git init"
    return f"Git cannot read {folder}: {' '.join(stderr.split()) or 'it gave no reason'}"


def _branches(git: SourceGit) -> dict[str, str]:
    """Name to tip, the newest first."""
    lines = git(
        "for-each-ref", "--sort=-committerdate", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads"
    ).decode()
    return dict(line.rsplit(" ", 1) for line in lines.splitlines())  # type: ignore[misc, unused-ignore]


def _head_branch(git: SourceGit) -> str:
    return git("symbolic-ref", "--quiet", "--short", "HEAD", ok=(0, 1)).decode().strip()


def _target(asked: str, head: str, branches: dict[str, str]) -> str:
    target = asked or head
    if not target:
        raise _invalid(
            "Which branch to work on cannot be told there, as none is checked out; choose one.",
            "target_branch",
        )
    if target.startswith("-") or target not in branches:
        known = ", ".join(list(branches)[:5])
        raise _invalid(f"There is no branch {target!r} in this repository. It has: {known}.", "target_branch")
    return target


def _refuse_unsupported(git: SourceGit, oid: str) -> None:
    promised = r"^(remote\..*\.promisor|extensions\.partialclone)$"
    if git("config", "--get-regexp", promised, ok=(0, 1)).strip():
        raise _invalid(
            "This is a partial clone: some of its files are not here. Clone it whole, without --filter."
        )
    listing = git("ls-tree", "-r", "-z", "--end-of-options", oid).split(b"\0")
    if any(entry.startswith(GITLINK) for entry in listing):
        raise _invalid("This repository has submodules, which Studio cannot work with yet.")
    if git(
        "grep",
        "-I",
        "-l",
        "-F",
        "-e",
        "filter=lfs",
        oid,
        "--",
        ".gitattributes",
        ":(glob)**/.gitattributes",
        ok=(0, 1),
    ):
        raise _invalid("This repository keeps files in Git LFS, which Studio cannot work with yet.")


def _checkouts(git: SourceGit) -> tuple[Path, ...]:
    entries = git("worktree", "list", "--porcelain", "-z").decode(errors="surrogateescape").split("\0")
    return tuple(
        Path(entry.removeprefix("worktree ")).resolve() for entry in entries if entry.startswith("worktree ")
    )


def _object_stores(store: Path, depth: int = ALTERNATES_DEPTH) -> tuple[Path, ...]:
    """A store and those it borrows from, named in its info/alternates, absolute or relative to the store."""
    found = [store.resolve()]
    alternates = store / "info/alternates"
    if depth and alternates.is_file():
        for line in alternates.read_text(errors="surrogateescape").splitlines():
            if line and not line.startswith("#"):
                found += _object_stores((store / line).resolve(), depth - 1)
    return tuple(dict.fromkeys(found))


def _invalid(sentence: str, field: str = "path") -> Invalid:
    return Invalid(sentence, fields={field: sentence})


def tip(git: SourceGit, branch: str) -> str:
    """The commit that a branch, or a bookmark of jj's, stands on; empty when there is none. Invalid for a conflicted bookmark."""
    if jj := jujutsu_on(git):
        found = jj.bookmarks().get(branch)
        if found is not None and found.trouble:
            raise _invalid(f"{found.trouble}.", "target_branch")
        return found.oid if found else ""
    return "" if branch.startswith("-") else resolve(git, f"refs/heads/{branch}")


def target_tip(git: SourceGit, branch: str) -> str:
    """The tip of a branch; Invalid when it is gone."""
    oid = tip(git, branch)
    if not oid:
        raise _invalid(f"There is no branch {branch!r} in this repository.", "target_branch")
    return oid
