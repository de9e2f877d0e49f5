"""A change too large for one reading, in parts: whole files together where they fit, a larger file cut between lines."""

from collections.abc import Iterator

FILE = "diff --git "
GOES_ON = "[continued]\n"


def split(change: str, longest: int) -> list[str]:
    """The change in parts of at most `longest` characters, each file's piece under its name; one part where it fits."""
    parts = [""]
    for piece in _pieces(change, longest):
        if parts[-1] and len(parts[-1]) + len(piece) > longest:
            parts.append("")
        parts[-1] += piece
    return parts


def _pieces(change: str, longest: int) -> Iterator[str]:
    """Each file's diff, or pieces of it, each beginning with the file's name."""
    for file in _files(change):
        name = file.partition("\n")[0][: longest // 4] + "\n"
        rest = file
        while len(rest) > longest:
            end = rest.rfind("\n", 0, longest) + 1
            if end <= len(name) + len(GOES_ON):
                end = longest  # a line longer than a part
            yield rest[:end]
            rest = name + GOES_ON + rest[end:]
        yield rest


def _files(change: str) -> Iterator[str]:
    """A line of content never begins with "diff": it has its sign before it."""
    start = 0
    while (end := change.find(f"\n{FILE}", start)) >= 0:
        yield change[start : end + 1]
        start = end + 1
    yield change[start:]
