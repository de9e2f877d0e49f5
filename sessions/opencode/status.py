"""What a run is doing now, beside its parts: for the page, and for whoever answers the agent."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sessions.opencode.parts import moment

Json = dict[str, Any]


@dataclass(frozen=True)
class Retry:
    """The provider failed, and OpenCode asks it again: attempt number (from 1), the provider's words, and when."""

    attempt: int
    message: str
    next_at: datetime | None


@dataclass(frozen=True)
class Silence:
    """Nothing new has come for a while: `level` is quiet or stalled, `stops_at` when the run is stopped if that goes on."""

    level: str
    since: datetime
    stops_at: datetime


@dataclass(frozen=True)
class Permission:
    """The agent asks whether it may. `session_id` is the OpenCode session that asks, which may be a sub-agent's.

    `permission` is bash, edit, external_directory, …; `always` are the patterns that a lasting yes would allow; `call` is the tool call that
    needs it, `{"tool", "input"}`, empty where it is not known.
    """

    id: str
    session_id: str
    permission: str
    patterns: tuple[str, ...]
    always: tuple[str, ...]
    metadata: Json = field(default_factory=dict)
    call: Json = field(default_factory=dict)

    @classmethod
    def of(cls, raw: Json, call: Json) -> "Permission":
        patterns, always = tuple(raw.get("patterns") or ()), tuple(raw.get("always") or ())
        metadata = raw.get("metadata") or {}
        return cls(raw["id"], raw["sessionID"], raw["permission"], patterns, always, metadata, call)


@dataclass(frozen=True)
class Question:
    """The agent asks people. `questions`: `[{"question", "header", "options": [{"label", "description"}], "multiple"?}]`."""

    id: str
    session_id: str
    questions: list[Json]

    @classmethod
    def of(cls, raw: Json) -> "Question":
        return cls(raw["id"], raw["sessionID"], raw["questions"])


@dataclass(frozen=True)
class Status:
    """`activity` is starting, working, retrying, waiting (for a person) or idle; `todos`: `[{"content", "status", "priority"}]`."""

    activity: str = "starting"
    retry: Retry | None = None
    silence: Silence | None = None
    todos: list[Json] = field(default_factory=list)
    permissions: list[Permission] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    @property
    def is_waiting(self) -> bool:
        return bool(self.permissions or self.questions)


def retry_of(status: Json) -> Retry | None:
    """The retry in an entry of `/session/status` or in the event `session.status`; None where there is none."""
    if status.get("type") != "retry":
        return None
    return Retry(
        int(status.get("attempt") or 0), str(status.get("message") or ""), moment(status.get("next"))
    )
