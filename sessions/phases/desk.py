"""Between the agent and people while a session runs: its requests, its todo list, what the provider is retried for."""

import time
from dataclasses import asdict
from typing import Any

from django.conf import settings

from sessions.halts import Parked
from sessions.ledger import POLL_SECONDS, Claim
from sessions.models import Request, Session
from sessions.models.session import Silence, State
from sessions.opencode.client import Client, OpenCodeError
from sessions.opencode.status import Status
from sessions.recorder import clean

LONGEST_BODY = 100_000  # characters of one text in a request: a diff can be megabytes
MISSING_SECONDS = 5
REFUSED = "A person refused this. Find another way, or do without it and say so at the end."
DECLINED = "No answer: the person declined. Decide it sensibly yourself, and say so at the end."


class Desk:
    """`look` takes what the agent shows, `tick` hands over what people answered."""

    def __init__(self, claim: Claim, session: Session, client: Client) -> None:
        self.claim = claim
        self.session = session
        self.client = client
        self.asked: set[str] = set()  # what OpenCode waits for, by its ids
        self.missing: dict[str, float] = {}
        self.polled = self.heard = time.monotonic()

    def tick(self) -> None:
        """The claim's tick, and every half second the answers. Raises Parked where none has come for STUDIO_PARK_SECONDS."""
        self.claim.tick()
        now = time.monotonic()
        if self.session.state != State.WAITING or now - self.polled < POLL_SECONDS:
            return
        self.polled = now
        self._withdraw(now)
        if self._deliver():
            self.heard = now
        elif now - self.heard >= settings.STUDIO_PARK_SECONDS:
            raise Parked

    def look(self, status: Status) -> None:
        """Store what changed in what the agent shows."""
        todos = list(status.todos)
        notice = f"{status.retry.message} (retry {status.retry.attempt})"[:300] if status.retry else ""
        silence = status.silence
        shown = {
            "todos": todos,
            "retry_notice": notice,
            "silence": silence.level if silence else "",
            "silent_since": silence.since if silence else None,
            "stops_at": silence.stops_at if silence else None,
        }
        self._show(shown)
        asked = {(Request.Kind.PERMISSION.value, each.id): asdict(each) for each in status.permissions}
        asked |= {(Request.Kind.QUESTION.value, each.id): asdict(each) for each in status.questions}
        self._open(asked)

    def _show(self, shown: dict[str, Any]) -> None:
        """Write what has changed, with an event: cards and pages read it anew."""
        if all(getattr(self.session, name) == value for name, value in shown.items()):
            return
        stalls = shown["silence"] == Silence.STALLED != self.session.silence
        for name, value in shown.items():
            setattr(self.session, name, value)
        with self.claim.record():
            Session.objects.filter(pk=self.session.pk).update(**shown)
            if stalls:
                self.session.task.note(
                    "session.stalled",
                    session_id=self.session.pk,
                    phase=self.session.phase,
                    stops_at=shown["stops_at"].isoformat(),
                )
            else:
                self.session.task.note("session.progressed", session_id=self.session.pk)

    def _open(self, asked: dict[tuple[str, str], dict[str, Any]]) -> None:
        """A row for each request that is new; the session waits while one is there."""
        known = {request.opencode_id: request for request in self.session.requests.all()}
        fresh = {key: body for key, body in asked.items() if key[1] not in known}
        for key in [key for key, body in fresh.items() if self._stands_allowed(body, key[1], known)]:
            del fresh[key]
        self.asked = {opencode_id for _, opencode_id in asked}
        waits = asked or any(request.state == Request.State.OPEN for request in known.values())
        state = State.WAITING if waits else State.RUNNING
        if not fresh and state == self.session.state:
            return
        with self.claim.write():
            for (kind, opencode_id), body in fresh.items():
                request = self.session.requests.create(
                    kind=kind, opencode_id=opencode_id, body=clean(body, LONGEST_BODY)
                )
                self.session.task.note(
                    "request.opened", session_id=self.session.pk, request=request.pk, kind=kind
                )
            if state != self.session.state:
                self.session.advance(state)
        if fresh:
            self.heard = time.monotonic()

    def _stands_allowed(self, body: dict[str, Any], opencode_id: str, known: dict[str, Request]) -> bool:
        """Whether this was allowed once while no OpenCode was there to hear it: the answer stands, and is handed over now. Mostly a
        rule lets it pass (`permissions.granted`), but not every class knows rules by pattern."""
        leave = next((each for each in known.values() if each.is_leave_unused and each.allows(body)), None)
        if leave is None:
            return False
        del known[leave.opencode_id]
        known[opencode_id] = leave
        with self.claim.write():
            leave.comes_again(opencode_id)
        return True

    def _withdraw(self, now: float) -> None:
        """Close what OpenCode does not wait for any more: the answer to another request took it along, or its call was given up. An
        OpenCode that is ending shows none either, so it takes a while to believe."""
        for request in self.session.requests.filter(state=Request.State.OPEN):
            if request.opencode_id in self.asked:
                self.missing.pop(request.opencode_id, None)
            elif now - self.missing.setdefault(request.opencode_id, now) >= MISSING_SECONDS:
                with self.claim.write():
                    request.withdraw()
                    if not self.asked and not self.session.requests.filter(state=Request.State.OPEN).exists():
                        self.session.advance(State.RUNNING)

    def _deliver(self) -> bool:
        """Hand over the answers that OpenCode has not had; whether there were any."""
        answered = list(self.session.requests.filter(state=Request.State.ANSWERED, delivered_at=None))
        for request in answered:
            try:
                self._reply(request)
            except OpenCodeError as error:
                if error.kind in {"unreachable", "timeout", "server_error"}:
                    return True  # once more in a moment; whether OpenCode is gone, its follower finds out
                if error.kind != "not_found":  # it is gone: the run ended, or it was answered before a crash
                    raise
            with self.claim.record():
                request.delivered(Request.Delivery.REPLY)
        return bool(answered)

    def _reply(self, request: Request) -> None:
        answer = request.answer or {}
        if request.kind == Request.Kind.PERMISSION:
            reply = str(answer["reply"])
            # A refusal without a word would end the run.
            words = str(answer.get("message") or REFUSED) if reply == "reject" else ""
            self.client.reply_permission(request.opencode_id, reply, words)
        else:
            declined = [[DECLINED]] * len(request.body.get("questions") or [])
            self.client.reply_question(
                request.opencode_id, declined if answer.get("reject") else answer["answers"]
            )
