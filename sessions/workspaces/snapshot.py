"""The whole state of a workspace as one object: its files, its index, and where its HEAD stands."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sessions.workspaces.plumbing import GitError, WorkspaceGit, checked, resolve

# Fixed, so that the same state gives the same id.
STAMP = {
    **{f"GIT_{role}_NAME": "Studio" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_EMAIL": "studio@localhost" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_DATE": "1000000000 +0000" for role in ("AUTHOR", "COMMITTER")},
}
HEAD_LINE, INDEX_LINE = "HEAD ", "index "


def take(git: WorkspaceGit, base: str, *, with_branches: bool = False) -> str:
    """A commit (on no branch) whose tree is the files, whose parents are HEAD and a commit of the index, and whose message says
    which branch HEAD names. With `with_branches` the tips of all branches are parents too, so that they are kept with it."""
    tree, _ = files(git)
    head = resolve(git, "HEAD") or base
    if not is_free(git, base, head):
        head = base
    _forget(git, {})
    where = git("symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).decode().strip()
    staged = git("ls-files", "--stage", "-z")
    parents = [head]
    try:
        parents.append(_commit(git, git("write-tree").decode().strip(), [head], "index"))
    except GitError:  # a conflict that is not resolved: no tree can hold it, the message tells it apart
        pass
    if with_branches:
        parents += [tip for tip in tips(git) if tip not in parents and is_free(git, base, tip)]
    index = git("hash-object", "--stdin", input=staged).decode().strip()
    return _commit(git, tree, parents, f"{HEAD_LINE}{where}\n{INDEX_LINE}{index}\n")


def put_back(git: WorkspaceGit, oid: str) -> None:
    """Make HEAD, index and files what `take` saw."""
    raw = git("cat-file", "commit", checked(oid)).decode(errors="replace")
    header, _, message = raw.partition("\n\n")
    parents = [line.removeprefix("parent ") for line in header.split("\n") if line.startswith("parent ")]
    where = message.split("\n")[0].removeprefix(HEAD_LINE)
    unlock(git)
    stage_all(git)  # so that every file that came since is known, and goes
    git("read-tree", "--reset", "-u", oid)
    if where:
        git("symbolic-ref", "HEAD", where)
        git("update-ref", "--no-deref", where, parents[0])
    else:
        git("update-ref", "--no-deref", "HEAD", parents[0])
    git("read-tree", parents[1] if len(parents) > 1 else parents[0])
    git("update-index", "-q", "--refresh", ok=(0, 1))


def files(git: WorkspaceGit) -> tuple[str, list[str]]:
    """The tree of all files, through an index of its own; and the folders left out because they are repositories themselves."""
    with _own_index(git) as own:
        left_out = _add(git, own)
        return checked(git("write-tree", env=own).decode().strip()), left_out


def stage_all(git: WorkspaceGit) -> None:
    """Put all files into the workspace's own index."""
    if _flags_lie(git, {}):
        git.sandbox.run(
            ["rm", "-f", "--", str(git.folder / "index")], timeout=20
        )  # read-tree would keep its flags
        if resolve(git, "HEAD"):
            git("read-tree", "HEAD")
    _add(git, {})


def tips(git: WorkspaceGit) -> list[str]:
    """The commits that the workspace's branches stand on."""
    return sorted(set(git("for-each-ref", "--format=%(objectname)", "refs/heads").decode().split()))


def unlock(git: WorkspaceGit) -> None:
    """Remove what a killed git left locked. Only for when nothing else works in the workspace."""
    locks = [str(git.folder / name) for name in ("index.lock", "HEAD.lock")]
    git.sandbox.run(["rm", "-f", "--", *locks], timeout=20)


@contextmanager
def _own_index(git: WorkspaceGit) -> Iterator[dict[str, str]]:
    """The environment for git with a copy of the index; it starts from HEAD where the index hides changes or cannot be read."""
    place = git.folder / f"studio-{uuid.uuid4().hex}"
    own = {"GIT_INDEX_FILE": str(place)}
    try:
        copied = git.sandbox.run(["cp", "--", str(git.folder / "index"), str(place)], timeout=60)
        if copied.exit_code or _flags_lie(git, own):
            git.sandbox.run(["rm", "-f", "--", str(place)], timeout=20)
            if resolve(git, "HEAD"):
                git("read-tree", "HEAD", env=own)
        yield own
    finally:
        git.sandbox.run(["rm", "-f", "--", str(place), f"{place}.lock"], timeout=20)


def _flags_lie(git: WorkspaceGit, own: dict[str, str]) -> bool:
    """Whether files are marked as not to be looked at (assume-unchanged: a small letter; skip-worktree: S), or the index is damaged."""
    try:
        entries = git("ls-files", "-v", "-z", env=own).split(b"\0")
    except GitError as error:
        if error.code != "git_failed":
            raise
        return True
    return any(entry[:1].islower() or entry[:1] in (b"S", b"s") for entry in entries)


def _add(git: WorkspaceGit, own: dict[str, str]) -> list[str]:
    """Add all files to an index; what is a repository of its own is left out and named (git would record only its commit)."""
    nested = _nested(git, own)
    paths = [b":/", *(b":(top,exclude,literal)" + name.encode(errors="surrogateescape") for name in nested)]
    options = ("--pathspec-from-file=-", "--pathspec-file-nul")
    try:
        git("add", "--all", *options, input=b"\0".join(paths), env=own)
    except GitError as error:
        if error.code != "git_failed":
            raise
        git("add", "--all", *options, input=b"\0".join(paths), env=own)  # a file went while it was read
    _forget(git, own)
    return [name.rstrip("/") for name in nested]


def _forget(git: WorkspaceGit, own: dict[str, str]) -> None:
    """Take out of an index what is never to be committed, also where the agent has added or committed it."""
    if git.never:
        command = ("rm", "--cached", "-r", "-f", "--quiet", "--ignore-unmatch", "--")
        git("--literal-pathspecs", *command, *git.never, env=own)


def is_free(git: WorkspaceGit, base: str, oid: str) -> bool:
    """Whether no commit between the two has touched what is never to be committed."""
    if not git.never:
        return True
    history = ("rev-list", "--full-history", "--max-count=1", f"{checked(base)}..{checked(oid)}", "--")
    return not git("--literal-pathspecs", *history, *git.never)


def _nested(git: WorkspaceGit, own: dict[str, str]) -> list[str]:
    untracked = git("ls-files", "--others", "--exclude-standard", "-z", env=own).decode(
        errors="surrogateescape"
    )
    return [name for name in untracked.split("\0") if name.endswith("/")]


def _commit(git: WorkspaceGit, tree: str, parents: list[str], message: str) -> str:
    words = [word for parent in dict.fromkeys(parents) for word in ("-p", parent)]
    made = git(
        "commit-tree",
        checked(tree),
        *words,
        "-F",
        "-",
        input=message.encode(errors="surrogateescape"),
        env=STAMP,
    )
    return checked(made.decode().strip())
