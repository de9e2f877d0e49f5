"""What a merge would run into, said before: computed without touching a checkout or a branch."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sessions.workspaces.plumbing import GitError, SourceGit, checked, is_ancestor
from sessions.workspaces.repository import target_tip

MOST_FILES = 100
MOST_BYTES = 1_000_000  # of a file that is searched for its conflicts
MOST_LINES = 400  # of a file's conflicts that are shown
AROUND = 3  # lines of context


@dataclass(frozen=True)
class ConflictedFile:
    """A file that both sides changed. `hunks` are the places, with git's marks; without any, `why` says in git's words what is wrong."""

    path: str
    hunks: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Forecast:
    """`files` are in conflict (none: it merges); `contained` says that there is nothing to merge; `why` why it cannot be told."""

    head_oid: str
    target_oid: str
    files: tuple[ConflictedFile, ...] = ()
    contained: bool = False
    why: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether it merges, or has been."""
        return not self.files and not self.why


def forecast(source: Path, head_oid: str, target_branch: str, *, timeout: float = 20) -> Forecast:
    """Whether this commit merges into the branch as it stands now. Invalid for an unknown branch."""
    git = SourceGit(source, timeout=timeout)
    return _between(source, checked(head_oid), target_tip(git, target_branch), timeout)


@lru_cache(maxsize=256)
def _between(source: Path, head: str, target: str, timeout: float) -> Forecast:
    """Two commits have one answer, for ever."""
    git = SourceGit(source, timeout=timeout)
    if is_ancestor(git, head, target):
        return Forecast(head, target, contained=True)
    try:
        told = git("merge-tree", "--write-tree", "-z", "--name-only", target, head, ok=(0, 1))
    except GitError as error:
        if "unrelated histories" not in error.stderr:
            raise
        return Forecast(head, target, why="This work has no history in common with the branch.")
    tree, *words = told.split(b"\0")
    names = words[: words.index(b"")] if b"" in words else []
    messages = _messages(words[len(names) + 1 :])
    files = tuple(
        ConflictedFile(
            _shown(name),
            _hunks(git, checked(tree.decode().strip()), name),
            messages.get(name, "Both sides changed it."),
        )
        for name in list(dict.fromkeys(names))[:MOST_FILES]
    )
    return Forecast(head, target, files)


def _messages(words: list[bytes]) -> dict[bytes, str]:
    """git's sentence for each path: a count of paths, the paths, the kind of message and the message, again and again."""
    found: dict[bytes, str] = {}
    while len(words) > 3 and words[0].isdigit():
        count = int(words[0])
        paths, rest = words[1 : count + 1], words[count + 1 :]
        if len(rest) > 1 and rest[0].startswith(b"CONFLICT"):
            for path in paths:
                found.setdefault(path, _shown(rest[1]).strip())
        words = rest[2:]
    return found


def _hunks(git: SourceGit, tree: str, name: bytes) -> tuple[str, ...]:
    entry = git("--literal-pathspecs", "ls-tree", "-z", tree, "--", name.decode(errors="surrogateescape"))
    mode, kind, oid = (entry.split(b"\t")[0].split() or [b"", b"", b""])[:3]
    if kind != b"blob" or mode == b"120000":
        return ()
    text = git("cat-file", "blob", oid.decode(), limit=MOST_BYTES, head_only=True)
    if b"\0" in text[:8000]:
        return ()
    return tuple(_marked(text.decode(errors="replace").splitlines()))


def _marked(lines: list[str]) -> list[str]:
    hunks, start, shown = [], None, 0
    for number, line in enumerate(lines):
        if line.startswith("<<<<<<< "):
            start = number
        elif line.startswith(">>>>>>> ") and start is not None:
            hunk = lines[max(0, start - AROUND) : number + 1 + AROUND][: MOST_LINES - shown]
            hunks.append("\n".join(map(_named, hunk)))
            shown, start = shown + len(hunk), None
            if shown >= MOST_LINES:
                break
    return hunks


def _named(line: str) -> str:
    """A mark with the side's name in place of git's, which is a commit's id."""
    names = {"<<<<<<< ": "<<<<<<< the target", ">>>>>>> ": ">>>>>>> this change"}
    return names.get(line[:8], line)


def _shown(text: bytes) -> str:
    return text.decode(errors="backslashreplace")
