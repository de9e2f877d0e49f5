"""Living through a database that is locked, full or away for a while."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from studio import drain
from studio.disk import NoSpace, says_full
from studio.errors import Refusal, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
AWAY = (OperationalError, InterfaceError)  # locked, full, restarting, cut off
PAUSE_SECONDS = 0.5


def outlast(call: Callable[[], T]) -> T:
    """The value of `call`, which is repeated while the database cannot be used, for STUDIO_DATABASE_SECONDS or until Studio stops.

    Inside a transaction nothing can be repeated: there the error goes on at once.
    """
    deadline = time.monotonic() + settings.STUDIO_DATABASE_SECONDS
    while True:
        try:
            return call()
        except AWAY as error:
            if connection.in_atomic_block or time.monotonic() > deadline or drain.has_begun():
                raise
            log.warning("the database cannot be used (%s); trying again", str(error).strip())
            connection.close()
        time.sleep(PAUSE_SECONDS)


@contextmanager
def lasting_transaction(first: Callable[[], None]) -> Iterator[None]:
    """A transaction whose beginning, up to the end of `first`, is repeated while the database cannot be used."""
    with ExitStack() as held:
        outlast(partial(_begin, held, first))
        yield


def _begin(held: ExitStack, first: Callable[[], None]) -> None:
    with ExitStack() as trial:
        trial.enter_context(transaction.atomic())
        first()
        held.push(trial.pop_all())


@contextmanager
def without_waiting() -> Iterator[None]:
    """For one write that may as well not be made: what another holds is an error at once (PostgreSQL: after 0.1 s)."""
    if connection.vendor != "sqlite":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = 100")  # ms
            yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        before = cursor.fetchone()[0]
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {int(before)}")


def refusal(error: Exception) -> Refusal:
    """What the person hears whose request met that database: nothing was done, and a repeat may well succeed."""
    if says_full(str(error)):
        return NoSpace(
            "The disk is full, so that nothing can be written. Studio goes on by itself once there is room."
        )
    return Unavailable("The database is too busy or cannot be reached. Try again in a moment.")
