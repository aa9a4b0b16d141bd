"""What has arrived, by real sockets: a peer that reads, one that does not, one that leaves."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from service.http import receipt


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """A connection's transport here, and the peer's socket, which nobody reads."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        peer.connect(listening.getsockname())
        accepted, _ = listening.accept()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=accepted)
        try:
            yield transport, peer
        finally:
            transport.abort()
            await asyncio.sleep(0)


async def test_what_a_peer_takes_has_arrived() -> None:
    async with connected() as (transport, _):
        assert await receipt.arrived(transport, 5)
        transport.write(b"x" * 100)
        assert await receipt.arrived(transport, 5)


@pytest.mark.parametrize("size", [100_000, 100_000_000], ids=["the kernel's", "the transport's"])
async def test_what_was_written_to_a_peer_that_takes_nothing_has_not_arrived(size: int) -> None:
    async with connected() as (transport, _):
        transport.write(b"x" * size)
        assert not await receipt.arrived(transport, 0.05)


async def test_what_arrives_late_has_arrived() -> None:
    size = 100_000
    async with connected() as (transport, peer), asyncio.TaskGroup() as group:
        transport.write(b"x" * size)
        waiting = group.create_task(receipt.arrived(transport, 10))
        reading = group.create_task(asyncio.to_thread(_read, peer, size))
        assert await waiting
        assert await reading == size


async def test_nothing_arrives_where_the_connection_ends() -> None:
    async with connected() as (transport, _), asyncio.TaskGroup() as group:
        transport.write(b"x" * 100_000)
        waiting = group.create_task(receipt.arrived(transport, 10))
        await asyncio.sleep(0)
        transport.abort()
        assert not await waiting
    assert not await receipt.arrived(None, 10)


class Untold(asyncio.Transport):
    """One whose system does not know what a socket's peer has acknowledged."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__({"socket": file})

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


async def test_where_nobody_can_tell_nothing_has_arrived(tmp_path: Path) -> None:
    with (tmp_path / "no-socket").open("wb") as file:
        transport: Any = Untold(file)
        assert receipt.unacknowledged(transport) is None
        assert not await receipt.arrived(transport, 10)


def _read(peer: socket.socket, size: int) -> int:
    got = 0
    while got < size:
        got += len(peer.recv(size))
    return got
