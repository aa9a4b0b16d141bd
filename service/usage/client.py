"""How a Redis client is made here: from one URL to a client that survives what servers do.

`Address.parse` reads `REDIS_URL`; beside redis-py's own forms it takes several hosts:

    redis://[user:password@]host[:6379][/database]      rediss:// over TLS
    unix:///path/to.sock[?db=0]
    redis+sentinel://[user:password@]host[:26379],host.../service[/database]
    redis+cluster://[user:password@]host[:6379],host...

`valkey` may stand for `redis` in all of them. Options after `?` are redis-py's: `protocol` (2 or
3), the `ssl_...` files and checks, and for Sentinel `sentinel_username`, `sentinel_password`.

`connect` then decides what redis-py 8.1 leaves open, each against a fault that was reproduced:

- One retry instead of ten. A command whose reply was lost is sent again, so only what may happen
  twice goes through these clients: scripts that know what they did, reads, SET, HSET, XACK.
  A bare XADD makes two entries that way.
- No maintenance notifications: with RESP3 they make the first command on a connection that went
  stale fail, and every connect costs two more round trips.
- `legacy_responses=False`: replies then have one shape whatever the protocol. RESP2 by default,
  as RESP3 has nothing that is used here.
- A bounded pool that waits for a free connection; redis-py's own raises where it is exhausted.
- No health checks. Where a server wants a password that is not given, the check on a connection
  that is being made fails, connects again, and checks that one, without end (8.1.0: until Python's
  recursion limit, a thousand connections later). A connection that went stale is what the retry
  is for. Every answer has 5 s.

Lifetime: a client belongs to who called `connect`, who calls `close`; it may outlive any number of
servers, and a publisher or consumer replaces it after every failure nevertheless, because clients
of a cluster are known to leak connections on write errors (redis-py #4110).

Left out: credentials that expire (credential providers), clusters behind address translation.
"""

import asyncio
import logging
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, UnixDomainSocketConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from service import tasks

log = logging.getLogger(__name__)

Client = Redis | RedisCluster
"""What `connect` gives; both know the commands that are used here."""


class AddressError(ValueError):
    """A URL that cannot be used; the text says what is wrong and never holds the password."""


class Layout(Enum):
    """How the servers behind an address are arranged."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is and how to get in."""

    layout: Layout
    hosts: tuple[tuple[str, int], ...] = ()
    """Host and port: one, or the Sentinels, or any nodes of the cluster."""

    path: str | None = None
    """Of a unix socket, instead of hosts."""

    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    service: str | None = None
    """What the Sentinels call the master."""

    protocol: int = 2
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Of TLS and of the Sentinels, by redis-py's names."""

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read a URL of the forms above; raises AddressError."""
        try:
            split = urlsplit(url.strip())
            scheme = re.sub(r"^valkey", "redis", split.scheme)
            layout = _LAYOUTS[scheme]
        except (KeyError, ValueError):
            raise AddressError(f"must begin with one of {', '.join(_LAYOUTS)}, and ://") from None
        user, _, hosts = split.netloc.rpartition("@")
        username, _, password = user.partition(":")
        options = _options(split.query)
        unix = scheme == "unix"
        service, database = _inside(layout, "" if unix else split.path, options.pop("db", None))
        return cls(
            layout=layout,
            hosts=() if unix else _hosts(hosts, layout),
            path=_socket(split.path) if unix else None,
            tls=scheme.startswith("rediss"),
            username=unquote(username) or None,
            password=unquote(password) or None,
            database=database,
            service=service,
            protocol=_PROTOCOLS[options.pop("protocol", "2")],
            options=tuple(options.items()),
        )

    @property
    def url(self) -> str:
        """The address for people and `/healthz`: without the password and the options."""
        user = f"{quote(self.username)}@" if self.username else ""
        place = f"/{self.database}" if self.database else ""
        if self.path is not None:
            return f"unix://{user}{quote(self.path)}" + (f"?db={self.database}" if place else "")
        hosts = ",".join(f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in self.hosts)
        scheme = "rediss" if self.tls else "redis"
        if self.layout is not Layout.SINGLE:
            scheme = f"{scheme}+{self.layout.value}"
        service = f"/{quote(self.service)}" if self.service else ""
        return f"{scheme}://{user}{hosts}{service}{place}"


def connect(address: Address, *, connections: int = 8, timeout: float = 5) -> Client:
    """Make a client; nothing is sent before its first command.

    Args:
        address: From `Address.parse`.
        connections: Most that are open at once, on a cluster to each node; who needs one more
            waits up to `timeout` for it.
        timeout: Seconds for connecting and for any answer; longer than any BLOCK.
    """
    return _MAKERS[address.layout](address, connections, timeout)


async def close(client: Client) -> None:
    """Close a client from `connect` with everything that it opened; raises nothing.

    redis-py 8.1 raises where an idle TLS connection to a server that is frozen is closed, after a
    timeout. Who closes a client does so for good, and mostly on the way out of a failure, or
    cancelled: then it may be cancelled once more (`tasks.end`), and is so when all is closed.
    """
    closing = tasks.spawn(_quietly(client), name="close a client of Redis")
    cancelled = None
    while not closing.done():
        try:
            await asyncio.wait([closing])
        except asyncio.CancelledError as told:
            cancelled = told
    if cancelled is not None:
        raise cancelled


async def _quietly(client: Client) -> None:
    try:
        await _closed(client)
    except (RedisError, OSError) as failure:
        log.debug("a connection to Redis did not close as it should: %s", failure)


async def _closed(client: Client) -> None:
    await client.aclose()
    if isinstance(client, RedisCluster):
        return
    pool = client.connection_pool
    await pool.disconnect()
    if isinstance(pool, SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


# --- URLs -----------------------------------------------------------------------------------

_LAYOUTS: Final = {
    "redis": Layout.SINGLE,
    "rediss": Layout.SINGLE,
    "unix": Layout.SINGLE,
    "redis+sentinel": Layout.SENTINEL,
    "rediss+sentinel": Layout.SENTINEL,
    "redis+cluster": Layout.CLUSTER,
    "rediss+cluster": Layout.CLUSTER,
}
_PORTS: Final = {Layout.SINGLE: 6379, Layout.SENTINEL: 26379, Layout.CLUSTER: 6379}
_TCP: Final = range(1, 65_536)
_PROTOCOLS: Final = {"2": 2, "3": 3}
_DATABASE: Final = re.compile(r"\d{1,5}")
_HOST: Final = re.compile(
    r"(?:\[(?P<six>[\da-fA-F:.%]+)\]|(?P<name>[\w.-]+))(?::(?P<port>\d{1,5}))?"
)

_ANY: Final = re.compile(r".+", re.DOTALL)
_OPTIONS: Final = {
    "db": (_DATABASE, "a database's number"),
    "protocol": (re.compile("[23]"), "2 or 3"),
    "sentinel_password": (_ANY, "a password"),
    "sentinel_username": (_ANY, "a name"),
    "ssl_ca_certs": (_ANY, "a file"),
    "ssl_cert_reqs": (re.compile("required|optional|none"), "required, optional or none"),
    "ssl_certfile": (_ANY, "a file"),
    "ssl_check_hostname": (re.compile("true|false"), "true or false"),
    "ssl_keyfile": (_ANY, "a file"),
}


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in options.items():
        if name not in _OPTIONS:
            raise AddressError(f"{name[:64]}: no such option; known are {', '.join(_OPTIONS)}")
        pattern, allowed = _OPTIONS[name]
        if not pattern.fullmatch(value):
            raise AddressError(f"{name}: {value[:64]!r} is not allowed; must be {allowed}")
    return options


def _hosts(text: str, layout: Layout) -> tuple[tuple[str, int], ...]:
    hosts = []
    for part in text.split(","):
        found = _HOST.fullmatch(part)
        port = int(found["port"] or _PORTS[layout]) if found else 0
        if found is None or port not in _TCP:
            raise AddressError(f"{part[:64]!r} is not a host, host:port or [address]:port")
        hosts.append((found["six"] or found["name"], port))
    if layout is Layout.SINGLE and len(hosts) > 1:
        raise AddressError(f"{text[:64]!r}: redis:// takes one host; is it a cluster?")
    return tuple(hosts)


def _socket(path: str) -> str:
    if path in {"", "/"}:
        raise AddressError("unix:// wants a socket's absolute path, as in unix:///run/redis.sock")
    return unquote(path)


def _inside(layout: Layout, path: str, database: str | None) -> tuple[str | None, int]:
    """The Sentinels' name for the service and the database, which a URL's path holds."""
    parts = [unquote(part) for part in path.split("/") if part]
    service = None
    if layout is Layout.SENTINEL:
        if not parts:
            raise AddressError("Sentinels want the service's name after the hosts, as in /mymaster")
        service = parts.pop(0)
    if database is not None:
        parts.append(database)
    number = parts.pop() if parts else "0"
    if parts or not _DATABASE.fullmatch(number):
        raise AddressError(f"{path[:64]!r} is not a database's number")
    if layout is Layout.CLUSTER and int(number):
        raise AddressError(f"a cluster has no database {number}, only 0")
    return service, int(number)


# --- Clients --------------------------------------------------------------------------------

_BACKOFF: Final = {"base": 0.05, "cap": 0.5}  # seconds, before the one retry


def _common(address: Address, timeout: float) -> dict[str, Any]:
    """What every client gets, by redis-py's names."""
    return {
        "username": address.username,
        "password": address.password,
        "protocol": address.protocol,
        "legacy_responses": False,
        "socket_timeout": timeout,
        "health_check_interval": 0,
        "retry": Retry(ExponentialWithJitterBackoff(**_BACKOFF), 1),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "client_name": "tailrace",
    }


def _over_tcp(address: Address, timeout: float) -> dict[str, Any]:
    return {"socket_connect_timeout": timeout, "socket_keepalive": True, **_tls(address)}


def _tls(address: Address) -> dict[str, Any]:
    if not address.tls:
        return {}
    given: dict[str, Any] = {n: v for n, v in address.options if n.startswith("ssl_")}
    if "ssl_check_hostname" in given:
        given["ssl_check_hostname"] = given["ssl_check_hostname"] == "true"
    return given


def _single(address: Address, connections: int, timeout: float) -> Client:
    common = _common(address, timeout) | {"db": address.database}
    pool = BlockingConnectionPool(
        max_connections=connections, timeout=timeout, **common, **_way(address, timeout)
    )
    return Redis.from_pool(pool)


def _way(address: Address, timeout: float) -> dict[str, Any]:
    if address.path is not None:
        return {"connection_class": UnixDomainSocketConnection, "path": address.path}
    ((host, port),) = address.hosts
    kind = SSLConnection if address.tls else Connection
    return {"connection_class": kind, "host": host, "port": port, **_over_tcp(address, timeout)}


def _by_sentinel(address: Address, connections: int, timeout: float) -> Client:
    del connections  # redis-py has no pool for Sentinels that waits; theirs is left unbounded
    options = dict(address.options)
    tls = {"ssl": address.tls, **_over_tcp(address, timeout)}
    common = _common(address, timeout)
    theirs = common | {
        "username": options.get("sentinel_username"),
        "password": options.get("sentinel_password"),
    }
    make: Any = Sentinel  # its constructor has no types
    master: Redis = make(address.hosts, sentinel_kwargs=theirs | tls).master_for(
        address.service, db=address.database, **common, **tls
    )
    return master


def _cluster(address: Address, connections: int, timeout: float) -> Client:
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
        max_connections=connections,
        ssl=address.tls,
        # A shard that is away must not keep the others' events from being published.
        require_full_coverage=False,
        **_common(address, timeout),
        **_over_tcp(address, timeout),
    )


_MAKERS: Final = {
    Layout.SINGLE: _single,
    Layout.SENTINEL: _by_sentinel,
    Layout.CLUSTER: _cluster,
}
