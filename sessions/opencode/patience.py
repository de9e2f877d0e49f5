"""Waiting for a call without holding up what has to happen meanwhile."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import TypeVar

T = TypeVar("T")

WAIT_SECONDS = 0.2


def patiently(pool: ThreadPoolExecutor, call: Callable[[], T], tick: Callable[[], object]) -> T:
    """The answer of `call`, which runs in a thread of `pool`; `tick` is called five times a second meanwhile, and may raise."""
    future = pool.submit(call)
    while True:
        try:
            return future.result(timeout=WAIT_SECONDS)
        except NotYet:
            if future.done():
                raise  # the call's own
            tick()
