"""A WebSocket on which each answer has a task of its own, at the pace of whoever reads it.

The task reads its stream's log by a cursor, sleeps on a `Bell` when it has read all, and waits for
the peer with every frame. So a slow peer costs its transport's buffer and no queue, and one that
takes nothing is cut off. A piece costs a task switch, which the clients of these dialects, with an
answer or two at a time, do not feel; the native socket is written by the streams' own tasks instead
(`service.http.websocket`).
"""

import asyncio

from aiohttp import web


class Bell:
    """A log's reader that only rings."""

    def __init__(self) -> None:
        """Nothing has rung yet."""
        self._rung = asyncio.Event()

    def push(self, new: list[bytes], upto: int) -> None:
        """The log has grown: called in the upstream's task."""
        del new, upto  # who waits reads by its own cursor
        self._rung.set()

    async def rings(self) -> None:
        """Wait for the log to grow; to be called as soon as it was read to its end."""
        self._rung.clear()
        await self._rung.wait()


async def send(
    ws: web.WebSocketResponse, transport: asyncio.Transport | None, frame: str, patience: float
) -> None:
    """Send a text frame and wait until the peer has taken enough, `patience` seconds at most.

    Raises ConnectionError where the peer has gone, or takes nothing and was cut off.
    """
    try:
        async with asyncio.timeout(patience):
            await ws.send_str(frame)
    except TimeoutError:
        if transport is not None:
            transport.abort()
        raise ConnectionResetError("the client takes nothing") from None
