"""What pages hear of a session: its activity, entry by entry."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from sessions.models import Activity, Session
from studio.live.topics import LONGEST_FRAME, Frame, Log, number_of, ring

MOST_ROWS = 200  # in one look, and in one answer of `catch_up`
MOST_BYTES = 512 * 1024  # of an answer of `catch_up`, about
MOST_REPLAYED = 50  # a page that lacks more fetches them
FRAME_ROOM = LONGEST_FRAME - 1024  # bytes of entries in a frame
LOGS_IN_A_QUERY = 50


def route(event: Any) -> Iterable[tuple[str, str]]:
    """A session's own facts; an entry that the agent took back goes away."""
    if event.session_id is None:
        return
    entry = event.data.get("entry") if event.name == "session.entry_removed" else None
    yield f"session-{event.session_id}", f"activity-{entry}" if entry else f"session-{event.session_id}"


class SessionTopic(Log):
    """`session-5`, whose cursor is the `rev` of its entries."""

    def groups(self, user: Any, number: int) -> list[str] | None:
        seen = Session.objects.visible_to(user).filter(pk=number).exists()
        return [f"session-{number}"] if seen else None

    def head(self, group: str) -> int:
        newest = Activity.objects.filter(session=number_of(group)).order_by("-rev")
        return newest.values_list("rev", flat=True).first() or 0

    def read(self, cursors: dict[str, int]) -> Iterable[tuple[str, int, Frame]]:
        groups = list(cursors)
        for at in range(0, len(groups), LOGS_IN_A_QUERY):
            some = groups[at : at + LOGS_IN_A_QUERY]
            for session, entries in _behind({number_of(group): cursors[group] for group in some}).items():
                group = f"session-{session}"
                for frame in _frames(group, cursors[group], entries):
                    yield group, frame.body["to"], frame

    def frames(self, group: str, changed: dict[str, int]) -> Iterable[Frame]:
        gone = sorted(target for target in changed if target.startswith("activity-"))
        if gone:
            yield Frame({"topic": group, "gone": gone}, ring(group).body)
        if group in changed:
            yield ring(group)

    def replay(self, name: str, groups: list[str], cursor: int) -> Iterable[Frame]:
        rows = Activity.objects.filter(session=number_of(name), rev__gt=cursor).order_by("rev")
        entries = list(rows[: MOST_REPLAYED + 1])
        if len(entries) > MOST_REPLAYED:
            return [Frame({"topic": name, "from": cursor, "to": self.head(name)})]
        return _frames(name, cursor, entries)


@require_GET
@login_required
def catch_up(request: HttpRequest, pk: int) -> JsonResponse:
    """The entries behind `?after=REV`, as frames have them; on the last page with the ids of all there are."""
    session = get_object_or_404(Session.objects.visible_to(request.user), pk=pk)
    after = number_of(f"after-{request.GET.get('after', '0')}")
    entries: list[dict[str, Any]] = []
    size, more = 0, False
    for entry in session.activity.filter(rev__gt=after).order_by("rev")[: MOST_ROWS + 1]:
        more = len(entries) == MOST_ROWS or size > MOST_BYTES
        if more:
            break
        entries.append(_entry(entry))
        size += len(entries[-1]["html"])
    to = entries[-1]["rev"] if entries else after
    answer = {"topic": f"session-{pk}", "from": after, "to": to, "entries": entries, "more": more}
    if not more:
        answer["ids"] = [f"activity-{number}" for number in session.activity.values_list("pk", flat=True)]
    return JsonResponse(answer, headers={"Cache-Control": "no-store"})


def _behind(cursors: dict[int, int]) -> dict[int, list[Activity]]:
    """The entries behind each session's cursor, in the order they were written."""
    wanted = Q()
    for session, cursor in cursors.items():
        wanted |= Q(session=session, rev__gt=cursor)
    found: dict[int, list[Activity]] = defaultdict(list)
    for entry in Activity.objects.filter(wanted).order_by("rev")[:MOST_ROWS]:
        found[entry.session_id].append(entry)
    return found


def _frames(group: str, cursor: int, entries: list[Activity]) -> Iterable[Frame]:
    """The entries in as few frames as hold them; one that is too long for any is named only, and fetched."""
    parts: list[dict[str, Any]] = []
    size = 0
    start = to = cursor
    for entry in entries:
        part = _entry(entry)
        length = len(json.dumps(part, ensure_ascii=False).encode())
        if parts and size + length > FRAME_ROOM:
            yield _frame(group, start, to, parts)
            parts, size, start = [], 0, to
        parts.append(part)
        size, to = size + length, entry.rev
    if parts:
        yield _frame(group, start, to, parts)


def _frame(group: str, start: int, to: int, parts: list[dict[str, Any]]) -> Frame:
    where = {"topic": group, "from": start, "to": to}
    return Frame(where | {"entries": parts}, where)


def _entry(entry: Activity) -> dict[str, Any]:
    html = render_to_string("sessions/_entry.html", {"entry": entry})
    return {"id": f"activity-{entry.pk}", "rev": entry.rev, "seq": entry.seq, "html": html.strip()}
