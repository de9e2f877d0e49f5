"""One run as it is known so far, put together from events and corrected by what `GET` says."""

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sessions.opencode.parts import PartSnapshot, Place, interrupted, of_error, of_part
from sessions.opencode.stream import Event

Json = dict[str, Any]
WRITE_SECONDS = 0.25  # one part is handed on at most four times a second


class Transcript:
    """The parts of one prompt, and which of them have changed since they were handed on."""

    def __init__(self, session_id: str, message_id: str) -> None:
        self.session_id = session_id
        self.message_id = message_id
        self.places = {session_id: Place(session_id)}
        self.progress_at = time.monotonic()
        self._infos: dict[str, Json] = {}
        self._parts: dict[str, Json] = {}
        self._changed: set[str] = set()  # ids of parts, and of messages with an error
        self._delivered: dict[str, PartSnapshot] = {}
        self._delivered_at: dict[str, float] = {}

    def apply(self, event: Event) -> None:
        """Take in one event; those of other prompts and sessions are passed over."""
        take = {
            "session.created": self._take_session,
            "session.updated": self._take_session,
            "message.updated": self._take_message,
            "message.part.updated": self._take_part,
            "message.part.delta": self._take_delta,
            "message.part.removed": self._take_removal,
        }.get(event.type)
        if take:
            take(event.properties)

    def follows(self, session_id: str) -> bool:
        """Whether this OpenCode session is ours: the conversation, or a sub-agent's of it."""
        return session_id in self.places

    def due(self) -> list[PartSnapshot]:
        """The changed parts that may be handed on now, in order. They count as handed on."""
        now = time.monotonic()
        ready = {name for name in self._changed if now - self._delivered_at.get(name, 0) >= WRITE_SECONDS}
        self._changed -= ready
        return self._hand_on(part for part in map(self._snapshot, ready) if part)

    def rest_seconds(self) -> float:
        """How long to wait until every part may be handed on again."""
        latest = max(self._delivered_at.values(), default=0.0)
        return max(0.0, latest + WRITE_SECONDS - time.monotonic())

    def settle(self, truth: list[PartSnapshot]) -> list[PartSnapshot]:
        """What is left to hand on so that the receiver has exactly `truth`: parts that differ, and removals of what is not in it."""
        known = {part.part_id for part in truth}
        gone = [replace(part, removed=True) for name, part in self._delivered.items() if name not in known]
        self._changed.clear()
        return self._hand_on([*truth, *gone])

    def cut_off(self) -> list[PartSnapshot]:
        """What is left to hand on when OpenCode is gone: all that still runs is interrupted."""
        return [*self.due(), *self._hand_on([interrupted(part) for part in self._delivered.values()])]

    def correct(self, messages: list[tuple[Place, Json]]) -> None:
        """Take in what `GET` says after a gap. Text that is still streaming is not in it: what is known of it stays."""
        for place, message in messages:
            self.places.setdefault(place.session_id, place)
            self._take_message({"info": message["info"]})
            for part in message["parts"]:
                self._take_part({"part": part})

    def call(self, call_id: str) -> Json:
        """The tool call with that id as `{"tool", "input"}`; empty where none is known."""
        found = (part for part in self._parts.values() if call_id and part.get("callID") == call_id)
        return next(
            ({"tool": part["tool"], "input": (part.get("state") or {}).get("input") or {}} for part in found),
            {},
        )

    def has_running_tool(self) -> bool:
        """Whether a tool runs that may take its time. A sub-agent may not: what it does shows by itself."""
        tools = (part for part in self._parts.values() if part["type"] == "tool" and part["tool"] != "task")
        return any(part["state"]["status"] == "running" for part in tools)

    def _take_session(self, properties: Json) -> None:
        info = properties.get("info") or {}
        parent = self.places.get(info.get("parentID") or "")
        if parent and info["id"] not in self.places:
            self.places[info["id"]] = Place(info["id"], parent.session_id, parent.depth + 1)

    def _take_message(self, properties: Json) -> None:
        info = properties["info"]
        if not self._is_ours(info):
            return
        news = info["id"] not in self._infos
        self._infos[info["id"]] = info
        if info.get("error"):
            self._changed.add(info["id"])
        if news:  # its parts may have come first
            self._changed |= {name for name, part in self._parts.items() if part["messageID"] == info["id"]}

    def _take_part(self, properties: Json) -> None:
        part = properties["part"]
        if not self.follows(part["sessionID"]):
            return
        old = self._parts.get(part["id"])
        if part["type"] in {"text", "reasoning"} and not (part.get("time") or {}).get("end"):
            part = {**part, "text": max(part.get("text") or "", (old or {}).get("text") or "", key=len)}
        if part != old:
            self._parts[part["id"]] = part
            self._changed.add(part["id"])
            self._note_progress(part)

    def _take_delta(self, properties: Json) -> None:
        part = self._parts.get(properties.get("partID", ""))
        if part is None or properties.get("field") != "text":
            return
        self._parts[part["id"]] = {**part, "text": (part.get("text") or "") + properties["delta"]}
        self._changed.add(part["id"])
        self._note_progress(part)

    def _take_removal(self, properties: Json) -> None:
        """A part was taken back; the receiver hears of it when the run settles."""
        name = properties.get("partID", "")
        self._parts.pop(name, None)
        self._changed.discard(name)

    def _note_progress(self, part: Json) -> None:
        """The start of a step is none: every retry starts one."""
        if part["type"] not in {"step-start", "retry"}:
            self.progress_at = time.monotonic()

    def _is_ours(self, info: Json) -> bool:
        return self.follows(info["sessionID"]) and info["id"] >= self.message_id

    def _snapshot(self, name: str) -> PartSnapshot | None:
        if name in self._infos:
            info = self._infos[name]
            return of_error(self.places[info["sessionID"]], info)
        part = self._parts.get(name)
        if part is None or part["messageID"] not in self._infos:
            return None
        info = self._infos[part["messageID"]]
        return of_part(self.places[info["sessionID"]], info, part)

    def _hand_on(self, parts: Iterable[PartSnapshot]) -> list[PartSnapshot]:
        """Those that are news, noted as handed on."""
        news = [part for part in parts if self._delivered.get(part.part_id) != part]
        for part in news:
            self._delivered[part.part_id] = part
            self._delivered_at[part.part_id] = time.monotonic()
        return sorted(news, key=lambda part: part.order)
