"""The difference between two commits or trees as lines to show, whatever the names and sizes in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sessions.workspaces.plumbing import Git, SourceGit, checked

FILE_LINES = 3_000
LINE_CHARACTERS = 5_000
TOTAL_BYTES = 2_000_000
BIG_FILE_BYTES = 5_000_000
MAX_FILES = 3_000

Status = Literal["added", "modified", "deleted", "renamed"]
STATUSES: dict[str, Status] = {"A": "added", "C": "added", "D": "deleted", "R": "renamed"}
HUNK = re.compile(rb"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)")


@dataclass(frozen=True)
class Line:
    """One line of a hunk: `kind` is " ", "+" or "-"; a number is None where the line does not exist on that side."""

    kind: str
    old_no: int | None
    new_no: int | None
    text: str


@dataclass
class Hunk:
    """Lines that stand together. `header` is the function or section that git names, often empty."""

    header: str
    old_start: int
    new_start: int
    lines: list[Line] = field(default_factory=list)


@dataclass
class FileDiff:
    """One file. `content` is git's id of what it holds now, zeros where it is deleted. `old_path` differs from `path` only when renamed. `too_large`: its lines are not, or not all, in `hunks`."""

    path: str
    old_path: str
    status: Status
    additions: int = 0
    deletions: int = 0
    binary: bool = False
    too_large: bool = False
    content: str = ""
    hunks: list[Hunk] = field(default_factory=list)

    @property
    def shown_lines(self) -> int:
        return sum(len(hunk.lines) for hunk in self.hunks)


@dataclass
class Diff:
    """All files that differ, with the counts of the whole. `cut` says in a sentence what is not shown; empty when all is.

    `left_out` names folders in a workspace that are repositories of their own; what is in them belongs to no diff and no commit.
    """

    files: list[FileDiff]
    additions: int
    deletions: int
    cut: str = ""
    left_out: list[str] = field(default_factory=list)

    def to_text(self) -> str:
        """A unified diff, with a line in brackets for whatever cannot be shown."""
        parts = [_file_text(file) for file in self.files]
        parts += [f"[{path} is a repository of its own and not included]\n" for path in self.left_out]
        return "".join(parts) + (f"[{self.cut}]\n" if self.cut else "")


def diff(source: Path, base_oid: str, head_oid: str, *, timeout: float = 20) -> Diff:
    """What changed from one commit to another in a person's repository. GitError (git_timeout) after `timeout` seconds."""
    return compare(SourceGit(source, timeout=timeout), base_oid, head_oid)


def compare(git: Git, base_oid: str, head_oid: str, env: Mapping[str, str] | None = None) -> Diff:
    """What changed between two commits or trees, told by `git`."""
    options = (
        "-c",
        f"core.bigFileThreshold={BIG_FILE_BYTES}",
        "diff-tree",
        "-r",
        "-M",
        "-l2000",
        "--no-ext-diff",
        "--no-textconv",
    )
    trees = (checked(base_oid), checked(head_oid))
    listing = git(*options, "--raw", "--numstat", "-z", "--no-abbrev", *trees, env=env)
    files, blobs, types = _files(listing)
    patch = git(*options, "-p", "--no-color", *trees, env=env, limit=TOTAL_BYTES, head_only=True)
    _fill(files, types, patch)
    _name_big(git, files, blobs)
    return Diff(
        files=files[:MAX_FILES],
        additions=sum(file.additions for file in files),
        deletions=sum(file.deletions for file in files),
        cut=_cut(files, len(patch) >= TOTAL_BYTES),
    )


def _files(listing: bytes) -> tuple[list[FileDiff], list[tuple[str, str]], list[str]]:
    """The files, their blobs before and after, and git's letter for each; `listing` is first the raw entries, then the counts."""
    words = iter(listing.split(b"\0"))
    files: list[FileDiff] = []
    blobs: list[tuple[str, str]] = []
    letters: list[str] = []
    by_path: dict[bytes, FileDiff] = {}
    for word in words:
        if word.startswith(b":"):
            _, _, old_blob, new_blob, status = word.decode().split(" ")
            old = path = next(words)
            if status[0] in "RC":
                path = next(words)
            file = FileDiff(
                _name(path), _name(old if status[0] == "R" else path), STATUSES.get(status[0], "modified")
            )
            file.content = new_blob
            by_path[path] = file
            files.append(file)
            blobs.append((old_blob, new_blob))
            letters.append(status[0])
        elif word:
            added, deleted, path = word.split(b"\t", 2)
            if not path:
                next(words)
                path = next(words)
            _count(by_path[path], added, deleted)
    return files, blobs, letters


def _count(file: FileDiff, added: bytes, deleted: bytes) -> None:
    file.binary = added == b"-"
    if not file.binary:
        file.additions, file.deletions = int(added), int(deleted)


def _name(path: bytes) -> str:
    return path.decode(errors="backslashreplace")


def _fill(files: list[FileDiff], letters: list[str], patch: bytes) -> None:
    """Give the files their hunks. The patch names them in the listing's order, so that its quoted names need no reading.

    A line of content never begins with "diff": it has its sign before it. A change of type (T) comes as two sections.
    """
    sections: list[list[bytes]] = []
    for line in patch.split(b"\n")[:-1]:
        if line.startswith(b"diff --git "):
            sections.append([])
        if sections:
            sections[-1].append(line)
    place = iter(sections)
    for file, letter in zip(files, letters, strict=True):
        for _ in range(2 if letter == "T" else 1):
            if section := next(place, None):
                _read_section(file, section)
    for file in files:
        changed = sum(line.kind != " " for hunk in file.hunks for line in hunk.lines)
        file.too_large |= changed < file.additions + file.deletions


def _read_section(file: FileDiff, section: list[bytes]) -> None:
    old_no = new_no = 0
    hunk: Hunk | None = None
    room = FILE_LINES - file.shown_lines
    for line in section:
        if found := HUNK.match(line):
            old_no, new_no = int(found[1]), int(found[2])
            hunk = Hunk(_text(found[3]), old_no, new_no)
            file.hunks.append(hunk)
        elif hunk and line[:1] in (b" ", b"+", b"-"):
            if room <= 0:
                return
            room -= 1
            kind = line[:1].decode()
            hunk.lines.append(
                Line(kind, None if kind == "+" else old_no, None if kind == "-" else new_no, _text(line[1:]))
            )
            old_no += kind != "+"
            new_no += kind != "-"


def _text(line: bytes) -> str:
    text = line[: LINE_CHARACTERS * 4].decode(errors="replace")
    return text if len(text) <= LINE_CHARACTERS else text[:LINE_CHARACTERS] + "… [line cut]"


def _name_big(git: Git, files: list[FileDiff], blobs: list[tuple[str, str]]) -> None:
    """git calls a file binary when it is too large to look at: those are `too_large` too."""
    doubtful = [
        (file, oid)
        for file, pair in zip(files, blobs, strict=True)
        if file.binary
        for oid in pair
        if oid.strip("0")
    ]
    if not doubtful:
        return
    asked = "".join(f"{oid}\n" for _, oid in doubtful).encode()
    sizes = git("cat-file", "--batch-check=%(objectsize)", input=asked).decode().split("\n")
    for (file, _), size in zip(doubtful, sizes, strict=False):
        file.too_large |= size.isdigit() and int(size) >= BIG_FILE_BYTES


def _cut(files: list[FileDiff], total: bool) -> str:
    sentences = []
    if cut := sum(file.too_large for file in files):
        noun = "file is" if cut == 1 else "files are"
        sentences.append(f"{cut} {noun} too large to show whole.")
    if total:
        sentences.append(f"Only the first {TOTAL_BYTES // 1_000_000} MB of the changes are shown.")
    if len(files) > MAX_FILES:
        sentences.append(f"Only {MAX_FILES} of {len(files)} files are listed.")
    return " ".join(sentences)


def _file_text(file: FileDiff) -> str:
    old, new = _printable(file.old_path), _printable(file.path)
    text = [f"diff --git a/{old} b/{new}"]
    if file.status == "renamed":
        text += [f"rename from {old}", f"rename to {new}"]
    if file.binary:
        text.append(f"[{'large' if file.too_large else 'binary'} file, {file.status}]")
    elif file.hunks:
        text.append("--- " + ("/dev/null" if file.status == "added" else f"a/{old}"))
        text.append("+++ " + ("/dev/null" if file.status == "deleted" else f"b/{new}"))
    elif not file.too_large:
        text.append(f"[{file.status}, no lines differ]")
    for hunk in file.hunks:
        text.append(_hunk_header(hunk))
        text += [line.kind + line.text for line in hunk.lines]
    if file.too_large and not file.binary:
        text.append(f"[cut: {file.additions} lines added and {file.deletions} deleted in all]")
    return "\n".join(text) + "\n"


def _hunk_header(hunk: Hunk) -> str:
    old = sum(line.kind != "+" for line in hunk.lines)
    new = sum(line.kind != "-" for line in hunk.lines)
    return f"@@ -{hunk.old_start},{old} +{hunk.new_start},{new} @@ {hunk.header}".rstrip()


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)
