"""Reads the events behind a cursor, each once, in the order of their ids, and none skipped that commits late."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import connection

BATCH = 500


class EventTail:
    """`head` is the id up to which everything has been read; use it from one thread, which has its own connection."""

    def __init__(self) -> None:
        self.head = -1
        self._gaps: dict[
            int, int
        ] = {}  # the id above a gap to the transaction that must end first; 0: seen once
        self._closed: set[int] = set()

    @property
    def pause(self) -> float:
        """Seconds between two looks: SQLite says cheaply whether anything was written."""
        return 0.05 if connection.vendor == "sqlite" else 0.15

    def written(self) -> int | None:
        """A number that changes with every commit of another connection; None where the database has none."""
        if connection.vendor != "sqlite":
            return None
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            return int(cursor.fetchone()[0])

    def start(self) -> bool:
        """Stand behind the newest event; False while an older id may still be committed."""
        newest = (
            apps.get_model("tasks.Event").objects.order_by("-id").values_list("id", flat=True).first() or 0
        )
        if connection.vendor == "postgresql":
            newest = min(self._gaps, default=newest)
            if not self._settled(newest):
                return False
            self._gaps.clear()
        self.head = newest
        return True

    def read(self) -> Iterator[Any]:
        """The events behind the head, which moves along."""
        events = apps.get_model("tasks.Event").objects.order_by("id")
        while batch := list(events.filter(id__gt=self.head)[:BATCH]):
            for event in batch:
                if self._follows_a_gap(event.id):
                    if not self._settled(event.id):
                        return
                    self._closed.add(event.id)
                    break  # read again: the missing one may have been committed since
                self.head = event.id
                yield event
        self._gaps.clear()
        self._closed.clear()

    def _follows_a_gap(self, number: int) -> bool:
        """PostgreSQL hands out ids before commit, so that a lower one may follow a higher one; SQLite has one writer."""
        if connection.vendor != "postgresql":
            return False
        return number != self.head + 1 and number not in self._closed

    def _settled(self, number: int) -> bool:
        """Whether all has been decided about the ids below `number`: every transaction that may hold one has ended.

        A transaction can hold an id for an instant before it has a number of its own, so that the mark is set at the
        second look.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
                " pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
            )
            oldest, next_one = cursor.fetchone()
        if number not in self._gaps:
            self._gaps[number] = 0
            return False
        self._gaps[number] = self._gaps[number] or next_one
        return bool(oldest >= self._gaps[number])
