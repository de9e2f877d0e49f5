"""The same stream for scripts: server-sent events, each numbered, taken up again with `Last-Event-ID`.

A Django view would hold a thread for every client; these consumers hold a coroutine, and read by cursor: a client that
reads slowly makes them wait, and nothing is kept for it in memory.
"""

import asyncio
import json
import time
from typing import Any

from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import StopConsumer
from django.apps import apps
from django.http import QueryDict

from studio.live import origin, people
from studio.live.consumer import in_thread
from studio.live.relay import BELL, relay
from studio.live.wire import backlog

BATCH = 100
HEARTBEAT_SECONDS = 15.0
CHECK_SECONDS = 60.0
SLOW_BYTES = 256 * 1024  # that wait for the client before the stream pauses
SLOW_SECONDS = 30.0  # of pause before it is closed

Row = tuple[int, str, dict[str, Any]]  # id, event, data


class Stream(AsyncConsumer):
    """One `GET` that is answered row by row."""

    group = BELL

    def __init__(self) -> None:
        self.bell = asyncio.Event()
        self.work: asyncio.Task[None] | None = None
        self.loop = asyncio.get_running_loop()

    # --- what each stream says ----------------------------------------------------------------------------------------

    def sees(self) -> bool:
        """Whether the caller may see what the address names. Runs in a thread."""
        return True

    def start(self) -> int:
        """The cursor of a client that names none. Runs in a thread."""
        raise NotImplementedError

    def read(self, cursor: int) -> tuple[list[Row], int, bool]:
        """The rows behind the cursor, the cursor behind them, and whether that was the end. Runs in a thread."""
        raise NotImplementedError

    # --- the connection -----------------------------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self.work:
                self.work.cancel()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Without Channels' visit to the database thread."""
        await getattr(self, get_handler_name(message))(message)

    async def http_request(self, message: dict[str, Any]) -> None:
        """Answer apart from the inbox, which has to hear that the client left."""
        if not message.get("more_body") and self.work is None:
            self.work = asyncio.create_task(self._answer())

    async def http_disconnect(self, message: dict[str, Any]) -> None:
        """The client left, or the answer is complete."""
        raise StopConsumer

    async def live_frame(self, message: dict[str, Any]) -> None:
        """Something is new; what, the rows say."""
        self.bell.set()

    async def _answer(self) -> None:
        try:
            cursor = self._cursor()
        except ValueError:
            await self._refuse(
                422, "invalid", "It takes the id of an entry, a number.", {"after": "A number."}
            )
            return
        self.user = await in_thread(people.caller, self.scope)
        if not origin.host_is_known(self.scope):
            await self._refuse(400, "bad_request", "Studio does not answer to that host name.")
        elif self.user is None:
            await self._refuse(401, "not_signed_in", "Give a valid token: “Authorization: Bearer studio_…”.")
        elif not await in_thread(self.sees):
            await self._refuse(404, "not_found", "There is no such thing, or it is not yours to see.")
        else:
            await self._deliver(cursor)

    def _cursor(self) -> int | None:
        """What the client has seen: the header of one that comes back, else `after`."""
        query = QueryDict(self.scope.get("query_string", b""))
        given = origin.headers(self.scope, b"last-event-id") or query.getlist("after")[-1:]
        text = given[-1].strip() if given else ""
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 17):
            raise ValueError(text)
        return int(text)

    async def _deliver(self, cursor: int | None) -> None:
        await self.channel_layer.group_add(self.group, self.channel_name)
        relay.join(self.group, self.loop, cursor or 0)
        try:
            await self._start(200, b"text/event-stream; charset=utf-8")
            await self._write(": hello\n")
            await relay.ready()
            await self._rows(cursor if cursor is not None else await in_thread(self.start))
            await self._write("", more=False)
        finally:
            relay.leave(self.group, self.loop)
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def _rows(self, cursor: int) -> None:
        # comments end without a blank line: some clients take one for an event
        said_at = checked_at = time.monotonic()
        while True:
            self.bell.clear()
            rows, cursor, ended = await in_thread(self.read, cursor)
            if rows:
                await self._write("".join(_event(*row) for row in rows))
                said_at = time.monotonic()
            elif ended:
                await self._write("event: end\ndata: {}\n\n")
                return
            else:
                await self._wait(said_at + HEARTBEAT_SECONDS - time.monotonic())
            if time.monotonic() - said_at >= HEARTBEAT_SECONDS:
                await self._write(": alive\n")
                said_at = time.monotonic()
            if time.monotonic() - checked_at >= CHECK_SECONDS:
                checked_at = time.monotonic()
                if not await in_thread(self._still_sees):
                    return
            if not await self._client_reads():
                return

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.bell.wait(), max(seconds, 0.01))
        except TimeoutError:
            pass

    def _still_sees(self) -> bool:
        self.user = people.caller(self.scope)
        return self.user is not None and self.sees()

    async def _client_reads(self) -> bool:
        """Pause while too much waits for the client; False when it has not read for too long."""
        since = time.monotonic()
        while backlog(self.base_send) > SLOW_BYTES:
            if time.monotonic() - since > SLOW_SECONDS:
                return False
            await asyncio.sleep(0.1)
        return True

    async def _refuse(
        self, status: int, code: str, message: str, fields: dict[str, str] | None = None
    ) -> None:
        await self._start(status, b"application/json")
        await self._write(json.dumps({"error": code, "message": message, "fields": fields or {}}), more=False)

    async def _start(self, status: int, kind: bytes) -> None:
        headers = [(b"content-type", kind), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
        headers.append((b"x-content-type-options", b"nosniff"))
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def _write(self, text: str, *, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": text.encode(), "more_body": more})


class EventStream(Stream):
    """`GET /api/events?after=ID`: what happens in the projects that the caller sees; from now on without `after`."""

    def start(self) -> int:
        return relay.head

    def read(self, cursor: int) -> tuple[list[Row], int, bool]:
        head = relay.head  # not past it: an older one may still be committed
        events = apps.get_model("tasks.Event").objects.visible_to(self.user)
        found = list(events.filter(id__gt=cursor, id__lte=head).order_by("id")[:BATCH])
        behind = found[-1].pk if len(found) == BATCH else max(cursor, head)
        return [(event.pk, event.name, event.to_dict()) for event in found], behind, False


class ActivityStream(Stream):
    """`GET /api/sessions/{id}/activity?after=REV`: an entry each time it is written, and `end` after the last one."""

    @property
    def session_id(self) -> int:
        """The id in the address."""
        return int(self.scope["url_route"]["kwargs"]["pk"])

    @property
    def group(self) -> str:  # type: ignore[override]
        """The relay's name for it."""
        return f"session-{self.session_id}"

    def sees(self) -> bool:
        sessions = apps.get_model("agent_sessions.Session").objects.visible_to(self.user)
        return bool(sessions.filter(pk=self.session_id).exists())

    def start(self) -> int:
        return 0

    def read(self, cursor: int) -> tuple[list[Row], int, bool]:
        session = apps.get_model("agent_sessions.Session").objects.filter(pk=self.session_id).first()
        ended = session is None or not session.is_live  # before the rows: the last entry comes before the end
        entries = apps.get_model("agent_sessions.Activity").objects.filter(session_id=self.session_id)
        found = list(entries.filter(rev__gt=cursor).order_by("rev")[:BATCH])
        rows = [(entry.rev, "activity", entry.to_dict()) for entry in found]
        return rows, found[-1].rev if found else cursor, ended


def _event(number: int, name: str, data: dict[str, Any]) -> str:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
