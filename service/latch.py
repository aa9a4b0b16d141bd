"""Opens once, and lets everybody through from then on.

asyncio.Event does the same and can close again; for that it keeps a deque, 624 bytes before anybody
waits. A stream has two such moments, and thousands of streams are open at once.
"""

import asyncio


class Latch:
    """Closed until `open` is called."""

    __slots__ = ("_opened", "_waiting")

    def __init__(self) -> None:
        """Start closed."""
        self._opened = False
        self._waiting: list[asyncio.Future[None]] | None = None

    @property
    def opened(self) -> bool:
        """Whether it has been opened."""
        return self._opened

    def open(self) -> None:
        """Let everybody through, now and later."""
        self._opened = True
        for waiter in self._waiting or ():
            if not waiter.done():
                waiter.set_result(None)
        self._waiting = None

    async def passed(self) -> None:
        """Wait until it is open."""
        if self._opened:
            return
        waiter = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(waiter)
        try:
            await waiter
        finally:
            if self._waiting is not None:
                self._waiting.remove(waiter)
