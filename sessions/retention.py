"""Thins the activity of tasks that were finished long ago: what was said and done stays, what tools put out goes."""

import time
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from sessions.models import Activity, Session
from sessions.models.session import LIVE
from tasks.lifecycle import Status

BULKY = [Activity.Kind.TOOL, Activity.Kind.REASONING, Activity.Kind.PATCH, Activity.Kind.FILE]
LONGEST_KEPT = 200  # characters of an argument
HELD_SECONDS = 0.05  # a batch that takes longer is followed by a smaller one: people's writes wait behind it
FIRST_BATCH, LARGEST_BATCH = 20, 200
JOB_SECONDS = 300  # of one run; the next goes on


def thin() -> int:
    """Thin the sessions of tasks that have been done or cancelled for STUDIO_RETENTION_DAYS; the number of entries."""
    if settings.STUDIO_RETENTION_DAYS <= 0:
        return 0
    over = time.monotonic() + JOB_SECONDS
    before = timezone.now() - timedelta(days=settings.STUDIO_RETENTION_DAYS)
    finished = Session.objects.filter(
        thinned_at=None,
        attempt__task__status__in=[Status.DONE, Status.CANCELLED],
        attempt__task__status_changed_at__lt=before,
    ).exclude(state__in=LIVE)
    count = 0
    for pk in list(finished.order_by("pk").values_list("pk", flat=True)):
        if time.monotonic() > over:
            break
        count += thin_session(pk, timezone.now())
    return count


def thin_session(pk: int, now: datetime) -> int:
    """Thin one session's entries; how many. `rev` stays: who followed it has seen more than there is now."""
    entries = Activity.objects.filter(session=pk, kind__in=BULKY, thinned_at=None).order_by("seq")
    count, size = 0, FIRST_BATCH
    while some := list(entries.only("input", "metadata")[:size]):
        for entry in some:
            shorten(entry)
        began = time.monotonic()
        thinned = Activity.objects.filter(pk__in=[entry.pk for entry in some])
        thinned.update(output="", text="", thinned_at=now)  # last: what is cut off before this is done again
        quick = time.monotonic() - began < HELD_SECONDS
        size = min(size * 2, LARGEST_BATCH) if quick else max(size // 2, 1)
        count += len(some)
    Session.objects.filter(pk=pk).update(thinned_at=now)
    return count


def shorten(entry: Activity) -> None:
    """Leave what is short of the entry's arguments and facts, in a write of its own."""
    brief = {"input": shortened(entry.input), "metadata": shortened(entry.metadata)}
    if brief != {"input": entry.input, "metadata": entry.metadata}:
        Activity.objects.filter(pk=entry.pk).update(**brief)


def shortened(value: Any) -> dict[str, Any]:
    """What is short of a tool's arguments and facts: a command, a path, an exit code."""
    given = value if isinstance(value, dict) else {}
    return {
        name: each
        for name, each in given.items()
        if isinstance(each, bool | int | float) or (isinstance(each, str) and len(each) <= LONGEST_KEPT)
    }
