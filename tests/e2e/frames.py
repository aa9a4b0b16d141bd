"""WebSocket frames by hand, right or wrong, on a connection of one's own: RFC 6455, section 5.

A library refuses to send what a test of malformed frames is made of, so nothing here minds. What
the server sends is read strictly: unmasked, no reserved bits, in as few bytes as its length needs.
"""

import asyncio
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from enum import IntEnum
from itertools import cycle
from urllib.parse import urlsplit

LIMIT = 10.0  # seconds
"""For one answer."""

MASK = b"\x37\xfa\x21\x3d"

RIGHT = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
"""What a handshake needs."""


class Op(IntEnum):
    """What a frame is; 3 to 7 and 11 to 15 are reserved."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


def frame(
    op: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes = MASK,
    length: int | None = None,
) -> bytes:
    """A client's frame. `length`: the one it claims; `mask`: empty for none."""
    claimed = len(payload) if length is None else length
    first, flag = fin << 7 | rsv << 4 | op, bool(mask) << 7
    if claimed < 126:
        head = struct.pack("!BB", first, flag | claimed)
    elif claimed < 65_536:
        head = struct.pack("!BBH", first, flag | 126, claimed)
    else:
        head = struct.pack("!BBQ", first, flag | 127, claimed)
    covered = bytes(a ^ b for a, b in zip(payload, cycle(mask), strict=False)) if mask else payload
    return head + mask + covered


def closing(code: int, reason: bytes = b"") -> bytes:
    """A client's close frame."""
    return frame(Op.CLOSE, struct.pack("!H", code) + reason)


class Peer:
    """A client that sends bytes and reads frames."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, *data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(b"".join(data))

    async def hear(self) -> tuple[Op, bytes] | None:
        """The next frame; None: the connection has ended."""
        async with asyncio.timeout(LIMIT):
            try:
                first, second = await self._reader.readexactly(2)
                length = second
                if second >= 126:
                    wide = await self._reader.readexactly(2 if second == 126 else 8)
                    length = int.from_bytes(wide, "big")
                    assert length >= (126 if second == 126 else 65_536), "a length with zeros"
                assert second < 0x80, "a server's frame with a mask"
                assert first & 0xF0 == 0x80, "a part of a message, or reserved bits"
                return Op(first & 0xF), await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None

    async def hear_text(self) -> bytes:
        """The next message; pings and pongs that come before it are passed over."""
        while heard := await self.hear():
            op, payload = heard
            if op is Op.TEXT:
                return payload
            assert op in {Op.PING, Op.PONG}, f"{op.name} {payload!r} instead of a message"
        message = "the connection ended instead of a message"
        raise AssertionError(message)

    async def closed(self) -> int | None:
        """The code that the connection is closed with; None: it ended without any.

        What is said before is passed over, and a close is answered, as a client does.
        """
        while heard := await self.hear():
            op, payload = heard
            if op is Op.CLOSE:
                code: int = struct.unpack("!H", payload[:2])[0]
                payload[2:].decode()
                with suppress(ConnectionError):
                    self.send(closing(1000))
                assert await self.hear() is None, "something came behind a close"
                return code
        return None

    async def leave(self) -> int | None:
        """End one's side of the connection, as a client does that died; as `closed`."""
        self._writer.write_eof()
        return await self.closed()


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    """A connection to where a URL is."""
    at = urlsplit(url)
    assert at.hostname is not None
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def handshake(url: str, headers: Mapping[str, str] = RIGHT) -> bytes:
    """The request for a WebSocket; a header that is empty is left out."""
    at = urlsplit(url)
    named = {"Host": at.netloc, **headers}
    lines = (f"{name}: {value}\r\n" for name, value in named.items() if value)
    return f"GET {at.path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


@asynccontextmanager
async def peer(
    url: str, headers: Mapping[str, str] = RIGHT, *, early: bytes = b""
) -> AsyncIterator[Peer]:
    """A WebSocket, its handshake done. `early`: sent in one with it."""
    async with connection(url) as (reader, writer):
        writer.write(handshake(url, headers) + early)
        async with asyncio.timeout(LIMIT):
            head = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head.partition(b"\r\n")[0], head
        yield Peer(reader, writer)
