"""The queue as people see it: what is at work, what is taken next and in which order, and what waits for more than a worker."""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from sessions.admission import Obstacles, full_words
from sessions.models import Attempt
from sessions.models.attempt import Lease, Turn
from studio.errors import Conflict
from tasks.models import Project, Task
from tasks.standing import Standing, Words, load


@dataclass
class Entry:
    """One attempt: what it does or waits for, and its `position` among all that only wait for a worker; 0 for none.

    `rises` and `sinks` say whether another of its project and priority stands before or behind it.
    """

    attempt: Attempt
    words: Words
    position: int = 0
    rises: bool = False
    sinks: bool = False

    @property
    def task(self) -> Task:
        return self.attempt.task


@dataclass
class Lineup:
    """`first` are taken in this order as workers become free; what is `held` waits for something else, in the order of its claims."""

    at_work: list[Entry] = field(default_factory=list)
    first: list[Entry] = field(default_factory=list)
    held: list[Entry] = field(default_factory=list)


def waiting(task: Task) -> Attempt:
    """The task's attempt, to be moved. Raises `Conflict` where it has none."""
    attempt = Attempt.objects.current_of(task)
    if attempt is None:
        raise Conflict(f"{task.key} does not wait in the queue now.", code="not_waiting")
    return attempt


def seen_by(user: Any) -> Lineup:
    """What the person may see; the positions count what they may not see too."""
    lineup = _waiting()
    visible = set(Project.objects.visible_to(user).values_list("pk", flat=True))
    for name in ("first", "held"):
        entries = getattr(lineup, name)
        setattr(lineup, name, [each for each in entries if each.task.project_id in visible])
    lineup.at_work = _at_work(visible)
    return lineup


def _at_work(projects: set[int]) -> list[Entry]:
    """The longest at work first."""
    working = Attempt.objects.at_work().filter(task__project__in=projects).select_related("task__project")
    attempts = list(working.order_by("claimed_at"))
    load([attempt.task for attempt in attempts])
    return [Entry(attempt, Standing(attempt.task).words) for attempt in attempts]


def _waiting() -> Lineup:
    """Everything that waits, of all projects."""
    rows = Attempt.objects.filter(lease=Lease.CLAIMABLE).select_related("task__project")
    obstacles = Obstacles()
    lineup = Lineup()
    entries = [Entry(attempt, _words(obstacles, attempt)) for attempt in rows.in_line()]
    _mark_ends(entries)
    lineup.held = [entry for entry in entries if entry.words.about]
    free = [entry for entry in entries if not entry.words.about]
    turns = {turn.project: turn for turn in rows.order_by().turns()}
    _play(lineup, free, turns)
    for position, entry in enumerate(lineup.first, start=1):
        entry.position = position
    return lineup


def _words(obstacles: Obstacles, attempt: Attempt) -> Words:
    words = obstacles.of(attempt)._replace(since=attempt.claimable_at)
    if not words.about and attempt.runner not in {"", settings.STUDIO_RUNNER}:
        return words._replace(text="Waits for its machine", about=attempt.runner)
    return words


def _mark_ends(entries: list[Entry]) -> None:
    lines: dict[tuple[int, int], list[Entry]] = defaultdict(list)
    for entry in entries:
        lines[entry.task.project_id, entry.task.priority].append(entry)
    for line in lines.values():
        for index, entry in enumerate(line):
            entry.rises, entry.sinks = index > 0, index < len(line) - 1


def _play(lineup: Lineup, free: list[Entry], turns: dict[int, Turn]) -> None:
    """Claim one after another, as `AttemptQuerySet.claimable` would, up to each project's limit."""
    by_priority: dict[int, dict[int, deque[Entry]]] = defaultdict(lambda: defaultdict(deque))
    for entry in free:
        by_priority[entry.task.priority][entry.task.project_id].append(entry)
    at_work = {project: turn.at_work for project, turn in turns.items()}
    order: dict[int, tuple[Any, ...]] = {project: _first(turn) for project, turn in turns.items()}
    for priority in sorted(by_priority):
        lines = by_priority[priority]
        while lines:
            project = min(lines, key=lambda each: (at_work[each], order[each]))
            entry = lines[project].popleft()
            most = entry.task.project.most_sessions
            if most is not None and at_work[project] >= most:
                entry.words = full_words(most)._replace(since=entry.words.since)
                lineup.held.append(entry)
            else:
                lineup.first.append(entry)
                at_work[project] += 1
                order[project] = (2, len(lineup.first), 0)
            if not lines[project]:
                del lines[project]


def _first(turn: Turn) -> tuple[Any, ...]:
    """Whose turn it is of those with as many at work: who was never served, then the one served longest ago."""
    since = turn.since.timestamp() if turn.since else 0
    return (1, turn.served.timestamp(), since) if turn.served else (0, 0, since)
