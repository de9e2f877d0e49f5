"""The only caller of django-q2: a doorbell. What is to be done stands in the sessions' ledger, never in the queue."""

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

RUN = "sessions.jobs.run"


def ring(waiting: int) -> None:
    """Wake a worker of the long cluster, unless as many wake-ups as `waiting` attempts are in the queue already.

    Call it inside the transaction that makes an attempt claimable: the queue lives in the same database, so that a
    rollback takes the wake-up with it.
    """
    if settings.STUDIO_SYNC:
        transaction.on_commit(lambda: async_task(RUN, sync=True))
    elif OrmQ.objects.filter(key=settings.LONG_JOBS, lock__lte=timezone.now()).count() < waiting:
        async_task(RUN, cluster=settings.LONG_JOBS)


def later(function: str, *args: int | str) -> None:
    """Run a short job soon: `function` is a dotted path, `args` are ids and scalars."""
    async_task(function, *args, cluster=settings.SHORT_JOBS)
