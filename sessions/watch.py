"""The watch over the ledger: it takes attempts back from dead owners, mends lost wake-ups and restarts a wedged cluster."""

import contextlib
import json
import logging
import os
import signal
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone

from sessions import ledger, places
from sessions.admission import admitted
from sessions.models import Attempt, Clone, PullRequest, Push, Request
from sessions.models.attempt import Lease
from sessions.workspaces.sandbox import sweep
from studio import crash, disk, drain, processes, queue
from studio.errors import Conflict
from tasks.models import Project

log = logging.getLogger(__name__)

WEDGED_SECONDS = 20  # something claimable waits that long while a worker is free
RESTART_PAUSE_SECONDS = 30


@dataclass
class Watch:
    """Remembers when each beat was last seen to change, by its own monotonic clock: wall clocks step."""

    seen: dict[int, tuple[int, int, float]] = field(default_factory=dict)
    waiting: tuple[int, float] = (0, 0.0)
    restarted_at: float = -RESTART_PAUSE_SECONDS

    def round(self) -> None:
        """Look once at everything; called every STUDIO_REAP_SECONDS."""
        if settings.STUDIO_SYNC:
            return  # executions run inside requests, and what rings here would run here
        self.allow_for_outage()
        held = Attempt.objects.filter(lease=Lease.CLAIMED, runner__in=["", settings.STUDIO_RUNNER])
        for attempt in held.select_related("task__project"):
            try:
                if why := self.why_dead(attempt):
                    reap(attempt, why)
            except DatabaseError:
                raise
            except Exception:  # one attempt that cannot be judged must not keep the others from it
                log.exception("%s", attempt.key)
        ledger.repair()
        Clone.take_back()
        Push.take_back()
        PullRequest.take_back()
        if Project.objects.deleting().filter(delete_trouble="").exists():
            queue.ring_delete()
        expire_requests()
        self.ring_again()

    def allow_for_outage(self) -> None:
        """While the database cannot be written no owner can beat: that time does not count. Raises DatabaseError."""
        asked = time.monotonic()
        try:
            with transaction.atomic():  # on SQLite it begins by waiting for the right to write
                lost = time.monotonic() - asked
        except DatabaseError:
            self.seen.clear()
            raise
        if disk.is_full():
            self.seen.clear()
        self.seen = {pk: (fence, beat, since + lost) for pk, (fence, beat, since) in self.seen.items()}

    def why_dead(self, attempt: Attempt) -> str:
        """Why the owner counts as dead, empty while it does not: its process is gone, or its beat has stood still for a lease."""
        if attempt.pid and not processes.is_alive(attempt.pid, attempt.pid_started):
            return f"Process {attempt.pid} is gone."
        now = time.monotonic()
        fence, beat, since = self.seen.get(attempt.pk, (-1, -1, now))
        if (fence, beat) != (attempt.fence, attempt.beat):
            self.seen[attempt.pk] = (attempt.fence, attempt.beat, now)
            return ""
        still = now - since
        return f"No sign of life for {still:.0f} s." if still > settings.STUDIO_LEASE_SECONDS else ""

    def ring_again(self) -> None:
        """Ring for what is claimable, and restart a cluster that does not answer although a worker is free."""
        first, _ = next(admitted(settings.STUDIO_RUNNER), (None, []))
        if first is None:
            return
        crash.point("ringing-again")
        queue.ring()
        busy = Attempt.objects.filter(lease=Lease.CLAIMED, runner=settings.STUDIO_RUNNER, pid__gt=0).count()
        if first.pk != self.waiting[0] or busy >= settings.STUDIO_CONCURRENCY:
            self.waiting = first.pk, time.monotonic()
        elif time.monotonic() - self.waiting[1] > WEDGED_SECONDS:
            self.restart_cluster()

    def restart_cluster(self) -> None:
        """SIGKILL the whole process group of the long cluster; whoever supervises it starts it again."""
        if time.monotonic() - self.restarted_at < RESTART_PAUSE_SECONDS or drain.has_begun():
            return
        self.restarted_at = time.monotonic()
        pid, start = cluster_process()
        if processes.is_alive(pid, start):
            log.error("cluster %s takes no work; restarting it", settings.LONG_JOBS)
            os.killpg(os.getpgid(pid), signal.SIGKILL)


def reap(attempt: Attempt, why: str) -> None:
    """Kill what the dead owner left, confirm that it is gone, and take the attempt back."""
    crash.point("reap-begun")
    others = Attempt.objects.filter(lease=Lease.CLAIMED, pid=attempt.pid).exclude(pk=attempt.pk)
    spared = attempt.pid == os.getpid() or others.exists()  # it lost this attempt, and works on another
    worker_gone = spared or processes.kill(attempt.pid, attempt.pid_started)
    survivors = sweep(places.marker(attempt), 5.0, places.folder(attempt) / "workspace")
    left = "" if not survivors else f" Processes {', '.join(map(str, survivors))} could not be ended."
    crash.point("reap-killed")
    ledger.take_back(attempt, gone=worker_gone and not survivors, detail=why + left)
    crash.point("taken-back")


def expire_requests() -> None:
    """Refuse what nobody answered within STUDIO_EXPIRY_SECONDS, where that is set."""
    if not settings.STUDIO_EXPIRY_SECONDS:
        return
    before = timezone.now() - timedelta(seconds=settings.STUDIO_EXPIRY_SECONDS)
    for request in Request.objects.filter(state=Request.State.OPEN, opened_at__lt=before):
        with contextlib.suppress(Conflict):  # somebody has answered just now
            request.expire()


def cluster_process() -> tuple[int, int]:
    """Pid and start time of the long cluster's master, as its supervisor wrote them; zeros where nobody did."""
    return written_process(Path(settings.STUDIO_HOME) / "run" / f"{settings.LONG_JOBS}.pid")


def written_process(file: Path) -> tuple[int, int]:
    """Pid and start time in a pid file; zeros where it cannot be read."""
    try:
        found = json.loads(file.read_text())
        return int(found["pid"]), int(found["start"])
    except (OSError, ValueError, KeyError):
        return 0, 0
