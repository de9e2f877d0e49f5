"""The ledger: who may work on an attempt. One owner at a time by compare-and-swap, fenced, with a heartbeat.

A claim raises the attempt's `fence`; every write of the owner is conditional on it, so that an owner who was given up
for dead can write nothing. django-q2 only rings: what is claimable stands here.
"""

import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from sessions.admission import admitted
from sessions.halts import DiskFull, Drained, LeaseLost, Paused, PutOff, Stopped
from sessions.models import Attempt, Breaker, Pause, Session
from sessions.models.attempt import Lease
from sessions.models.pause import Running
from sessions.models.session import State
from sessions.reasons import Reason
from studio import crash, database, disk, drain, processes, queue
from tasks.models import Project, Task

log = logging.getLogger(__name__)

MOST_TRIES = 3
POLL_SECONDS = 0.5


@dataclass
class Claim:
    """An attempt that this process works on, until it is released, handed back or lost."""

    attempt: Attempt
    owner: str
    fence: int
    beaten: float = field(default_factory=time.monotonic)
    polled: float = 0.0
    away_since: float = 0.0  # when the database could first not be used, by the monotonic clock

    @property
    def held(self) -> "QuerySet[Attempt]":
        """The attempt's row, as long as this claim holds it."""
        return Attempt.objects.filter(
            pk=self.attempt.pk, lease=Lease.CLAIMED, owner=self.owner, fence=self.fence
        )

    def tick(self) -> None:
        """Beat and look for a reason to stop, each when due. Call it from every wait, five times a second.

        Raises LeaseLost, Stopped, Drained, Paused or DiskFull. While the database cannot be used the agent goes on, for
        STUDIO_DATABASE_SECONDS.
        """
        now = time.monotonic()
        with self._while_the_database_is_away():
            if now - self.polled >= POLL_SECONDS:
                self.polled = now
                self._poll()
        self.keep_alive()

    def keep_alive(self) -> None:
        """Beat when it is due, for work that is not to be stopped half-way. Raises LeaseLost."""
        if not self.beat():
            raise LeaseLost

    @contextmanager
    def _while_the_database_is_away(self) -> Iterator[None]:
        """Go on for STUDIO_DATABASE_SECONDS."""
        try:
            yield
        except database.AWAY:
            now = time.monotonic()
            self.away_since = self.away_since or now
            if connection.in_atomic_block or now - self.away_since > settings.STUDIO_DATABASE_SECONDS:
                raise
            connection.close()

    def beat(self) -> bool:
        """Say that the owner lives, when due; False where it is known to own the attempt no more."""
        now = time.monotonic()
        owns = True
        if now - self.beaten >= settings.STUDIO_BEAT_SECONDS:
            with self._while_the_database_is_away():
                owns = bool(self.held.update(beat=F("beat") + 1))
                self.beaten, self.away_since = now, 0.0
        return owns

    def _poll(self) -> None:
        row = self.held.values_list("cancel_requested_at", flat=True)
        state = list(row)
        if not state:
            raise LeaseLost
        if state[0] is not None:
            raise Stopped
        if drain.has_begun():
            raise Drained
        if self._pauses().filter(running=Running.INTERRUPT).exists():
            raise Paused
        if disk.is_full(self.attempt.task.project.path):
            raise DiskFull

    @contextmanager
    def write(self) -> Iterator[None]:
        """A transaction in which this claim is known to hold. It locks the task, then the attempt, as people's verbs do."""
        with database.lasting_transaction(self._hold_with_task):
            self.attempt.refresh_from_db(fields=["status", "phase", "rounds", "base_oid", "head_oid"])
            yield

    @contextmanager
    def record(self) -> Iterator[None]:
        """Like `write`, for entries of the session alone: it leaves the task to people."""
        with database.lasting_transaction(self._hold):
            yield

    def _hold_with_task(self) -> None:
        self.attempt.task.lock()
        self._hold()

    def _hold(self) -> None:
        if not self.held.update(claimed_at=F("claimed_at")):
            raise LeaseLost

    def alive(self) -> None:
        """Note that the agent did something: the tries count from here."""
        self.held.filter(tries__gt=1).update(tries=1)

    def next_session(self) -> Session | None:
        """The session to work on now, if there is one; attempt, task and project are read afresh for it. Raises Paused."""
        self.attempt = Attempt.objects.select_related("task__project").get(pk=self.attempt.pk)
        following = self.attempt.sessions.filter(state=State.QUEUED).first()
        if following is not None and self._pauses().exists():
            raise Paused
        return following

    def _pauses(self) -> QuerySet[Pause]:
        return Pause.objects.over(self.attempt.task.project_id)

    def release(self) -> bool:
        """Give the attempt back with nothing to run; False where a person has queued a session meanwhile."""
        crash.point("before-release")
        with self.write():
            if self.attempt.live_session is not None:
                return False
            stopping = Attempt.objects.filter(pk=self.attempt.pk).exclude(cancel_requested_at=None).first()
            self._leave()
            if stopping is not None:
                self.attempt.task.stopped(stopping.stop_verb)
        return True

    def finish_stop(self) -> None:
        """Its processes are gone: write what the person asked for."""
        with self.write():
            verb = Attempt.objects.values_list("stop_verb", flat=True).get(pk=self.attempt.pk) or "cancel"
            live = self.attempt.live_session
            if live is not None:
                end_session(live, State.CANCELLED, Reason.CANCELLED)
            self._leave()
            self.attempt.task.stopped(verb)

    def hand_back(self, reason: Reason = Reason.STUDIO_STOPPED) -> None:
        """Studio stops, is paused or has no room: the session is interrupted, whoever claims next goes on with it; the try does not count."""
        with self.write():
            live = self.attempt.live_session
            self._leave(tries=0)
            if live is not None:
                interrupt(self.attempt, live, reason)
                # It was begun before those of its project that still wait: it comes before them again.
                offered = Attempt.objects.filter(pk=self.attempt.pk, lease=Lease.CLAIMABLE)
                offered.update(place=self.attempt.stands_at)

    def rest(self) -> None:
        """Nothing of it runs any more: leave it to the person whose answer it waits for, or to their stop."""
        with self.write():
            live = self.attempt.live_session
            if Attempt.objects.filter(pk=self.attempt.pk).exclude(cancel_requested_at=None).exists():
                self.finish_stop()
            elif live is not None:
                cut_off(live)
                self._leave()
                self.attempt.rest()

    def put_off(self, off: PutOff) -> None:
        """Nothing of it runs any more: the session is interrupted, and the next one waits for its provider; the try does not count."""
        with self.write():
            if Attempt.objects.filter(pk=self.attempt.pk).exclude(cancel_requested_at=None).exists():
                self.finish_stop()
                return
            interrupt(self.attempt, off.session, off.reason, off.detail)
            now = timezone.now()
            later = now + timedelta(seconds=off.seconds) if off.seconds else None
            fields = {"tries": 0, "retries": F("retries") + bool(off.seconds)}
            self._leave(lease=Lease.CLAIMABLE, claimable_at=now, place=None, not_before=later, **fields)

    def park(self, reason: Reason, detail: str) -> None:
        """Its processes could not be confirmed gone: nothing runs here again until a person has looked."""
        with self.write():
            live = self.attempt.live_session
            if live is not None:
                end_session(live, State.INTERRUPTED, reason, detail)
            self._leave(lease=Lease.PARKED)

    def _leave(self, lease: Lease = Lease.IDLE, **fields: Any) -> None:
        self.held.update(
            lease=lease, owner="", pid=0, pid_started=0, cancel_requested_at=None, stop_verb="", **fields
        )
        make_room(self.attempt)


def claim(runner: str = "") -> Claim | None:
    """Take the next attempt of this runner, by turns between projects; None when there is none, or while Studio stops."""
    runner = runner or settings.STUDIO_RUNNER
    if drain.has_begun():
        return None
    # Where another worker is quicker, the turns have changed: look again.
    while found := next(admitted(runner), None):
        attempt, breakers = found
        owner = uuid.uuid4().hex
        if _win(attempt, runner, owner, breakers):
            fresh = Attempt.objects.select_related("task__project").get(pk=attempt.pk)
            return Claim(fresh, owner, attempt.fence + 1)
    return None


def _win(attempt: Attempt, runner: str, owner: str, breakers: list[Breaker]) -> bool:
    """Whether this owner has it now, within its project's limit, and tries the providers of these breakers with it: all or nothing."""
    project = attempt.task.project_id
    limited = Project.objects.filter(pk=project).exclude(most_sessions=None)
    if not breakers and not limited.exists():
        return _swap(attempt, runner, owner)
    with transaction.atomic():
        # Whoever else claims in this project waits here, and counts this one.
        list(limited.select_for_update(no_key=True))
        won = project not in Attempt.objects.full() and _swap(attempt, runner, owner)
        won = won and all(breaker.begin_try(attempt.pk) for breaker in breakers)
        transaction.set_rollback(not won)
    return won


def _swap(attempt: Attempt, runner: str, owner: str) -> bool:
    pid = 0 if settings.STUDIO_SYNC else os.getpid()  # in a request, the process is the web server itself
    free = Attempt.objects.filter(pk=attempt.pk, lease=Lease.CLAIMABLE, fence=attempt.fence)
    won = free.update(
        lease=Lease.CLAIMED,
        owner=owner,
        fence=F("fence") + 1,
        beat=F("beat") + 1,
        tries=F("tries") + 1,
        not_before=None,
        claimed_at=timezone.now(),
        runner=runner,
        pid=pid,
        pid_started=processes.started(pid),
    )
    return bool(won)


def take_back(attempt: Attempt, *, gone: bool, detail: str = "", reason: Reason = Reason.WORKER_DIED) -> bool:
    """Take an attempt from an owner who is dead, its processes having been killed; `gone` says whether that is confirmed.

    The session is `interrupted` and goes on in a new one, up to MOST_TRIES claims without any activity; False where the
    owner was quicker. With no session left to run, the attempt is offered once more, for what follows the last one.
    """
    with transaction.atomic():
        attempt.task.lock()
        lease = Lease.IDLE if gone else Lease.PARKED
        held = Attempt.objects.filter(pk=attempt.pk, lease=Lease.CLAIMED, fence=attempt.fence)
        verb = held.values_list(
            "stop_verb", flat=True
        ).first()  # a person may have asked since `attempt` was read
        fields = {"lease": lease, "fence": F("fence") + 1, "owner": "", "pid": 0, "pid_started": 0}
        if not held.update(**fields, cancel_requested_at=None, stop_verb=""):
            return False
        make_room(attempt)
        live = attempt.live_session
        if verb and gone:
            if live is not None:
                end_session(live, State.CANCELLED, Reason.CANCELLED)
            attempt.task.stopped(verb)
        elif live is not None and not gone:
            end_session(live, State.INTERRUPTED, Reason.NOT_CONFIRMED, detail)
        elif live is not None and attempt.tries >= MOST_TRIES and not live.awaits_answer:
            end_session(live, State.INTERRUPTED, Reason.TRIES_USED_UP, detail)
        elif live is not None:
            interrupt(attempt, live, reason, detail)
        elif gone and attempt.tries < MOST_TRIES:  # it may have died before it could merge
            attempt.offer()
            queue.ring()
    log.warning("took %s back from a dead owner: %s", attempt.key, detail)
    return True


def make_room(attempt: Attempt) -> None:
    """One less is at work: another of its project may begin, where that has a limit. In the transaction that ends the claim."""
    if Project.objects.filter(tasks=attempt.task_id).exclude(most_sessions=None).exists():
        queue.ring()


def interrupt(attempt: Attempt, live: Session, reason: Reason, detail: str = "") -> None:
    """End the session as interrupted and queue the one that goes on with it. One that waits for a person waits on."""
    if live.state == State.QUEUED:  # it had not begun: nothing is interrupted
        if attempt.offer():
            queue.ring()
        return
    if live.awaits_answer:  # its server is gone, and the request is not: the answer becomes a prompt
        cut_off(live)
        attempt.rest()
        return
    end_session(live, State.INTERRUPTED, reason, detail)
    attempt.begin(live.phase, again=True)


def end_session(session: Session, state: State, reason: Reason, detail: str = "") -> None:
    """End a session that was cut."""
    cut_off(session)
    session.end(state, reason, detail)


def cut_off(session: Session) -> None:
    """Mark what was under way in the session as interrupted."""
    cut = list(session.activity.filter(state__in=["pending", "running"]).order_by("seq"))
    written = Session.objects.values_list("rev", flat=True).get(pk=session.pk)
    for rev, entry in enumerate(cut, start=written + 1):
        session.activity.filter(pk=entry.pk).update(state="interrupted", rev=rev)
    Session.objects.filter(pk=session.pk).update(rev=written + len(cut))


def repair() -> int:
    """Offer what nobody would run: an attempt that is idle with a session queued, or with one that says that it runs.

    The number of those.
    """
    lost = Attempt.objects.filter(lease=Lease.IDLE, sessions__state=State.QUEUED).distinct()
    mended = 0
    for attempt in lost:
        with transaction.atomic():
            Task.objects.select_for_update(no_key=True).get(pk=attempt.task_id)
            if Attempt.objects.filter(pk=attempt.pk, lease=Lease.IDLE).exists() and attempt.live_session:
                attempt.offer()
                queue.ring()
                mended += 1
    return mended + _interrupt_ownerless()


def _interrupt_ownerless() -> int:
    """Sessions that say that they run though no one has their attempt, as in a database that was brought back from a backup."""
    free, at_work = [Lease.IDLE, Lease.CLAIMABLE], [State.STARTING, State.RUNNING]
    mended = 0
    for attempt in Attempt.objects.filter(lease__in=free, sessions__state__in=at_work).distinct():
        with transaction.atomic():
            attempt.task.lock()
            live = attempt.live_session
            is_free = Attempt.objects.filter(pk=attempt.pk, lease__in=free).exists()
            if is_free and live is not None and live.state in at_work:
                interrupt(attempt, live, Reason.WORKER_DIED, "Nobody worked on it any more.")
                mended += 1
    return mended
