"""Follows one prompt to its end: hands on what changes, and says how it ended.

It runs in the caller's thread and never waits longer than a quarter of a second without calling `tick`.
"""

import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from sessions.opencode.client import Client, OpenCodeError, sound
from sessions.opencode.limits import USUAL, Limits
from sessions.opencode.outcome import Outcome, explain, explain_retry, failed, judge
from sessions.opencode.parts import PartSnapshot, Place, fetch, in_order
from sessions.opencode.patience import WAIT_SECONDS, patiently
from sessions.opencode.pulse import ServerGone
from sessions.opencode.status import Permission, Question, Retry, Status, retry_of
from sessions.opencode.stream import Event, EventStream, Reconnected
from sessions.opencode.transcript import Transcript
from sessions.reasons import Reason

Json = dict[str, Any]
T = TypeVar("T")
Messages = list[tuple[Place, Json]]

BURST = 500  # events taken in one round
RINGS = ("permission.", "question.", "session.idle", "session.error", "session.compacted")


def follow(
    client: Client,
    stream: EventStream,
    session_id: str,
    message_id: str,
    *,
    tick: Callable[[], None],
    on_change: Callable[[list[PartSnapshot]], None],
    on_status: Callable[[Status], None] = lambda status: None,
    gives_up: Callable[[], bool] = lambda: False,
    is_cut: Callable[[], bool] = lambda: False,
    limits: Limits = USUAL,
) -> Outcome:
    """Follow the prompt `message_id` until it ends. Open (or `clear`) `stream` before the prompt is sent.

    `gives_up` is asked while the provider is retried: whether to end that now; `is_cut` while anything runs, and the outcome is then
    `aborted`. When it returns, `on_change` has had exactly what `snapshot` returns (parts that OpenCode took back came with `removed`). What `tick`
    and the callbacks raise passes through and leaves the run as it is. A failure to reach OpenCode is an outcome, not an exception, and
    so is ServerGone from `tick`.
    """
    follower = Follower(
        client,
        stream,
        Transcript(session_id, message_id),
        tick,
        on_change,
        on_status,
        gives_up,
        limits,
        is_cut,
    )
    try:
        return follower.run()
    finally:
        follower.close()


class Follower:
    """The loop of `follow`, with what it remembers."""

    def __init__(
        self,
        client: Client,
        stream: EventStream,
        transcript: Transcript,
        tick: Callable[[], None],
        on_change: Callable[[list[PartSnapshot]], None],
        on_status: Callable[[Status], None],
        gives_up: Callable[[], bool],
        limits: Limits,
        is_cut: Callable[[], bool] = lambda: False,
    ) -> None:
        self.client, self.stream, self.transcript, self.limits = client, stream, transcript, limits
        self.tick, self.on_change, self.on_status, self.gives_up = tick, on_change, on_status, gives_up
        self.is_cut = is_cut
        self.session_id, self.message_id = transcript.session_id, transcript.message_id
        self.status = Status()
        self.error: Json | None = (
            None  # the last `session.error`: all that is left of a run that never had an answer
        )
        self.messages: Messages = []
        self.asked: dict[str, Json] = {}  # the permissions that wait, by id, as the events tell them
        now = time.monotonic()
        self.started_at = self.judged_at = self.reached_at = now
        self.retrying_since: float | None = None
        self.idle_since: float | None = None
        self.has_begun = False  # an abort before that would stop nothing, and the run begin after it
        self.poll_at = now
        self.has_gap = True  # what came before this call
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="opencode-poll")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def run(self) -> Outcome:
        try:
            while True:
                self._take_events()
                self._hand_on()
                outcome = self._poll() or self._overdue()
                if outcome:
                    return self._finish(outcome)
        except ServerGone as gone:
            if parts := self.transcript.cut_off():
                self.on_change(parts)
            return replace(failed(Reason.SERVER_DIED, str(gone)), **self._spent())

    # --- events ---------------------------------------------------------------------------------------------------

    def _take_events(self) -> None:
        """Wait a moment for an event, then take in what is there."""
        self.tick()
        try:
            self._take(self.stream.queue.get(timeout=WAIT_SECONDS))
            for _ in range(BURST):
                self._take(self.stream.queue.get_nowait())
        except queue.Empty:
            pass

    def _take(self, event: Event | Reconnected) -> None:
        if isinstance(event, Reconnected):
            self._note_gap()
            return
        try:
            self._take_in(event)
        except (LookupError, TypeError, AttributeError):  # not as OpenCode writes it; `GET` has it right
            self._note_gap()

    def _note_gap(self) -> None:
        self.has_gap = True
        self.poll_at = 0

    def _take_in(self, event: Event) -> None:
        self.transcript.apply(event)
        if event.type == "permission.asked":
            self.asked[event.properties["id"]] = event.properties
        elif event.type == "permission.replied":
            self.asked.pop(event.properties.get("requestID", ""), None)
        if not self.transcript.follows(str(event.properties.get("sessionID", ""))):
            return
        if event.type.startswith(RINGS):
            self.poll_at = 0
        if event.properties["sessionID"] == self.session_id:
            self._take_status(event)

    def _take_status(self, event: Event) -> None:
        """What an event of the conversation itself says beside its parts."""
        match event.type:
            case "message.updated" if event.properties["info"]["id"] == self.message_id:
                self.error = None  # what came before it was another prompt's
            case "session.error":
                self.error = event.properties.get("error")
            case "todo.updated":
                self._tell(todos=event.properties["todos"])
            case "session.status" if event.properties["status"]["type"] != "idle":
                self._note_activity(event.properties["status"])

    def _note_activity(self, raw: Json) -> None:
        retry = retry_of(raw)
        self.idle_since, self.has_begun = None, True
        if retry is None and self.retrying_since and self.transcript.progress_at < self.retrying_since:
            retry = self.status.retry  # the next attempt is under way, and nothing has come of it yet
        if retry is None:
            self.retrying_since = None
        elif self.retrying_since is None:
            self.retrying_since = time.monotonic()
        self._tell(retry=retry)

    def _tell(self, **changes: Any) -> None:
        """Hand on the status if it is another one."""
        status = replace(self.status, **changes)
        activity = "waiting" if status.is_waiting else "retrying" if status.retry else "working"
        status = replace(status, activity=changes.get("activity", activity))
        if status != self.status:
            self.status = status
            self.on_status(status)

    def _hand_on(self) -> None:
        if parts := self.transcript.due():
            self.on_change(parts)

    # --- the truth ------------------------------------------------------------------------------------------------

    def _poll(self) -> Outcome | None:
        """Ask OpenCode how things stand, when it is time; the outcome when the run is over."""
        if time.monotonic() < self.poll_at:
            return None
        self.poll_at = time.monotonic() + self.limits.poll_seconds
        busy = self._ask(self.client.status)
        if busy is None:
            return None
        if self.has_gap:
            self._fill_gap()
        self._look_for_requests()
        if entry := busy.get(self.session_id):
            self._note_activity(entry)
            return None
        return None if self.status.is_waiting else self._look_at_idle()

    def _fill_gap(self) -> None:
        messages = self._ask(self._fetch)
        if messages is not None:
            self.has_gap = False
            self.transcript.correct(messages)
            self._tell(todos=self._ask(lambda: self.client.todo(self.session_id)) or self.status.todos)

    def _look_for_requests(self) -> None:
        permissions, questions = self._permissions(), self._ask(self.client.questions)
        if permissions is None or questions is None:
            return
        follows = self.transcript.follows
        if not all(follows(raw["sessionID"]) for raw in [*permissions, *questions]):
            self._fill_gap()  # a sub-agent's whose beginning the stream has not told
        was_waiting = self.status.is_waiting
        known = {each.id: each for each in self.status.permissions}
        self._tell(
            permissions=[
                known.get(raw["id"]) or Permission.of(raw, self._call_of(raw))
                for raw in permissions
                if follows(raw["sessionID"])
            ],
            questions=[Question.of(raw) for raw in questions if follows(raw["sessionID"])],
        )
        if was_waiting or self.status.is_waiting:
            self.transcript.progress_at = time.monotonic()  # a person's time is not the agent's

    def _permissions(self) -> list[Json] | None:
        """Those that wait; None when there was no answer. OpenCode refuses to list any (400) while it waits for leave to fetch a page
        without a time limit: then it is what the events have told."""
        try:
            listed = self._wait_for(self.client.permissions)
        except OpenCodeError as error:
            if error.kind == "bad_request":
                return list(self.asked.values())
            self._note_failure(error)
            return None
        self.asked = {raw["id"]: raw for raw in listed}
        return listed

    def _call_of(self, raw: Json) -> Json:
        return self.transcript.call(str((raw.get("tool") or {}).get("callID", "")))

    def _look_at_idle(self) -> Outcome | None:
        """OpenCode says that nothing runs: over, not begun, or between two steps (a compaction). Only success is believed at once."""
        messages = self._ask(self._fetch)
        if messages is None:
            return None
        self.messages = messages
        answers = [
            each for place, each in messages if place.depth == 0 and each["info"]["role"] == "assistant"
        ]
        outcome = judge(answers)
        if outcome.reason == Reason.NO_START and self.error:
            outcome = never_began(self.error)
        if outcome.is_completed:
            return outcome
        now = time.monotonic()
        self.idle_since = self.idle_since or now
        patience = self.limits.start_seconds if outcome.reason == Reason.NO_START and not self.error else 1.0
        self.poll_at = min(self.poll_at, now + 0.5)
        return self._with_retry_reason(outcome) if now - self.idle_since >= patience else None

    def _with_retry_reason(self, outcome: Outcome) -> Outcome:
        """A run that ended during a retry carries no error: the provider's last words are the reason."""
        retry = self.status.retry
        return (
            failed(explain_retry(retry.message), retry.message)
            if retry and outcome.reason == Reason.ABORTED
            else outcome
        )

    def _overdue(self) -> Outcome | None:
        """The outcome of a run that has taken too long in one way or another."""
        now, limits, retry = time.monotonic(), self.limits, self.status.retry
        if self.has_begun and self.is_cut():
            return failed(Reason.ABORTED, "A person interrupted it.")
        if self.status.is_waiting:  # a person's time is not the agent's
            self.started_at += now - self.judged_at
        self.judged_at = now
        if now - self.started_at > limits.total_seconds:
            return failed(Reason.DEADLINE, f"The run took longer than {limits.total_seconds:g} s.")
        if self.status.is_waiting:
            self._tell(silence=None)
            return None
        most = limits.tool_seconds if self.transcript.has_running_tool() else limits.progress_seconds
        silent = now - self.transcript.progress_at
        if retry and (silent > most or self._retried_enough(retry, now)):
            words = f"{retry.message} (asked {retry.attempt} times)"
            return replace(failed(explain_retry(retry.message), words), again_at=retry.next_at)
        if silent > most:
            return failed(Reason.STALLED, f"Nothing new for {most:g} s.")
        rest = limits.total_seconds - (now - self.started_at)
        self._tell(silence=limits.silence(silent, most, rest, self.status.silence))
        return None

    def _retried_enough(self, retry: Retry, now: float) -> bool:
        """Too often, too long, not before too long a time, or others have had the same."""
        limits = self.limits
        wait = (retry.next_at - datetime.now(UTC)).total_seconds() if retry.next_at else 0
        too_long = now - (self.retrying_since or now) > limits.retry_seconds or wait > limits.retry_seconds
        return retry.attempt > limits.retries or too_long or self.gives_up()

    # --- the end --------------------------------------------------------------------------------------------------

    def _finish(self, outcome: Outcome) -> Outcome:
        """Stop what still runs, hand on the rest of the truth, and sum up."""
        if not outcome.is_completed:
            self._stop()
        self.messages = self._insist(self._fetch)
        busy = set(self._insist(self.client.status))
        time.sleep(self.transcript.rest_seconds())
        if parts := self.transcript.settle(in_order(self.messages, busy=busy)):
            self.on_change(parts)
        todos = self._insist(lambda: self.client.todo(self.session_id))
        self._tell(activity="idle", retry=None, silence=None, permissions=[], questions=[], todos=todos)
        return replace(outcome, **self._spent())

    def _stop(self) -> None:
        """Abort the run, and wait until OpenCode says that it is over."""
        self._insist(lambda: self.client.abort(self.session_id))
        deadline = time.monotonic() + 15
        while self.session_id in self._insist(self.client.status) and time.monotonic() < deadline:
            self._pause()

    def _spent(self) -> Json:
        """Tokens and cost of all steps, sub-agents included."""
        steps = [part for part in in_order(self.messages, busy=set()) if part.kind == "step"]
        names = ("input", "output", "reasoning", "cache_read", "cache_write")
        tokens = {name: sum(step.tokens.get(name, 0) for step in steps) for name in names}
        return {"tokens": tokens, "cost": sum(step.cost for step in steps)}

    # --- calls ----------------------------------------------------------------------------------------------------

    def _fetch(self) -> Messages:
        return fetch(self.client, self.session_id, self.message_id)

    def _insist(self, call: Callable[[], T]) -> T:
        """The answer to a call, repeated until there is one. Raises ServerGone when OpenCode is given up."""
        while True:
            try:
                return self._wait_for(call)
            except OpenCodeError as error:
                self._note_failure(error)
                self._pause()

    def _ask(self, call: Callable[[], T]) -> T | None:
        """The answer to a call; None when there was none this time. Raises ServerGone as `_insist` does."""
        try:
            return self._wait_for(call)
        except OpenCodeError as error:
            self._note_failure(error)
            return None

    def _wait_for(self, call: Callable[[], T]) -> T:
        """Run a call in the other thread, so that `tick` goes on meanwhile."""
        answer = patiently(self._pool, partial(sound, call), self.tick)
        self.reached_at = time.monotonic()
        return answer

    def _pause(self) -> None:
        self.tick()
        time.sleep(WAIT_SECONDS)

    def _note_failure(self, error: OpenCodeError) -> None:
        patience = self.limits.server_seconds if error.kind == "unreachable" else self.limits.answer_seconds
        if time.monotonic() - self.reached_at > patience:
            raise ServerGone(f"OpenCode does not answer any more ({error}).")


def never_began(error: Json) -> Outcome:
    """The outcome of a prompt that no answer followed, by OpenCode's error. An unknown agent shows as nothing but that."""
    reason, detail = explain(error)
    return failed(Reason.NO_START if reason == Reason.UNKNOWN else reason, detail)
