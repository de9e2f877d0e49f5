"""What a run did, part by part: OpenCode's messages and parts turned into the snapshots that Studio stores."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sessions.opencode.client import Client

Json = dict[str, Any]

KINDS = {"text": "message", "step-start": "step", "step-finish": "step"}
LIVE_STATES = {"pending", "running"}


@dataclass(frozen=True)
class Place:
    """Where a message stands: its OpenCode session, that one's parent (a sub-agent's), and how deep it is (0: the conversation itself)."""

    session_id: str
    parent_session_id: str = ""
    depth: int = 0


@dataclass(frozen=True)
class PartSnapshot:
    """One part as it is now.

    `kind`: message, reasoning, tool, step, patch, file, compaction, agent, subtask, retry or error (an error of a whole message).
    `state`: pending, running, completed, error, or interrupted (it was cut off and will never end). `role`: user or assistant.
    `tokens` and `cost` (US dollars) stand on the step that ends an answer. `removed`: OpenCode took it back (a retry drops what was half said).
    """

    part_id: str
    message_id: str
    opencode_session_id: str
    parent_session_id: str
    depth: int
    role: str
    kind: str
    state: str
    tool: str = ""
    title: str = ""
    text: str = ""
    output: str = ""
    input: Json = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    cost: float = 0.0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    removed: bool = False

    @property
    def order(self) -> tuple[str, str]:
        """Its place in the run: by message, then by part."""
        return self.message_id, self.part_id


def snapshot(client: Client, session_id: str, message_id: str) -> list[PartSnapshot]:
    """The whole truth about one prompt, sub-agents included, in order. Raises OpenCodeError."""
    busy = set(client.status())
    return in_order(fetch(client, session_id, message_id), busy=busy)


def fetch(client: Client, session_id: str, message_id: str) -> list[tuple[Place, Json]]:
    """The messages `{"info", "parts"}` of one prompt, each with its place: `GET …/message`, also of every sub-agent."""
    found = [
        (Place(session_id), message) for message in own_messages(client.messages(session_id), message_id)
    ]
    if found:
        since = found[0][1]["info"]["time"]["created"]
        found += fetch_children(client, Place(session_id), message_id, since)
    return found


def fetch_children(client: Client, parent: Place, message_id: str, since: float) -> list[tuple[Place, Json]]:
    """What sub-agents below `parent` said after the prompt; `since` is its time in milliseconds."""
    found: list[tuple[Place, Json]] = []
    for child in client.children(parent.session_id):
        if child["time"]["updated"] < since:
            continue  # an earlier prompt's
        place = Place(child["id"], parent.session_id, parent.depth + 1)
        found += [
            (place, each) for each in client.messages(place.session_id) if each["info"]["id"] > message_id
        ]
        found += fetch_children(client, place, message_id, since)
    return found


def own_messages(messages: list[Json], message_id: str) -> list[Json]:
    """The prompt and its answers: from our message to the next prompt. What OpenCode itself says after a compaction is no new prompt."""
    start = next(
        (index for index, each in enumerate(messages) if each["info"]["id"] == message_id), len(messages)
    )
    own = messages[start : start + 1]
    for message in messages[start + 1 :]:
        if message["info"]["role"] == "user" and not is_synthetic(message):
            break
        own.append(message)
    return own


def is_synthetic(message: Json) -> bool:
    """Whether OpenCode wrote this user message itself (compaction, and the "continue" that follows it)."""
    return all(part["type"] == "compaction" or part.get("synthetic") for part in message["parts"])


def in_order(messages: list[tuple[Place, Json]], *, busy: set[str]) -> list[PartSnapshot]:
    """The snapshots of messages. Where the session is not busy any more, what still runs was interrupted."""
    parts = [part for place, message in messages for part in of_message(place, message)]
    settled = [part if part.opencode_session_id in busy else interrupted(part) for part in parts]
    return sorted(settled, key=lambda part: part.order)


def interrupted(part: PartSnapshot) -> PartSnapshot:
    return replace(part, state="interrupted") if part.state in LIVE_STATES else part


def of_message(place: Place, message: Json) -> list[PartSnapshot]:
    """A message's parts, and its error as one more."""
    info = message["info"]
    parts = [of_part(place, info, part) for part in message["parts"]]
    return [*parts, of_error(place, info)] if info.get("error") else parts


def of_error(place: Place, info: Json) -> PartSnapshot:
    """The error of a whole message. Its id sorts after every part's: theirs go on in hexadecimal digits."""
    error = info["error"]
    data = error.get("data") or {}
    return PartSnapshot(
        part_id=f"prt_zzzz_{info['id']}",
        message_id=info["id"],
        **place_of(place),
        role="assistant",
        kind="error",
        state="error",
        title=str(error.get("name", "")),
        text=str(data.get("message") or error.get("name", "")),
        metadata={name: data[name] for name in ("statusCode", "isRetryable") if name in data},
        started_at=moment(info["time"].get("created")),
        ended_at=moment(info["time"].get("completed")),
    )


def of_part(place: Place, info: Json, part: Json) -> PartSnapshot:
    """One part. OpenCode's times are milliseconds since 1970."""
    tool = part.get("state") if part["type"] == "tool" else None
    times = (tool or part).get("time") or {}
    return PartSnapshot(
        part_id=part["id"],
        message_id=part["messageID"],
        **place_of(place),
        role=info["role"],
        kind=KINDS.get(part["type"], str(part["type"])),
        state=str(tool["status"]) if tool else state_of(info, part),
        tool=str(part.get("tool", "")),
        title=str((tool or {}).get("title") or title_of(part)),
        text=str(part.get("text") or ""),
        output=output_of(tool or {}),
        input=dict((tool or {}).get("input") or {}),
        metadata=dict((tool or {}).get("metadata") or metadata_of(part)),
        tokens=tokens_of(part.get("tokens") or {}),
        cost=float(part.get("cost") or 0),
        started_at=moment(times.get("start")),
        ended_at=moment(times.get("end")),
    )


def place_of(place: Place) -> Json:
    return {
        "opencode_session_id": place.session_id,
        "parent_session_id": place.parent_session_id,
        "depth": place.depth,
    }


def state_of(info: Json, part: Json) -> str:
    """The state of a part that is no tool call: only an answer's text and reasoning take time."""
    streams = part["type"] in {"text", "reasoning"} and info["role"] == "assistant"
    return "running" if streams and not (part.get("time") or {}).get("end") else "completed"


def title_of(part: Json) -> str:
    match part["type"]:
        case "step-start":
            return "start"
        case "step-finish":
            return str(part.get("reason", ""))
        case "file":
            return str(part.get("filename") or part.get("url", ""))
    return str(part.get("description") or part.get("name") or "")


def output_of(tool: Json) -> str:
    """What the tool gave back, its error, or what it has printed so far."""
    return str(tool.get("output") or tool.get("error") or (tool.get("metadata") or {}).get("output") or "")


def metadata_of(part: Json) -> Json:
    names = ("files", "hash", "synthetic", "auto", "overflow", "attempt", "mime", "agent", "prompt")
    return {name: part[name] for name in names if name in part}


def tokens_of(tokens: Json) -> dict[str, int]:
    """OpenCode's token counts, flat. Input is without cached ones, output without reasoning."""
    if not tokens:
        return {}
    cache = tokens.get("cache") or {}
    counts = {name: int(tokens.get(name) or 0) for name in ("input", "output", "reasoning")}
    return {**counts, "cache_read": int(cache.get("read") or 0), "cache_write": int(cache.get("write") or 0)}


def moment(milliseconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC) if milliseconds else None
