"""Plays a script's steps on one request's connection.

Writes go straight to the transport in HTTP chunks of their own, one write for each, because
`StreamResponse.write` may join and drain as it likes. Paced writes run from the loop's timers
without a task switch: 200 streams of a chunk each 10 ms are 20,000 writes a second, and a task
woken for each would cost more than the write. The client's departure cancels the handler
(`handler_cancellation`), whatever step it stands at.
"""

import asyncio
import socket
import struct
from collections.abc import Iterator
from itertools import repeat
from typing import assert_never

from aiohttp import web
from multidict import CIMultiDict

from tests.double.seen import Seen
from tests.double.steps import (
    Cut,
    Delay,
    End,
    Head,
    Paced,
    Repeat,
    Send,
    Stall,
    Step,
    Steps,
    Wait,
)

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 seconds


class Exchange:
    """One request being answered."""

    def __init__(self, request: web.BaseRequest, seen: Seen) -> None:
        """Answer `request`, keeping the record of it."""
        self._request = request
        self._seen = seen
        self._loop = asyncio.get_running_loop()
        self._response: web.StreamResponse | None = None
        self._chunked = False

    async def play(self, steps: Steps) -> web.StreamResponse:
        """Play every step; ends the body where no step did.

        Raises ConnectionResetError if the client is found gone while writing.
        """
        for step in steps:
            await self._do(step)
        if self._seen.ending is None:
            await self._end()
        # A cut connection gets no answer: aiohttp finds it closing and gives up.
        return self._response or web.Response()

    async def _do(self, step: Step) -> None:
        match step:
            case Head():
                await self._head(step)
            case Send():
                self.write(step.data)
                await self._request.writer.drain()
            case Paced():
                await self._paced(iter(step.writes), step.every)
            case Repeat():
                await self._paced(repeat(step.data), step.every)
            case Wait():
                await step.gate.passed()
            case Delay():
                await asyncio.sleep(step.seconds)
            case Stall():
                await self._loop.create_future()
            case End():
                await self._end()
            case Cut():
                await self._cut(step)
            case _:
                assert_never(step)

    async def _head(self, head: Head) -> None:
        headers = CIMultiDict(head.headers)
        headers.setdefault("server", "double")
        self._response = web.StreamResponse(status=head.status, headers=headers)
        await self._response.prepare(self._request)
        self._chunked = "content-length" not in headers
        self._seen.head_at = self._loop.time()

    async def _paced(self, writes: Iterator[bytes], every: float) -> None:
        pace = _Pace(self, writes, every)
        while await pace.run():
            await self._request.writer.drain()

    async def _end(self) -> None:
        assert self._response is not None, "a script has to send a head before it ends"
        await self._response.write_eof()
        self._seen.end("finished", self._loop.time())

    async def _cut(self, cut: Cut) -> None:
        transport = self._transport()
        # A reset throws away what has not left yet, so wait for the buffer to be empty.
        transport.set_write_buffer_limits(high=0)
        await self._request.writer.drain()
        self._seen.end("cut", self._loop.time())
        if cut.how == "fin":
            transport.close()
            return
        connected = transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()

    @property
    def congested(self) -> bool:
        """Whether the client reads slower than the script writes."""
        return self._request.protocol.writing_paused

    def write(self, data: bytes) -> None:
        """One write of body bytes. Raises ConnectionResetError if the client is gone."""
        assert self._response is not None, "a script has to send a head before its body"
        if not data:  # an empty chunk would end the body
            return
        self._transport().write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        seen = self._seen
        seen.last_at = self._loop.time()
        if seen.first_at is None:
            seen.first_at = seen.last_at
        seen.sent += len(data)

    def _transport(self) -> asyncio.Transport:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            message = "the client has closed the connection"
            raise ConnectionResetError(message)
        return transport


class _Pace:
    """Paced writes: one timer each, absolute, so that a late one does not delay the next."""

    def __init__(self, exchange: Exchange, writes: Iterator[bytes], every: float) -> None:
        self._exchange = exchange
        self._writes = writes
        self._next = next(writes, None)
        self._every = every
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._timer: asyncio.Handle | None = None

    async def run(self) -> bool:
        """Write until the last one (False) or until the client reads too slowly (True)."""
        stopped: asyncio.Future[bool] = self._loop.create_future()
        self._tick(stopped)
        try:
            return await stopped
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _tick(self, stopped: asyncio.Future[bool]) -> None:
        if stopped.done():  # cancelled, and this timer came before the task could cancel it
            return
        try:
            if self._next is not None:
                self._exchange.write(self._next)
        except ConnectionResetError as gone:
            stopped.set_exception(gone)
            return
        self._next = next(self._writes, None)
        if self._next is None:
            stopped.set_result(False)
        elif self._exchange.congested:
            stopped.set_result(True)
        elif self._every:
            self._due += self._every
            self._timer = self._loop.call_at(self._due, self._tick, stopped)
        else:
            self._timer = self._loop.call_soon(self._tick, stopped)
