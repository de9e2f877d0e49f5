"""The page's socket at /live/: outward frames, inward nothing but the topics to follow."""

import asyncio
import json
import logging
from typing import Any

from channels.consumer import get_handler_name
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import timezone

from studio.live import origin, people, topics
from studio.live.relay import relay
from studio.live.topics import Frame, Log
from studio.live.wire import LONGEST_BACKLOG, backlog

logger = logging.getLogger(__name__)

MOST_TOPICS = 100
LONGEST_MESSAGE = 16 * 1024  # bytes
TICK_SECONDS = 15.0
CHECK_SECONDS = 60.0

BAD_MESSAGE, SIGNED_OUT, NOT_ALLOWED, TOO_SLOW = 4400, 4401, 4403, 1013


class LiveConsumer(AsyncWebsocketConsumer):
    """`topics` maps each followed name to the groups joined for it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.topics: dict[str, list[str]] = {}
        self.cursors: dict[str, int] = {}
        self.heard: dict[str, int] = {}
        self.said: dict[str, int] = {}
        self.changing = asyncio.Lock()
        self.tasks: list[asyncio.Task[None]] = []
        self.closed = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """A server that goes down cancels this without a word: the relay must not keep what is gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.disconnect(0)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Channels visits the database thread before every message; here a frame is only passed on."""
        handler = getattr(self, get_handler_name(message))
        await handler(message)

    # --- the page -------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Refuse foreign pages before the handshake, and people who are not signed in after it, with a code they can read."""
        if not origin.is_own(self.scope):
            await self.close()
            return
        await self.accept()
        self.loop = asyncio.get_running_loop()
        self.user = await in_thread(people.signed_in, self.scope)
        if self.user is None:
            await self.end(SIGNED_OUT)
            return
        self.tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self._check())]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """`{"follow": {name: cursor, …}}`: all that the page follows from now on, and what it has seen of each."""
        if self.closed:
            return
        wanted = _wanted(text_data)
        if wanted is None:
            await self.end(BAD_MESSAGE)
            return
        async with self.changing:
            await self._follow(wanted)

    async def disconnect(self, code: int) -> None:
        """Leave everything; also runs when the server closes."""
        self.closed = True
        for task in self.tasks:
            task.cancel()
        for name in list(self.topics):
            await self._leave(name)

    # --- the relay --------------------------------------------------------------------------------------------------

    async def live_frame(self, message: dict[str, Any]) -> None:
        """Pass a frame on; where the layer dropped one before it, replay the topic from where the page is."""
        if self.closed:
            return
        if backlog(self.base_send) > LONGEST_BACKLOG:
            await self.end(TOO_SLOW)
            return
        group, number = message["group"], message["n"]
        if group not in self.heard:
            return
        missed = number > self.heard[group] + 1
        self.heard[group] = max(number, self.heard[group])
        if missed:
            await self._replay_group(group)
        else:
            await self.send(message["text"])

    # --- inside -------------------------------------------------------------------------------------------------------

    async def end(self, code: int) -> None:
        """Close with a code that live.js understands."""
        self.closed = True
        await self.close(code)

    async def _follow(self, wanted: dict[str, int]) -> None:
        for name in self.topics.keys() - wanted.keys():
            await self._leave(name)
        for name in wanted.keys() - self.topics.keys():
            if not await self._join(name):
                await self.end(NOT_ALLOWED)
                return
        self.cursors = wanted
        if self.topics:
            await relay.ready()
        for name in wanted:
            await self._replay(name)
        await self._say_where()

    async def _join(self, name: str) -> bool:
        topic = topics.of(name)
        groups = await in_thread(topic.groups, self.user, topics.number_of(name)) if topic else None
        if groups is None:
            return False
        self.topics[name] = []
        for group in groups:
            await self._join_group(name, group)
        return True

    async def _join_group(self, name: str, group: str) -> None:
        topic = topics.of(group)
        start = await in_thread(topic.head, group) if isinstance(topic, Log) else 0
        await self.channel_layer.group_add(group, self.channel_name)
        relay.join(group, self.loop, start)
        self.heard[group] = relay.sent[group]
        self.topics[name].append(group)

    async def _leave(self, name: str) -> None:
        for group in self.topics.pop(name):
            relay.leave(group, self.loop)
            self.heard.pop(group, None)
            await self.channel_layer.group_discard(group, self.channel_name)

    async def _replay(self, name: str) -> None:
        topic = topics.of(name)
        assert topic is not None  # only registered ones are joined
        frames = await in_thread(_replayed, topic, name, self.topics[name], self.cursors[name])
        for text in frames:
            await self.send(text)

    async def _replay_group(self, group: str) -> None:
        for name, groups in list(self.topics.items()):
            if group in groups:
                await self._replay(name)

    async def _say_where(self) -> None:
        """Only a relay that sees may say so: the page counts on it to call itself live."""
        if relay.is_fresh or not self.topics:
            # through the layer, so that it comes after the frames that wait there
            await self.channel_layer.send(self.channel_name, {"type": "live.tick", "event": relay.delivered})

    async def live_tick(self, message: dict[str, Any]) -> None:
        """Everything up to this event has been sent."""
        at = message["event"]
        for name, cursor in self.cursors.items():
            if not isinstance(topics.of(name), Log):
                self.cursors[name] = max(at, cursor)
        await self.send(json.dumps({"tick": {"event": at, "at": timezone.now().isoformat()}}))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            async with self.changing:
                for group in [
                    group for group, number in self.heard.items() if number < self.said.get(group, 0)
                ]:
                    self.heard[group] = self.said[group]  # the layer dropped the last ones
                    await self._replay_group(group)
                self.said = {group: relay.sent[group] for group in self.heard}
                await self._say_where()

    async def _check(self) -> None:
        """Is it still that person, and may they still see it all? Also keeps the memberships of the layer alive."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                self.user = await in_thread(people.signed_in, self.scope)
                if self.user is None:
                    await self.end(SIGNED_OUT)
                    return
                async with self.changing:
                    sees_all = all([await self._check_topic(name) for name in list(self.topics)])
                if not sees_all:
                    await self.end(NOT_ALLOWED)
                    return
            except Exception:
                logger.exception("A socket's permission could not be checked.")

    async def _check_topic(self, name: str) -> bool:
        topic = topics.of(name)
        groups = await in_thread(topic.groups, self.user, topics.number_of(name)) if topic else None
        if groups is None:
            return False
        if set(self.topics[name]) != set(groups):
            await self._leave(name)
            self.topics[name] = []
            for group in groups:
                await self._join_group(name, group)
            await self._replay(name)
        for group in groups:
            await self.channel_layer.group_add(group, self.channel_name)
        return True


def in_thread(function: Any, *args: Any) -> Any:
    """Run what queries in a thread of the pool, not in the one thread that all consumers would share."""
    return database_sync_to_async(function, thread_sensitive=False)(*args)


def _wanted(text: str | None) -> dict[str, int] | None:
    """The topics and cursors of a message; None where it is anything else."""
    if text is None or len(text.encode()) > LONGEST_MESSAGE:
        return None
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.keys() != {"follow"}:
        return None
    wanted = message["follow"]
    if not isinstance(wanted, dict) or len(wanted) > MOST_TOPICS:
        return None
    sound = all(type(cursor) is int and 0 <= cursor < 2**53 for cursor in wanted.values())
    return wanted if sound else None


def _replayed(topic: topics.Topic, name: str, groups: list[str], cursor: int) -> list[str]:
    try:
        return [frame.encode() for frame in topic.replay(name, groups, cursor)]
    except Exception:
        logger.exception("%s cannot be replayed.", name)
        return [Frame({"ring": [name]}).encode()]
