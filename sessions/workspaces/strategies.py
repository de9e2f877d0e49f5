"""What a landing puts on the target branch: a merge commit, one squashed commit, or the commits replayed; made without any checkout."""

from dataclasses import dataclass
from typing import Literal, get_args

from sessions.workspaces.plumbing import GitError, SourceGit, checked, committer
from studio.errors import Conflict

Strategy = Literal["merge", "squash", "rebase"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)
MOST_REPLAYED = 500  # commits of a rebase


@dataclass(frozen=True)
class Words:
    """What the commits say: `message` of a merge or squash, with its trailers; `trailers` alone for each commit of a rebase.

    `author` is name and email of the person who lands it.
    """

    message: str
    author: tuple[str, str]
    trailers: str = ""


def commit(git: SourceGit, strategy: str, target: str, head: str, words: Words) -> str:
    """The commit to move the target to, from its tip `target`; that tip itself where nothing of `head` is left to land.

    Conflict (merge_conflict with `files`, unrelated_histories, rebase_impossible).
    """
    if strategy == "rebase":
        return _replay(git, target, head, words)
    tree = merged_tree(git, target, head)
    if strategy == "squash":
        return target if tree == _tree(git, target) else _make(git, tree, [target], words)
    return _make(git, tree, [target, head], words)


def merged_tree(git: SourceGit, target: str, head: str) -> str:
    """The tree of both. Conflict (merge_conflict with `files`, unrelated_histories)."""
    try:
        told = git(
            "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", target, head, ok=(0, 1)
        )
    except GitError as error:
        if "unrelated histories" in error.stderr:
            message = "This work has no history in common with the branch, so it cannot be merged."
            raise Conflict(message, code="unrelated_histories") from error
        raise
    tree, *names = [word.decode(errors="backslashreplace") for word in told.split(b"\0") if word]
    if names:
        files = sorted(set(names))
        raise Conflict(
            f"The branch has changed the same lines in {', '.join(files[:5])}{' and others' if len(files) > 5 else ''}.",
            code="merge_conflict",
            files=files,
        )
    return checked(tree.strip())


def _make(git: SourceGit, tree: str, parents: list[str], words: Words) -> str:
    name, email = (
        "".join(char for char in word if char.isprintable() and char not in "<>").strip()
        for word in words.author
    )
    made = git(
        *("commit-tree", tree, *(word for parent in parents for word in ("-p", parent)), "-F", "-"),
        input=words.message.replace("\0", "").encode(errors="replace"),
        env=committer(name or "Studio", email or "studio@localhost"),
    )
    return checked(made.decode().strip())


def _replay(git: SourceGit, target: str, head: str, words: Words) -> str:
    """Each commit of `head` that the target lacks, on top of it; those that change nothing there are left out."""
    listing = git("rev-list", "--reverse", "--topo-order", "--parents", head, f"^{target}").decode()
    commits = [line.split() for line in listing.splitlines()]
    if any(len(parents) != 1 for _, *parents in commits) or len(commits) > MOST_REPLAYED:
        raise Conflict(
            "The work holds a merge of its own, a root, or very many commits, so it cannot be rebased. Choose squash or a merge commit.",
            code="rebase_impossible",
        )
    tip = target
    for oid, parent in commits:
        tree = _picked(git, tip, oid, parent)
        if tree != _tree(git, tip):
            tip = _again(git, oid, tree, tip, words.trailers)
    return tip


def _picked(git: SourceGit, tip: str, oid: str, parent: str) -> str:
    """The tree of `tip` with what `oid` changes. A git before 2.40 cannot be told the base, so both get a parent that is it."""
    plain = Words("x", ("Studio", "studio@localhost"))
    base = _make(git, _tree(git, parent), [], plain)
    ours, theirs = (_make(git, _tree(git, side), [base], plain) for side in (tip, oid))
    return merged_tree(git, ours, theirs)


def _again(git: SourceGit, oid: str, tree: str, parent: str, trailers: str) -> str:
    """The commit with its own author, date and message, the trailers added."""
    told = git(
        "show", "--no-patch", "--no-show-signature", "--format=%an%x00%ae%x00%ad%x00%B", "--date=raw", oid
    )
    name, email, date, message = told.decode(errors="replace").split("\0", 3)
    whole = f"{message.rstrip()}\n\n{trailers}" if trailers else message
    made = git(
        *("commit-tree", tree, "-p", parent, "-F", "-"),
        input=whole.encode(errors="replace"),
        env=committer(name or "Studio", email or "studio@localhost") | {"GIT_AUTHOR_DATE": date},
    )
    return checked(made.decode().strip())


def _tree(git: SourceGit, oid: str) -> str:
    return checked(
        git("rev-parse", "--verify", "--end-of-options", f"{checked(oid)}^{{tree}}").decode().strip()
    )
