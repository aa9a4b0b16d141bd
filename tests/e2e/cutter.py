"""A server that answers with exactly the bytes it is told, where the double has too much to it.

`cutting` puts it in the place of a provider. It says of a request no more than that it came; what
it answers may be changed between two requests, and is so some thousand times in a test.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from typing_extensions import override

from tests.e2e.stack import Stack, stack

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(slots=True)
class Cutter:
    """What is answered, and how many have asked."""

    body: bytes = b""
    """The beginning of a body; ended by what `politely` says."""
    politely: bool = True
    """End the HTTP message as if that were all, and not by hanging up within it."""
    instead: bytes | None = None
    """Send these bytes in the place of an HTTP message, and hang up."""
    asked: int = 0

    def answer(self) -> tuple[bytes, bool]:
        """The bytes on the wire, and whether to hang up after them."""
        self.asked += 1
        if self.instead is not None:
            return self.instead, True
        chunk = b"%x\r\n%b\r\n" % (len(self.body), self.body) if self.body else b""
        return _HEAD + chunk + (b"0\r\n\r\n" if self.politely else b""), not self.politely


class _Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, cutter: Cutter) -> None:
        self._cutter = cutter
        self._read = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if end and len(body) == int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
            self._read = b""
            answer, hang_up = self._cutter.answer()
            self._transport.write(answer)
            if hang_up:
                self._transport.close()


@asynccontextmanager
async def cutting(provider: str) -> AsyncIterator[tuple[Stack, Cutter]]:
    """The service with one provider, which lives at a cutter."""
    cutter = Cutter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Line(cutter), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with stack(provider, elsewhere=address) as running:
            yield running, cutter
    finally:
        server.close()
