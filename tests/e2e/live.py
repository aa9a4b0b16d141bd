"""A client that reads a stream while it happens, so that a test can act on what it was told.

`asking` starts a stream whose bytes leave at once (`open_early_ms` 0) and yields its reader. Where
a test waits for an attempt to be over, it waits for the event that says so: nothing sleeps.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.double.seen import PATIENCE
from tests.e2e import grammar
from tests.e2e.stack import Stack, Told, question
from tests.service.http.serving import parsed

Event = dict[str, Any]


class Live:
    """One running stream, as far as it was read."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        """Nothing of the body was read yet."""
        self._response = response
        self._rest = b""
        self.events: list[Event] = []

    async def until(self, holds: Callable[[Event], bool], what: str) -> Event:
        """Read to the first event, of all there were, for which it holds; `what` names it."""
        seen = 0
        while True:
            for event in self.events[seen:]:
                if holds(event):
                    return event
            seen = len(self.events)
            assert await self._more(), f"the stream ended without {what}: {self._told()}"

    async def ended(self, attempt: int) -> Event:
        """Wait until that attempt is over."""
        return await self.until(
            lambda e: e["type"] == "attempt.end" and e["attempt"] == attempt,
            f"an end of attempt {attempt}",
        )

    async def text(self, delta: str) -> Event:
        """Wait until this piece of text has come."""
        return await self.until(
            lambda e: e["type"] == "text.delta" and e["delta"] == delta, f"the text {delta!r}"
        )

    async def told(self) -> Told:
        """Read the rest; the whole is held to the grammar."""
        while await self._more():
            pass
        assert not self._rest, f"the stream ended within an event: {self._rest!r}"
        grammar.check(self.events)
        return Told(self._response.status, self._response.headers, self.events)

    async def _more(self) -> bool:
        async with asyncio.timeout(PATIENCE):
            data = await self._response.content.readany()
        whole, end, self._rest = (self._rest + data).rpartition(b"\n\n")
        self.events.extend(seen.data for seen in parsed(whole + end))
        return bool(data)

    def _told(self) -> str:
        return " ".join(event["type"] for event in self.events)


@asynccontextmanager
async def asking(stack: Stack, model: str = "auto", **fields: object) -> AsyncIterator[Live]:
    """Start a stream and read it as it comes; leaves it when the block is left."""
    async with stack.post(question(model, open_early_ms=0, **fields)) as response:
        assert response.status == 200, await response.text()
        yield Live(response)
