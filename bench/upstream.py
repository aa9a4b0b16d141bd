"""A provider that costs almost nothing: pre-rendered chat-completions chunks on a raw protocol.

The relay under test shares two cores with this and with the load, so both are written on bare
asyncio protocols; an aiohttp server here would eat the time that is to be measured. It reads a
request up to the end of its headers and body, and answers with `chunks` chunks of about 300 bytes,
`gap` seconds apart. The model name chooses: `bench` plays them all, `bench-idle` one and
then nothing until the client leaves, `bench-silent` headers only, `bench-mute` not even headers.

Runs as a process: `python -m bench.upstream PORT`. Each time a client leaves before the end, a line
`left <unix nanoseconds>` goes to standard output, for the disconnect figures.
"""

import asyncio
import sys
import time
from typing import cast

import orjson
import uvloop

CHUNKS = 200
GAP = 0.010  # seconds
TEXT = "river "

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"Connection: keep-alive\r\n\r\n"
)


def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    """One event in the shape and size that the provider's own have (about 300 bytes)."""
    body = orjson.dumps(
        {
            "id": "chatcmpl-Bench0123456789abcdefghijkl",
            "object": "chat.completion.chunk",
            "created": 1_795_392_000,
            "model": "gpt-6.1-terra-2026-09-01",
            "service_tier": "default",
            "system_fingerprint": "fp_0123456789",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
            "usage": None,
            "obfuscation": "0123456789abcdef",
        }
    )
    return framed(b"data: %b\n\n" % body)


def framed(data: bytes) -> bytes:
    """HTTP chunk framing."""
    return b"%x\r\n%b\r\n" % (len(data), data)


TOKEN = chunk({"content": TEXT})
FIRST = chunk({"role": "assistant", "content": ""}) + TOKEN
LAST = chunk({}, "stop") + framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Provider(asyncio.Protocol):
    """One connection; requests one after the other."""

    def __init__(self) -> None:
        """Nothing read yet."""
        self._buffer = bytearray()
        self._left = 0
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        """Collect a request; answer it once its body is whole."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        size = 0
        for line in bytes(self._buffer[:end]).lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                size = int(line[15:])
        if len(self._buffer) < end + 4 + size:
            return
        body = bytes(self._buffer[end + 4 : end + 4 + size])
        del self._buffer[: end + 4 + size]
        self._answer(body)

    def _answer(self, body: bytes) -> None:
        self._busy = True
        if b'"bench-mute"' in body:
            return
        if b'"bench-silent"' in body:
            self._transport.write(HEAD)
            return
        self._transport.write(HEAD + FIRST)
        if b'"bench-idle"' in body:
            return
        self._left = CHUNKS - 1
        loop = asyncio.get_running_loop()
        self._due = loop.time() + GAP
        self._timer = loop.call_at(self._due, self._next)

    def _next(self) -> None:
        if self._left == 0:
            self._busy = False
            self._transport.write(LAST)
            return
        self._left -= 1
        self._transport.write(TOKEN)
        self._due += GAP
        self._timer = asyncio.get_running_loop().call_at(self._due, self._next)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say when a client left in the middle."""
        del exc
        if self._timer is not None:
            self._timer.cancel()
        if self._busy:
            print(f"left {time.time_ns()}", flush=True)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", port, backlog=4096)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
