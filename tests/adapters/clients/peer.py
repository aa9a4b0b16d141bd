"""A provider reduced to bytes: it reads requests and answers them exactly as a test says."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from multidict import CIMultiDict

PATIENCE = 10.0  # seconds before a wait fails instead of hanging
EVENT_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came."""

    connection: int
    """1 for the first."""
    turn: int
    """1 for the first request on its connection."""
    head: bytes
    body: bytes

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n")[0].decode()

    @property
    def headers(self) -> CIMultiDict[str]:
        lines = self.head.decode().split("\r\n")[1:]
        return CIMultiDict((name, value) for name, _, value in (x.partition(": ") for x in lines))

    @property
    def stated(self) -> dict[str, str]:
        """The headers that are not the framing's, names lower case."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        return {name: value for name, value in headers.items() if name not in _FRAMING}


_FRAMING = {"host", "content-length", "accept-encoding"}


class Talk:
    """The peer's end of a connection, while it answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()

    async def stream(self, *events: bytes) -> None:
        """A whole answer, one HTTP chunk for each event."""
        await self.send(EVENT_STREAM, b"Transfer-Encoding: chunked\r\n\r\n")
        await self.send(*(chunk(event) for event in events), b"0\r\n\r\n")

    async def whole(self, body: bytes, *, status: str = "200 OK", headers: str = "") -> None:
        """An answer of known length; `headers` are lines, each with its ending."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        await self.send(head.encode() + body)

    async def cut(self) -> None:
        """Close as a server does that has nothing more to say: FIN."""
        self._writer.close()

    async def reset(self) -> None:
        """Close as a server does that died: RST."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def stop_reading(self) -> None:
        """As a server too busy to notice a farewell."""
        transport: Any = self._writer.transport  # its type leaves out the reading half
        transport.pause_reading()

    async def gone(self) -> None:
        """Wait until the client has closed its end."""
        try:
            while await self._reader.read(65_536):
                pass
        except ConnectionError:
            pass


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


Answer = Callable[[Asked, Talk], Awaitable[None]]


async def hello(_asked: Asked, talk: Talk) -> None:
    await talk.stream(b"data: hello\n\n")


@dataclass
class Peer:
    """Answers every request by `answer`; used as a context manager."""

    answer: Answer = hello
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    accepted: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _change: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        assert self._server is not None
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def arrived(self, number: int = 1) -> Asked:
        """Wait for the `number`-th request."""
        await self._until(lambda: len(self.asked) >= number)
        return self.asked[number - 1]

    async def connected(self, number: int = 1) -> None:
        """Wait for the `number`-th connection."""
        await self._until(lambda: self.accepted >= number)

    async def deserted(self) -> None:
        """Wait until no connection is open."""
        await self._until(lambda: not self._open)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await self.deserted()

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._change:
            await self._change.wait_for(condition)

    async def _changed(self) -> None:
        async with self._change:
            self._change.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.accepted += 1
        number, turn = self.accepted, 0
        await self._changed()
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
                turn += 1
                body = await reader.readexactly(_length(head))
                asked = Asked(connection=number, turn=turn, head=head, body=body)
                self.asked.append(asked)
                await self._changed()
                await self.answer(asked, Talk(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            self._open.discard(writer)
            await self._changed()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length: "):
            return int(line.removeprefix(b"content-length: "))
    return 0
