"""Clients that cost almost nothing: they open streams and count bytes.

Used inside the benchmark's own process, which is pinned to the core that the relay under test does
not have.
"""

import asyncio
from typing import cast

REQUEST = (
    b"POST /v1/streams HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Accept: text/event-stream\r\nContent-Length: %d\r\n\r\n%b"
)


def request(model: str, **fields: str) -> bytes:
    """The bytes of one native request."""
    extra = "".join(f',"{name}":"{value}"' for name, value in fields.items())
    body = (
        f'{{"model":"{model}","messages":[{{"role":"user","content":"Tell me of a river."}}]'
        f"{extra}}}"
    ).encode()
    return REQUEST % (len(body), body)


class Client(asyncio.Protocol):
    """One connection, one stream; `over` is set when the body is complete or the server left."""

    def __init__(self, payload: bytes, first: bytes = b"") -> None:
        """`first`: bytes whose arrival sets `began`; empty: any."""
        self._payload = payload
        self._first = first
        self._tail = b""
        self.received = 0  # bytes
        self.over = asyncio.Event()
        self.began: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self.transport.write(self._payload)

    def data_received(self, data: bytes) -> None:
        """Count; look for the first content and for the end of the chunked body."""
        self.received += len(data)
        if not self.began.done() and (not self._first or self._first in data):
            self.began.set_result(asyncio.get_running_loop().time())
        tail = (self._tail + data)[-7:]
        self._tail = tail
        if tail.endswith(b"\r\n0\r\n\r\n"):
            self.over.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server left."""
        del exc
        self.over.set()
        if not self.began.done():
            self.began.cancel()


async def connect(port: int, payload: bytes, first: bytes = b"") -> Client:
    """Open one stream."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(payload, first), "127.0.0.1", port)
    return client


async def run_streams(port: int, payload: bytes, streams: int, spread: float) -> list[Client]:
    """Open `streams` streams over `spread` seconds and wait for the end of all."""
    clients: list[Client] = []
    for _ in range(streams):
        clients.append(await connect(port, payload))
        await asyncio.sleep(spread / streams)
    for client in clients:
        await client.over.wait()
        client.transport.close()
    return clients
