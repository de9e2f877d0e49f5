"""The states of a task and the moves between them: the one table that code, pages and docs/lifecycle.md follow."""

from typing import NamedTuple

from django.db import models


class Status(models.TextChoices):
    TODO = "todo", "To do"
    PLANNING = "planning", "Planning"
    PLANNING_REVIEW = "planning_review", "Plan review"
    IN_PROGRESS = "in_progress", "In progress"
    AI_REVIEW = "ai_review", "AI review"
    FIX = "fix", "Fix"
    REVIEW = "review", "Review"
    DONE = "done", "Done"
    CANCELLED = "cancelled", "Cancelled"


FINAL = (Status.DONE, Status.CANCELLED)
STARTED = (
    Status.PLANNING,
    Status.PLANNING_REVIEW,
    Status.IN_PROGRESS,
    Status.AI_REVIEW,
    Status.FIX,
    Status.REVIEW,
)


class Move(NamedTuple):
    """One allowed move, and the verb or the result that makes it."""

    source: Status
    target: Status
    by: str


MOVES: tuple[Move, ...] = (
    Move(Status.TODO, Status.PLANNING, "execute"),
    Move(Status.TODO, Status.IN_PROGRESS, "execute"),
    Move(Status.PLANNING, Status.PLANNING_REVIEW, "planning completed"),
    Move(Status.PLANNING, Status.IN_PROGRESS, "planning completed"),
    Move(Status.PLANNING_REVIEW, Status.IN_PROGRESS, "approve-plan"),
    Move(Status.PLANNING_REVIEW, Status.PLANNING, "request-plan-changes"),
    Move(Status.IN_PROGRESS, Status.AI_REVIEW, "checks completed"),
    Move(Status.IN_PROGRESS, Status.FIX, "checks completed"),
    Move(Status.IN_PROGRESS, Status.REVIEW, "checks completed"),
    Move(Status.AI_REVIEW, Status.FIX, "review completed"),
    Move(Status.AI_REVIEW, Status.REVIEW, "review completed"),
    Move(Status.FIX, Status.AI_REVIEW, "checks completed"),
    Move(Status.FIX, Status.REVIEW, "checks completed"),
    Move(Status.REVIEW, Status.FIX, "request-changes"),
    Move(Status.REVIEW, Status.FIX, "fix-findings"),
    Move(Status.REVIEW, Status.FIX, "resolve-conflicts"),
    Move(Status.PLANNING_REVIEW, Status.PLANNING, "follow-up"),
    Move(Status.IN_PROGRESS, Status.FIX, "follow-up"),
    Move(Status.AI_REVIEW, Status.FIX, "follow-up"),
    Move(Status.REVIEW, Status.FIX, "follow-up"),
    Move(Status.REVIEW, Status.DONE, "merge"),
    Move(Status.REVIEW, Status.DONE, "mark-done"),
    Move(Status.DONE, Status.REVIEW, "undo-merge"),
    *(
        Move(status, target, "new-attempt")
        for status in (Status.TODO, *STARTED)
        for target in (Status.PLANNING, Status.IN_PROGRESS)
    ),
    *(
        Move(status, target, "choose")
        for status in (Status.TODO, *STARTED)
        for target in (Status.TODO, *STARTED)
    ),
    *(Move(status, Status.TODO, "back-to-todo") for status in STARTED),
    *(Move(status, Status.CANCELLED, "cancel") for status in (Status.TODO, *STARTED)),
    *(Move(status, Status.TODO, "reopen") for status in FINAL),
)


def sources(by: str, target: Status) -> list[Status]:
    """The states from which `by` leads to `target`."""
    return [move.source for move in MOVES if move.by == by and move.target == target]


def allows(by: str, source: str) -> bool:
    """Whether `by` leads anywhere from that state."""
    return any(move.by == by and move.source == source for move in MOVES)


class Column(NamedTuple):
    """One column of the board: its name, its hue in the design and the states it shows."""

    name: str
    hue: str
    statuses: tuple[Status, ...]


COLUMNS: tuple[Column, ...] = (
    Column("To do", "", (Status.TODO,)),
    Column("Plan", "plan", (Status.PLANNING, Status.PLANNING_REVIEW)),
    Column("Build", "build", (Status.IN_PROGRESS, Status.AI_REVIEW, Status.FIX)),
    Column("Review", "review", (Status.REVIEW,)),
    Column("Done", "good", (Status.DONE,)),
)
