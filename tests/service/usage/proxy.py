"""A TCP proxy before a server that drops replies, holds bytes back and cuts."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from service import tasks
from service.usage.client import Address, Layout


class Proxy:
    """Passes bytes on until told otherwise; counts what it did to them."""

    def __init__(self, server: Path | tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        """`server`: its unix socket, or host and port; `tls`: what clients must speak."""
        self.upstream = server
        """Where connections made from now on lead."""

        self._tls = tls
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.drop_replies = 0
        """So many of the coming replies to `mark`ed requests are lost, and the connection too."""

        self.mark = b"EVALSHA"
        self.dropped = 0
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.release()
        self.cut()
        await self._server.wait_closed()
        # One that came last may be on its way to the server still, and would be left open.
        for serving in list(self._serving):
            await tasks.end(serving)

    @property
    def address(self) -> Address:
        """Where clients connect."""
        assert self._server is not None
        return Address(Layout.SINGLE, hosts=(self._server.sockets[0].getsockname(),))

    def cut(self) -> None:
        """End every connection at once."""
        for writer in self._open:
            writer.transport.abort()

    def hold(self) -> None:
        """Let nothing through, without closing anything."""
        self._flowing.clear()

    def release(self) -> None:
        """Let through what was held back."""
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = tasks.spawn(self._pass_on(reader, writer), name="proxy")
        self._serving.add(serving)
        await asyncio.wait([serving])
        self._serving.discard(serving)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        up_reader, up_writer = await self._connect()
        both = {writer, up_writer}
        self._open |= both
        asked = asyncio.Event()
        upward = tasks.spawn(self._requests(reader, up_writer, asked), name="proxy's requests")
        with suppress(OSError):
            await self._replies(up_reader, writer, asked)
        upward.cancel()
        self._open -= both
        for end in both:
            end.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.upstream, Path):
            return await asyncio.open_unix_connection(self.upstream)
        return await asyncio.open_connection(*self.upstream)

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._flowing.wait()
                if self.mark in data:
                    asked.set()
                writer.write(data)
        writer.transport.abort()

    async def _replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 16):
            await self._flowing.wait()
            if self.drop_replies and asked.is_set():
                self.drop_replies -= 1
                self.dropped += 1
                return
            asked.clear()
            writer.write(data)
