"""The lease of an attempt, held outside of a worker: for a merge, a removal, a clean-up."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from sessions.halts import LeaseLost
from sessions.ledger import Claim
from sessions.models import Attempt
from sessions.models.attempt import Lease
from studio import queue
from studio.errors import Conflict
from tasks import lifecycle


@contextmanager
def held(attempt: Attempt, work: str, *, parked: bool = False) -> Iterator[Claim]:
    """Hold the attempt's lease for a `work` inside a request or a job. Conflict where it is not idle, nor, with `parked`, parked
    without a session.

    What takes longer than a lease calls `keep_alive` of the claim. Should this process die, the watchdog takes it back.
    """
    owner = f"{work}-{uuid.uuid4().hex[:30]}"[:40]
    with transaction.atomic():
        attempt.task.lock()
        free = Q(lease=Lease.IDLE)
        if parked and attempt.live_session is None:
            free |= Q(lease=Lease.PARKED)
        if not Attempt.objects.filter(free, pk=attempt.pk).update(
            lease=Lease.CLAIMED, owner=owner, fence=F("fence") + 1, claimed_at=timezone.now(), pid=0
        ):
            raise Conflict(
                f"{attempt.task.key} is being worked on right now; try again in a moment.", code="busy"
            )
        fence = Attempt.objects.values_list("fence", flat=True).get(pk=attempt.pk)
    try:
        yield Claim(attempt, owner, fence)
    except LeaseLost as lost:
        raise Conflict(f"{attempt.task.key} was taken over meanwhile; look again.", code="busy") from lost
    finally:
        let_go(attempt, owner)


def let_go(attempt: Attempt, owner: str) -> None:
    """End the hold, and do now what a person asked for meanwhile: start, cancel or back to do, unless the task has landed."""
    with transaction.atomic():
        attempt.task.lock()
        held = Attempt.objects.filter(pk=attempt.pk, owner=owner)
        verb = held.values_list("stop_verb", flat=True).first()
        if not held.update(lease=Lease.IDLE, owner="", cancel_requested_at=None, stop_verb=""):
            return
        if verb and lifecycle.allows(verb, attempt.task.status):
            attempt.request_stop(verb, by=None)
            attempt.task.stopped(verb)
        elif attempt.live_session is not None and attempt.offer():
            queue.ring()
