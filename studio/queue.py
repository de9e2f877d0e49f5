"""The only caller of django-q2: a doorbell. What is to be done stands in the sessions' ledger, never in the queue."""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Task
from django_q.tasks import async_task

RUN = "sessions.jobs.run"
REAP = "sessions.jobs.reap"
CLONE = "sessions.jobs.clone"
PUSH = "sessions.jobs.push"
DELETE = "sessions.jobs.delete_projects"
CLEAN_UP = "sessions.jobs.clean_up"
RETAIN = "sessions.jobs.retain"

MOST_UNHEARD = 5  # short jobs that wait


def ring() -> None:
    """Wake a worker of the long cluster, unless a wake-up for each of them is in the queue: each works until nothing is claimable.

    Call it inside the transaction that makes an attempt claimable: the queue lives in the same database, so that a
    rollback takes the wake-up with it.
    """
    if settings.STUDIO_SYNC:
        transaction.on_commit(lambda: async_task(RUN, sync=True))
        return
    unheard = OrmQ.objects.filter(key=settings.LONG_JOBS, lock__lte=timezone.now())
    if unheard[: settings.STUDIO_CONCURRENCY].count() < settings.STUDIO_CONCURRENCY:
        async_task(RUN, cluster=settings.LONG_JOBS)


def ring_for_all() -> None:
    """Wake every worker of the long cluster: much may be done that could not be done before. Where `ring` is called."""
    for _ in range(1 if settings.STUDIO_SYNC else settings.STUDIO_CONCURRENCY):
        ring()


def ring_clone() -> None:
    """Wake the short cluster to clone."""
    _ring_short(CLONE)


def ring_push() -> None:
    """Wake the short cluster to push, or to ask a forge."""
    _ring_short(PUSH)


def ring_delete() -> None:
    """Wake the short cluster to delete projects."""
    _ring_short(DELETE)


def _ring_short(job: str) -> None:
    """Where `ring` is called; unless it has enough to hear already: the watchdog rings again."""
    if settings.STUDIO_SYNC:
        transaction.on_commit(lambda: async_task(job, sync=True))
        return
    unheard = OrmQ.objects.filter(key=settings.SHORT_JOBS, lock__lte=timezone.now())
    if unheard[:MOST_UNHEARD].count() < MOST_UNHEARD:
        async_task(job, cluster=settings.SHORT_JOBS)


def keep_schedules() -> None:
    """Have the short cluster look after the ledger once a minute, for when no watchdog does, and clean up and forget once a day, first now."""
    Schedule.objects.update_or_create(
        name="reap",
        defaults={
            "func": REAP,
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
            "repeats": -1,
            "cluster": settings.SHORT_JOBS,
        },
    )
    for name, job in (("clean-up", CLEAN_UP), ("retain", RETAIN)):
        Schedule.objects.update_or_create(
            name=name,
            defaults={
                "func": job,
                "schedule_type": Schedule.DAILY,
                "next_run": timezone.now(),
                "repeats": -1,
                "cluster": settings.SHORT_JOBS,
            },
        )


def results(before: datetime) -> "QuerySet[Task]":
    """What django-q2 noted of jobs that ended earlier; nobody reads it."""
    found: QuerySet[Task] = Task.objects.filter(stopped__lt=before)
    return found
