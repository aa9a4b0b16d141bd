"""What a real server answers instead of doing as it is told: how each is provoked, and ended."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service import tasks
from tests.service.usage.servers import Server, until

Step = Callable[[Server], Awaitable[None]]

PASSWORD = "test-key-redis"


def _command(*command: str) -> Step:
    async def ask(server: Server) -> None:
        await server.ask(*command)

    return ask


async def _refuse_writes(server: Server) -> None:
    """As with a disk that is full: a snapshot fails, and writes are refused from then on."""
    (server.folder / "dump.rdb").mkdir()
    await server.ask("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes")
    await server.ask("CONFIG", "SET", "save", "3600 1")
    await server.ask("SET", "x", "1")
    await server.ask("BGSAVE")
    await until(lambda: _snapshot_failed(server))


async def _allow_writes(server: Server) -> None:
    await server.ask("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
    await server.ask("CONFIG", "SET", "save", "")
    (server.folder / "dump.rdb").rmdir()


async def _snapshot_failed(server: Server) -> bool:
    return (await server.ask("INFO", "persistence"))["rdb_last_bgsave_status"] == "err"


async def _be_busy(server: Server) -> None:
    await server.ask("CONFIG", "SET", "lua-time-limit", "1")
    tasks.spawn(_swallow(server, "EVAL", "while true do end", "0"), name="busy script")
    await until(lambda: _refuses(server, "BUSY"))


async def _load(server: Server) -> None:
    """Read its files again, three seconds long; needs `--enable-debug-command yes`."""
    await server.ask("CONFIG", "SET", "key-load-delay", "10000")
    await server.ask("CONFIG", "SET", "loading-process-events-interval-bytes", "1024")
    await server.ask("DEBUG", "POPULATE", "300", "filler", "2048")
    tasks.spawn(_swallow(server, "DEBUG", "RELOAD"), name="loading")
    await until(lambda: _refuses(server, "LOADING"))


async def _have_loaded(server: Server) -> None:
    await until(server.answers)
    await server.ask("CONFIG", "SET", "key-load-delay", "0")
    (server.folder / "dump.rdb").unlink()


async def _require_password(server: Server) -> None:
    """From everybody: who is connected is let go."""
    await server.ask("CONFIG", "SET", "requirepass", PASSWORD)
    client = Redis(unix_socket_path=server.address.path, password=PASSWORD)
    await client.client_kill_filter(_type="normal", skipme=True)
    await client.aclose()


async def _drop_password(server: Server) -> None:
    client = Redis(unix_socket_path=server.address.path, password=PASSWORD)
    await client.config_set("requirepass", "")
    await client.aclose()


async def _refuses(server: Server, word: str) -> bool:
    try:
        await server.ask("GET", "x")
    except RedisError as failure:
        return word in f"{getattr(failure, 'status_code', '')} {failure}".split()[:2]
    return False


async def _swallow(server: Server, *command: str) -> None:
    with suppress(RedisError):
        await server.ask(*command)


REFUSALS: dict[str, tuple[Step, Step]] = {
    "MISCONF": (_refuse_writes, _allow_writes),
    "OOM": (
        _command("CONFIG", "SET", "maxmemory", "1"),
        _command("CONFIG", "SET", "maxmemory", "0"),
    ),
    "READONLY": (
        _command("REPLICAOF", "127.0.0.1", "1"),
        _command("REPLICAOF", "NO", "ONE"),
    ),
    "BUSY": (_be_busy, _command("SCRIPT", "KILL")),
    "NOAUTH": (_require_password, _drop_password),
    "NOREPLICAS": (
        _command("CONFIG", "SET", "min-replicas-to-write", "1"),
        _command("CONFIG", "SET", "min-replicas-to-write", "0"),
    ),
    "NOPERM": (
        _command("ACL", "SETUSER", "default", "-evalsha", "-eval"),
        _command("ACL", "SETUSER", "default", "+@all"),
    ),
}
"""The first word of the answer -> how it comes to it, and how it ends."""

LOADING = (_load, _have_loaded)
"""The same of `LOADING`, which ends by itself."""
