"""Between the agent and people while a session runs: its requests, its todo list, what the provider is retried for."""

import time
from dataclasses import asdict
from typing import Any

from sessions.ledger import POLL_SECONDS, Claim
from sessions.models import Request, Session
from sessions.models.session import State
from sessions.opencode.client import Client, OpenCodeError
from sessions.opencode.status import Status


class Desk:
    """`look` takes what the agent shows, `tick` hands over what people answered."""

    def __init__(self, claim: Claim, session: Session, client: Client) -> None:
        self.claim = claim
        self.session = session
        self.client = client
        self.answered = time.monotonic()

    def tick(self) -> None:
        """The claim's tick, and every half second the answers."""
        self.claim.tick()
        if self.session.state == State.WAITING and time.monotonic() - self.answered >= POLL_SECONDS:
            self.answered = time.monotonic()
            self._deliver()

    def look(self, status: Status) -> None:
        """Store what changed in what the agent shows."""
        todos = list(status.todos)
        notice = f"{status.retry.message} (retry {status.retry.attempt})"[:300] if status.retry else ""
        if todos != self.session.todos or notice != self.session.retry_notice:
            self.session.todos, self.session.retry_notice = todos, notice
            with self.claim.record():
                Session.objects.filter(pk=self.session.pk).update(todos=todos, retry_notice=notice)
                self.session.task.note("session.progressed", session_id=self.session.pk)
        asked = {(Request.Kind.PERMISSION.value, each.id): asdict(each) for each in status.permissions}
        asked |= {(Request.Kind.QUESTION.value, each.id): asdict(each) for each in status.questions}
        self._open(asked)

    def _open(self, asked: dict[tuple[str, str], dict[str, Any]]) -> None:
        """A row for each request that is new; the session waits while one is there."""
        known = set(self.session.requests.values_list("opencode_id", flat=True))
        fresh = {key: body for key, body in asked.items() if key[1] not in known}
        state = State.WAITING if asked else State.RUNNING
        if not fresh and state == self.session.state:
            return
        with self.claim.write():
            for (kind, opencode_id), body in fresh.items():
                request = self.session.requests.create(kind=kind, opencode_id=opencode_id, body=body)
                self.session.task.note(
                    "request.opened", session_id=self.session.pk, request=request.pk, kind=kind
                )
            if state != self.session.state:
                self.session.advance(state)

    def _deliver(self) -> None:
        waiting = self.session.requests.filter(state=Request.State.ANSWERED, delivered_at=None)
        for request in waiting:
            try:
                self._reply(request)
            except OpenCodeError as error:
                if error.status != 404:  # it is gone: the run ended, or it was answered before a crash
                    raise
            with self.claim.record():
                request.delivered()

    def _reply(self, request: Request) -> None:
        answer = request.answer or {}
        if request.kind == Request.Kind.PERMISSION:
            self.client.reply_permission(
                request.opencode_id, str(answer["reply"]), str(answer.get("message", ""))
            )
        elif answer.get("reject"):
            self.client.reject_question(request.opencode_id)
        else:
            self.client.reply_question(request.opencode_id, answer["answers"])
