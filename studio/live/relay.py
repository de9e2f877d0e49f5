"""The relay: one thread in each web process that reads what other processes wrote, and hands it to this one's sockets."""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from channels.layers import get_channel_layer
from django.db import Error, connection
from django.utils import timezone

from studio.live import topics
from studio.live.tail import EventTail
from studio.live.topics import Frame, Log

logger = logging.getLogger(__name__)

BELL = "events"  # the group that hears only how far the events are
IDLE_SECONDS = 30  # the thread ends when nobody has listened for that long
FRESH = timedelta(seconds=20)
HAND_OVER_SECONDS = 10
GLANCE_SECONDS = 0.5


class Relay:
    """Sockets `join` and `leave`; the thread starts with the first one."""

    def __init__(self) -> None:
        self.head = -1  # the id of the newest event that has been read; -1 before the first look
        self.sent: Counter[str] = (
            Counter()
        )  # messages to each group, so that a socket sees that it missed one
        self._lock = threading.Lock()
        self._loops: dict[str, Counter[asyncio.AbstractEventLoop]] = {}
        self._cursors: dict[str, int] = {}
        self._pending: dict[str, dict[str, int]] = {}
        self._stale: set[str] = set()
        self._due: dict[str, float] = {}
        self._glance_from = 0.0  # when to glance next; 0 when nothing was written since the last time
        self._glanced_at = 0.0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._looked_at: datetime | None = None

    # --- for sockets --------------------------------------------------------------------------------------------

    def join(self, group: str, loop: asyncio.AbstractEventLoop, start: int = 0) -> None:
        """Deliver `group` to `loop`. `start` is a log's cursor, read before; the newest event's id for others."""
        with self._lock:
            self._loops.setdefault(group, Counter())[loop] += 1
            if isinstance(topics.of(group), Log):
                self._cursors.setdefault(group, start)
                self._stale.add(group)
            if self._thread is None or not self._thread.is_alive():
                self._stopping.clear()
                self._thread = threading.Thread(target=self._run, name="live-relay", daemon=True)
                self._thread.start()

    def leave(self, group: str, loop: asyncio.AbstractEventLoop) -> None:
        """Undo one `join`."""
        with self._lock:
            loops = self._loops.get(group)
            if loops is None:
                return
            loops[loop] -= 1
            if loops[loop] <= 0:
                del loops[loop]
            if not loops:
                for table in (self._loops, self._cursors, self._pending, self._due, self.sent):
                    table.pop(group, None)
                self._stale.discard(group)

    async def ready(self) -> None:
        """Wait until the relay has found the end of the events: what comes after is delivered."""
        while self.head < 0:
            await asyncio.sleep(0.02)

    @property
    def delivered(self) -> int:
        """The id up to which every event has been handed to the sockets."""
        waiting = [min(changed.values()) for changed in list(self._pending.values()) if changed]
        return min([self.head, *(number - 1 for number in waiting)])

    @property
    def is_fresh(self) -> bool:
        """Whether it could read lately; a page must not say "live" on the word of a relay that sees nothing."""
        return self._looked_at is not None and timezone.now() - self._looked_at < FRESH

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(HAND_OVER_SECONDS)
        self._thread, self.head = None, -1

    # --- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        tail, delay, used_at, version = EventTail(), 0.0, time.monotonic(), None
        self.head = -1
        try:
            while not self._stopping.wait(delay or tail.pause):
                used_at = time.monotonic() if self._loops else used_at
                if self._retire(used_at):
                    return
                try:
                    version = self._look(tail, version)
                    delay = 0.0
                except Error as error:
                    delay = min(max(delay * 2, 0.25), 5)
                    logger.warning("The relay cannot read (%s); next try in %.1f s.", error, delay)
                    connection.close()
                    version = None  # another connection counts from its own start
                except Exception:
                    delay = 1
                    logger.exception("The relay stumbled.")
        finally:
            connection.close()

    def _retire(self, used_at: float) -> bool:
        """Under the lock that `join` takes, so that no socket is left with a thread that is just ending."""
        with self._lock:
            if self._loops or time.monotonic() - used_at < IDLE_SECONDS:
                return False
            self._thread, self.head = None, -1
            return True

    def _look(self, tail: EventTail, version: int | None) -> int | None:
        now = tail.written()  # before the rows: what is written in between shows as a change next time
        if tail.head < 0 and not tail.start():
            return None
        if now is None or now != version:
            before = self.head
            for event in tail.read():
                self._note(event)
            self._looked_at = timezone.now()
            self.head = tail.head
            with self._lock:
                self._stale |= self._cursors.keys()
            self._glance_from = self._glance_from or self._glanced_at + GLANCE_SECONDS
            if before not in (-1, self.head):
                self._deliver([(BELL, "")])
        self._looked_at = timezone.now()
        self._glance()
        self._flush()
        return now

    def _glance(self) -> None:
        """What runs shows on boards between two events."""
        if not self._glance_from or time.monotonic() < self._glance_from:
            return
        self._glance_from, self._glanced_at = 0.0, time.monotonic()
        for group, target in topics.glanced(list(self._loops)):
            with self._lock:
                if group in self._loops:
                    self._pending.setdefault(group, {}).setdefault(target, self.head)

    def _note(self, event: Any) -> None:
        for group, target in topics.routed(event):
            with self._lock:
                if group in self._loops:
                    self._pending.setdefault(group, {})[target] = event.pk

    def _flush(self) -> None:
        """Say what is due: a group that just heard something waits for its topic's interval."""
        now = time.monotonic()
        with self._lock:
            due = [group for group in {*self._pending, *self._stale} if self._due.get(group, 0) <= now]
            cursors = {group: self._cursors[group] for group in due if group in self._stale}
            changed = {group: dict(self._pending[group]) for group in due if group in self._pending}
        messages = self._read_logs(cursors)
        for group, targets in changed.items():
            messages += [(group, frame) for frame in _frames(group, targets)]
        self._deliver([(group, frame.encode()) for group, frame in messages])
        with self._lock:
            for group in changed:
                self._pending.pop(group, None)
            for group in {group for group, _ in messages} & self._loops.keys():
                topic = topics.of(group)
                self._due[group] = now + (topic.interval if topic else 0)

    def _read_logs(self, cursors: dict[str, int]) -> list[tuple[str, Frame]]:
        """The new frames of the logs, whose cursors move along; a log that was read is stale no more."""
        found = []
        for word in {group.partition("-")[0] for group in cursors}:
            topic = topics.of(word)
            assert isinstance(topic, Log)  # `join` gives cursors to logs only
            mine = {group: cursor for group, cursor in cursors.items() if topics.of(group) is topic}
            with self._lock:
                self._stale -= mine.keys()
            for group, cursor, frame in topic.read(mine):
                found.append((group, frame))
                with self._lock:
                    if group in self._cursors:
                        self._cursors[group] = cursor
        return found

    def _deliver(self, messages: Iterable[tuple[str, str]]) -> None:
        """Hand messages to the event loops and wait until they took them: order holds, and a busy loop slows the relay."""
        batches: dict[asyncio.AbstractEventLoop, list[tuple[str, dict[str, object]]]] = {}
        with self._lock:
            for group, text in messages:
                loops = list(self._loops.get(group, ()))
                if loops:
                    self.sent[group] += 1
                for loop in loops:
                    message = {"type": "live.frame", "group": group, "n": self.sent[group], "text": text}
                    batches.setdefault(loop, []).append((group, message))
        for loop, batch in batches.items():
            if loop.is_closed():
                continue
            handing = asyncio.run_coroutine_threadsafe(_send(batch), loop)
            try:
                handing.result(HAND_OVER_SECONDS)
            except TimeoutError:
                logger.warning("An event loop took no messages for %s s.", HAND_OVER_SECONDS)


def _frames(group: str, changed: dict[str, int]) -> list[Frame]:
    """The topic's own frames; where it cannot make them, the pages fetch."""
    topic = topics.of(group)
    assert topic is not None  # only topics are routed to
    try:
        return list(topic.frames(group, changed))
    except Error:
        raise
    except Exception:
        logger.exception("No frames for %s.", group)
        return [topics.ring(*changed)]


async def _send(batch: list[tuple[str, dict[str, object]]]) -> None:
    layer = get_channel_layer()
    for group, message in batch:
        await layer.group_send(group, message)
        await asyncio.sleep(0)  # let the sockets take it: a channel of the in-memory layer holds 100


relay = Relay()
