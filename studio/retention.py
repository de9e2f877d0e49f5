"""What Studio forgets by itself: records that only matter for a while. Deleted in batches too small for anybody to wait for."""

from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.db.models import QuerySet
from django.utils import timezone

from studio import queue
from studio.models import KeptReply, SignInLink

KEPT_DAYS = 7
BATCH = 200


def clear_records() -> int:
    """Delete kept replies, sign-in links and finished jobs of more than KEPT_DAYS ago, and expired sign-ins; the number of the first."""
    before = timezone.now() - timedelta(days=KEPT_DAYS)
    old: list[QuerySet[Any]] = [
        KeptReply.objects.filter(created_at__lt=before),
        SignInLink.objects.filter(created_at__lt=before),
        queue.results(before),
    ]
    call_command("clearsessions")
    return sum(map(delete, old))


def delete(rows: QuerySet[Any]) -> int:
    """Delete the rows batch by batch; how many."""
    count = 0
    while some := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        rows.model._default_manager.filter(pk__in=some).delete()
        count += len(some)
    return count
