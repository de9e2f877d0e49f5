"""The repository that a project works on, looked at before anything is promised."""

import re
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from sessions.workspaces.plumbing import GitError, SourceGit, resolve
from studio.errors import Invalid

ALTERNATES_DEPTH = 5
GITLINK = b"160000"


@dataclass(frozen=True)
class Repository:
    """A repository that Studio can work on.

    `path` is its top folder (the repository itself when bare), `git_dir` what all its checkouts share, `objects` its object stores
    (its own first, then those that it borrows from), `checkouts` the folders of all its working trees. `target_branch` is the branch asked
    for, else the checked out one, and `head_oid` that branch's tip.
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


def inspect(path: str | Path, target_branch: str = "") -> Repository:
    """Look at a repository. Invalid with `fields` path or target_branch, each a sentence, for one that Studio cannot work on."""
    folder = _folder(path)
    git = SourceGit(folder)
    bare, git_dir, object_format = _kind(git, folder)
    branches = _branches(git)
    head_branch = git("symbolic-ref", "--quiet", "--short", "HEAD", ok=(0, 1)).decode().strip()
    if not branches:
        raise _invalid("This repository has no commit yet. Make a first commit, then try again.")
    target = _target(target_branch, head_branch, branches)
    _refuse_unsupported(git, branches[target])
    return Repository(
        path=folder,
        git_dir=git_dir,
        objects=_object_stores(git_dir / "objects"),
        checkouts=(folder,) if bare else _checkouts(git),
        head_branch=head_branch,
        branches=tuple(branches),
        target_branch=target,
        head_oid=branches[target],
        object_format=object_format,
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
    if folder.is_relative_to(home) and not folder.is_relative_to(home / "demo"):
        raise _invalid("This folder lies inside Studio's own data folder. Choose a repository elsewhere.")
    if home.is_relative_to(folder):
        raise _invalid(
            "Studio's data folder lies inside this folder; set STUDIO_HOME to a place outside of it."
        )
    return folder


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
    if bare == "true":
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
    if "not a git repository" in stderr:
        return f"{folder} is not a Git repository. Make it one: git init"
    return f"Git cannot read {folder}: {stderr or 'it gave no reason'}"


def _branches(git: SourceGit) -> dict[str, str]:
    """Name to tip, the newest first."""
    lines = git(
        "for-each-ref", "--sort=-committerdate", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads"
    ).decode()
    return dict(line.rsplit(" ", 1) for line in lines.splitlines())  # type: ignore[misc, unused-ignore]


def _target(asked: str, head: str, branches: dict[str, str]) -> str:
    target = asked or head
    if not target:
        raise _invalid("No branch is checked out there; choose the branch to work on.", "target_branch")
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


def target_tip(git: SourceGit, branch: str) -> str:
    """The tip of a branch; Invalid when it is gone."""
    oid = "" if branch.startswith("-") else resolve(git, f"refs/heads/{branch}")
    if not oid:
        raise _invalid(f"There is no branch {branch!r} in this repository.", "target_branch")
    return oid
