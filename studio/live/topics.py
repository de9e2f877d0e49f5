"""What pages can follow, as the apps register it: this package knows no task and no session.

A topic's name is the id of an element: `task-12`. Its word (`task`) names the `Topic` registered for it, its number the
row. A group is what the relay delivers to; most topics are one group of the same name.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

LONGEST_FRAME = 16 * 1024  # bytes


@dataclass(frozen=True)
class Frame:
    """One message to a page; `short` takes its place where it is too long, and makes the page fetch."""

    body: dict[str, Any]
    short: dict[str, Any] = field(default_factory=dict)

    def encode(self) -> str:
        """As it goes over the wire."""
        text = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"))
        if len(text.encode()) > LONGEST_FRAME:
            return json.dumps(self.short, separators=(",", ":"))
        return text


def ring(*targets: str) -> Frame:
    """The elements that name one of `targets` fetch themselves."""
    return Frame({"ring": sorted(targets)})


class Topic:
    """One word that pages can follow. The methods run in threads that may query."""

    interval = 0.1  # seconds between two frames of one group

    def groups(self, user: Any, number: int) -> list[str] | None:
        """The groups that the person joins by following it; None where the person may not see it."""
        raise NotImplementedError

    def frames(self, group: str, changed: dict[str, int]) -> Iterable[Frame]:
        """What to tell a group of the changes since its last frame: target to the id of its newest event."""
        return [ring(*changed)]

    def glance(self, groups: list[str]) -> Iterable[tuple[str, str]]:
        """What changed in these groups without an event, as group and target; asked after a write, twice a second at most."""
        return []

    def replay(self, name: str, groups: list[str], cursor: int) -> Iterable[Frame]:
        """What a page that has seen everything up to `cursor` lacks."""
        raise NotImplementedError


class Log(Topic):
    """A topic whose rows the relay reads by a cursor of their own, next to the events."""

    def head(self, group: str) -> int:
        """The cursor that has seen everything there is now."""
        raise NotImplementedError

    def read(self, cursors: dict[str, int]) -> Iterable[tuple[str, int, Frame]]:
        """The frames behind those cursors, in order: group, its new cursor, frame."""
        raise NotImplementedError


Route = Callable[[Any], Iterable[tuple[str, str]]]

_topics: dict[str, Topic] = {}
_routes: list[Route] = []


def register(word: str, topic: Topic) -> None:
    """Let pages follow `word-<number>`. Call it in `AppConfig.ready()`."""
    _topics[word] = topic


def route(function: Route) -> Route:
    """Let `function` say which groups an event concerns, and which target in each. It must not query."""
    if function not in _routes:
        _routes.append(function)
    return function


def glanced(groups: Iterable[str]) -> Iterable[tuple[str, str]]:
    """What changed without an event in any of the groups."""
    groups = list(groups)
    for word, topic in _topics.items():
        mine = [group for group in groups if group.partition("-")[0] == word]
        if mine:
            yield from topic.glance(mine)


def of(name: str) -> Topic | None:
    """The topic that a name or a group belongs to."""
    return _topics.get(name.partition("-")[0])


def number_of(name: str) -> int:
    """12 of `task-12`; 0 of a name without number."""
    number = name.partition("-")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 16 else 0


def routed(event: Any) -> Iterable[tuple[str, str]]:
    """The groups and targets that an event concerns."""
    for function in _routes:
        yield from function(event)
