"""A TCP line between a client and the service that a test can cut, as a train in a tunnel does.

It can go silent as well, as one does whose other end was lost without a word, and lead elsewhere,
as a load balancer does where one service stops and another is there.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from types import TracebackType
from typing import Self

from service import tasks


class Line:
    """Passes bytes on, both ways, until it is cut."""

    def __init__(self, url: str) -> None:
        """`url`: of the service, scheme, host and port."""
        self.lead(url)
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """What the client is told to be the service."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def lead(self, url: str) -> None:
        """Have new connections lead to this service."""
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)

    def hush(self) -> None:
        """Let nothing more through to the clients that are connected now; what they say passes."""
        self._silent |= self._clients

    def cut(self) -> None:
        """End every connection at once; new ones are let through."""
        for end in self._ends:
            end.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        both = {writer, up_writer}
        self._ends |= both
        self._clients.add(writer)
        upward = tasks.spawn(_pass(reader, up_writer), name="a line's requests")
        try:
            await _pass(up_reader, writer, self._silent)
            if writer in self._silent:
                await asyncio.wait([upward])  # nor does the client hear that it is over
        finally:
            upward.cancel()
            self._ends -= both
            self._clients.discard(writer)
            self._silent.discard(writer)
            for end in both:
                end.transport.abort()


async def _pass(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    silent: Collection[asyncio.StreamWriter] = (),
) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            if writer not in silent:
                writer.write(data)
    with suppress(OSError, RuntimeError):
        writer.write_eof()
