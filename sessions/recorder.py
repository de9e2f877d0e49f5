"""Writes what the agent does into Activity: one row a part, in OpenCode's own order, each write raising the session's `rev`."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from sessions.ledger import Claim
from sessions.models import Activity, Session
from sessions.opencode.parts import PartSnapshot
from studio import crash

CONTENT = (
    "message_id", "opencode_session_id", "depth", "kind", "tool", "state", "title", "input", "output", "text",
    "metadata", "tokens", "cost", "started_at", "ended_at",
)  # fmt: skip

LONGEST_TEXT = 1_000_000  # characters


class Recorder:
    """The one writer of a session's activity, under its claim; not `is_agent`: what Studio itself runs, which is no sign of life of an agent."""

    def __init__(self, claim: Claim, session: Session, *, is_agent: bool = True) -> None:
        self.claim = claim
        self.is_agent = is_agent
        self.session = session
        self.rev = session.rev
        self.rows: dict[str, Activity] = {row.part_id: row for row in session.activity.all()}
        self.order: list[tuple[str, str]] = [(row.message_id, row.part_id) for row in self.rows.values()]
        self.order.sort()

    def write(self, parts: Iterable[PartSnapshot]) -> None:
        """Insert the parts that are new and update the ones that changed, in one transaction."""
        changed: dict[str, Activity] = {}
        fresh: list[Activity] = []
        newest = {
            part.part_id: part for part in parts
        }  # a part may come more than once, the last time as removed
        gone = [part_id for part_id, part in newest.items() if part.removed]
        for part_id, part in newest.items():
            if part.removed:
                continue
            row = self.rows.get(part_id)
            if row is None:
                fresh.append(self._insert(part, changed))
            elif self._differs(row, part):
                self._copy(row, part)
                changed[part_id] = row
        self._save(fresh, changed)
        self._remove(gone)

    def settle(self, parts: list[PartSnapshot]) -> None:
        """Make the rows equal to `parts`, which is all that OpenCode has of this session."""
        self.write(parts)
        theirs = {part_id for part_id, row in self.rows.items() if row.opencode_session_id}
        self._remove(theirs - {part.part_id for part in parts})

    def _remove(self, part_ids: Iterable[str]) -> None:
        """OpenCode took parts back: a retry of the provider drops what was half said. What follows them moves up."""
        gone = [self.rows.pop(part_id) for part_id in list(part_ids) if part_id in self.rows]
        if not gone:
            return
        self.order = [key for key in self.order if key[1] in self.rows]
        moved = {}
        for seq, (_, part_id) in enumerate(self.order, start=1):
            if self.rows[part_id].seq != seq:
                self.rows[part_id].seq = seq
                moved[part_id] = self.rows[part_id]
        with self.claim.record():
            for row in gone:
                Activity.objects.filter(pk=row.pk).delete()
                self.session.task.note("session.entry_removed", session_id=self.session.pk, entry=row.pk)
            self._save([], moved)

    def _insert(self, part: PartSnapshot, changed: dict[str, Activity]) -> Activity:
        key = (part.message_id, part.part_id)
        place = bisect_right(self.order, key)
        self.order.insert(place, key)
        row = Activity(session=self.session, part_id=part.part_id, seq=place + 1)
        self._copy(row, part)
        self.rows[part.part_id] = row
        for _, later in self.order[place + 1 :]:
            self.rows[later].seq += 1
            changed[later] = self.rows[later]
        return row

    def _differs(self, row: Activity, part: PartSnapshot) -> bool:
        values = _content(part)
        return any(getattr(row, name) != values[name] for name in CONTENT)

    def _copy(self, row: Activity, part: PartSnapshot) -> None:
        for name, value in _content(part).items():
            setattr(row, name, value)

    def _save(self, fresh: list[Activity], changed: dict[str, Activity]) -> None:
        if not fresh and not changed:
            return
        made = {id(row) for row in fresh}
        updates = [row for row in changed.values() if id(row) not in made]
        written = [*updates, *fresh]
        rev = self.rev + len(written)
        for number, row in enumerate(written, start=self.rev + 1):
            row.rev = number
        with self.claim.record():
            Activity.objects.bulk_create(fresh)
            Activity.objects.bulk_update(updates, ["seq", "rev", *CONTENT])
            Session.objects.filter(pk=self.session.pk).update(
                rev=rev, active_at=timezone.now(), **self._summary(written)
            )
        self.rev = rev
        self.session.rev = rev
        if self.is_agent:
            self.claim.alive()
        crash.point("part-recorded")

    def _summary(self, written: list[Activity]) -> dict[str, Any]:
        """What the card and the API say of the session as a whole."""
        summary: dict[str, Any] = {}
        telling = [row for row in written if row.kind in {Activity.Kind.TOOL, Activity.Kind.MESSAGE}]
        if telling:
            summary["doing"] = headline(max(telling, key=lambda row: row.seq))
        if any(row.kind == Activity.Kind.STEP for row in written):
            summary |= self._spent()
        return summary

    def _spent(self) -> dict[str, Any]:
        tokens: dict[str, int] = {}
        cost = 0.0
        for row in self.rows.values():
            cost += float(row.cost)
            for name, count in row.tokens.items():
                if isinstance(count, int):
                    tokens[name] = tokens.get(name, 0) + count
        return {"tokens": tokens, "cost": round(cost, 6)}


def headline(row: Activity) -> str:
    """What the agent does, in a line: `bash pytest -q`, or the beginning of what it says."""
    if row.kind == Activity.Kind.TOOL:
        argument = row.title or next((value for value in row.input.values() if isinstance(value, str)), "")
        return f"{row.tool} {argument}".strip()[:200]
    return " ".join(row.text.split())[:200]


def _content(part: PartSnapshot) -> dict[str, Any]:
    values = {name: clean(getattr(part, name)) for name in CONTENT}
    values["cost"] = round(float(values["cost"] or 0), 6)
    if part.role == "user" and part.kind == Activity.Kind.MESSAGE:
        values["kind"] = Activity.Kind.PROMPT
    return values


def clean(value: Any, longest: int = LONGEST_TEXT) -> Any:
    """Agent output as a database takes it: PostgreSQL refuses NUL, no encoding has lone surrogates, and a text has an end."""
    if isinstance(value, str):
        value = value.replace("\x00", "\N{REPLACEMENT CHARACTER}")
        value = value.encode("utf-8", "replace").decode()
        return value if len(value) <= longest else f"{value[:longest]}\n[cut at {longest} characters]"
    if isinstance(value, dict):
        return {str(clean(name)): clean(each, longest) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [clean(each, longest) for each in value]
    return value
