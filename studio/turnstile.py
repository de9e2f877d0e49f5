"""Lets a few requests work at a time, and the others wait in the order in which they came.

A request has a thread of its own. Twenty that share one interpreter all end late, and some of them much later than
others; one after another each ends sooner. What takes long waits for something else than the interpreter (git, a lock, a
slow sender), so that it counts for PLACE_SECONDS only: nobody is held up by it for longer.
"""

import asyncio
from collections import deque
from typing import Any

PLACES = 2
PLACE_SECONDS = 0.15


class Turnstile:
    """An ASGI application in front of another. Used from one event loop."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.free = PLACES
        self.waiting: deque[asyncio.Future[None]] = deque()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Wait for a place, then answer."""
        await self._enter()
        place = asyncio.get_running_loop().call_later(PLACE_SECONDS, self._leave)
        try:
            await self.application(scope, receive, send)
        finally:
            if place.when() > asyncio.get_running_loop().time():
                place.cancel()
                self._leave()

    async def _enter(self) -> None:
        if self.free > 0:
            self.free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1
