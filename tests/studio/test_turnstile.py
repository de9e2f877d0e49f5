"""The turnstile: a few requests work at a time, in the order in which they came, and none is held up for long by another."""

import asyncio
from typing import Any

import pytest

from studio import turnstile
from studio.turnstile import PLACES, Turnstile


class Slow:
    """Answers a request when its number is let go."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.gates: dict[int, asyncio.Event] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        number = scope["number"]
        self.begun.append(number)
        await self.gates.setdefault(number, asyncio.Event()).wait()


async def come(application: Any, number: int) -> "asyncio.Task[None]":
    """A request that has come as far as it can."""
    task = asyncio.create_task(application({"number": number}, None, None))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_those_for_whom_there_is_no_place_follow_in_their_order(monkeypatch: Any) -> None:
    monkeypatch.setattr(turnstile, "PLACE_SECONDS", 60)
    slow = Slow()
    application = Turnstile(slow)
    tasks = [await come(application, number) for number in range(PLACES + 2)]
    assert slow.begun == list(range(PLACES))
    for number in range(PLACES + 2):
        slow.gates[number].set()
        await tasks[number]
        assert slow.begun == list(range(min(PLACES + number + 1, PLACES + 2)))
    assert application.free == PLACES


async def test_what_takes_long_holds_nobody_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(turnstile, "PLACE_SECONDS", 0.01)
    slow = Slow()
    application = Turnstile(slow)
    tasks = [await come(application, number) for number in range(3 * PLACES)]
    async with asyncio.timeout(10):
        while len(slow.begun) < 3 * PLACES:
            await asyncio.sleep(0.01)
    for gate in slow.gates.values():
        gate.set()
    await asyncio.gather(*tasks)
    await asyncio.sleep(0.02)
    assert application.free == PLACES


async def test_who_leaves_while_waiting_takes_no_place(monkeypatch: Any) -> None:
    monkeypatch.setattr(turnstile, "PLACE_SECONDS", 60)
    slow = Slow()
    application = Turnstile(slow)
    tasks = [await come(application, number) for number in range(PLACES + 2)]
    tasks[PLACES].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[PLACES]
    slow.gates[0].set()
    await tasks[0]
    await asyncio.sleep(0)
    assert slow.begun == [*range(PLACES), PLACES + 1]
    for number in (*range(1, PLACES), PLACES + 1):
        slow.gates[number].set()
        await tasks[number]
    assert application.free == PLACES
