"""What the bench prints: aligned text, and a line for each promise."""

import math
import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest

Row = Sequence[object]
NUMBER = re.compile(r"[\d.]+|p50|p99|max|n|median")


def section(title: str, rows: Iterable[Row]) -> None:
    """A title and rows of cells: words to the left, numbers to the right. Words that end a row may be of any length."""
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [width(column) for column in zip_longest(*map(columns, cells), fillvalue="")]
    print(f"\n{title}")
    for row in cells:
        room = [*widths, 0][: len(row)]
        line = "  ".join(map(aligned, row, room))
        print(f"  {line.rstrip()}", flush=True)


def columns(row: list[str]) -> list[str]:
    """The cells that columns are as wide as."""
    return row if NUMBER.fullmatch(row[-1]) else row[:-1]


def width(column: Iterable[str]) -> int:
    return max(map(len, column))


def aligned(cell: str, width: int) -> str:
    return cell.rjust(width) if NUMBER.fullmatch(cell) else cell.ljust(width)


def report(verdicts: dict[str, bool]) -> int:
    """PASS or FAIL for each promise; the exit code."""
    section("Promises", [("PASS" if kept else "FAIL", promise) for promise, kept in verdicts.items()])
    return 0 if all(verdicts.values()) else 1


def percentile(values: Iterable[float], percent: float) -> float:
    """By nearest rank: a value that was measured, never one in between."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def shown(cell: object) -> str:
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
