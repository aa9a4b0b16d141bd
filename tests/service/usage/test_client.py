"""URLs, and the clients made from them, against real servers, Sentinels and a cluster."""

import asyncio
import shutil
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import RedisCluster
from redis.exceptions import AuthenticationError, RedisError

from service import tasks
from service.usage.client import Address, AddressError, Layout, close, connect
from tests.service.usage.proxy import Proxy
from tests.service.usage.servers import Server, free_port, until


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("redis://localhost", Address(Layout.SINGLE, (("localhost", 6379),))),
        ("valkey://h:1/3", Address(Layout.SINGLE, (("h", 1),), database=3)),
        ("redis://[::1]:7/", Address(Layout.SINGLE, (("::1", 7),))),
        (
            "rediss://u%40x:p%2Fw@h?ssl_cert_reqs=none&protocol=3",
            Address(
                Layout.SINGLE,
                (("h", 6379),),
                tls=True,
                username="u@x",
                password="p/w",
                protocol=3,
                options=(("ssl_cert_reqs", "none"),),
            ),
        ),
        ("redis://:p@h", Address(Layout.SINGLE, (("h", 6379),), password="p")),
        ("unix:///run/a%20b.sock?db=4", Address(Layout.SINGLE, path="/run/a b.sock", database=4)),
        (
            "redis+sentinel://a,b:1/main/2?sentinel_password=x",
            Address(
                Layout.SENTINEL,
                (("a", 26379), ("b", 1)),
                service="main",
                database=2,
                options=(("sentinel_password", "x"),),
            ),
        ),
        ("rediss+cluster://a:1,b", Address(Layout.CLUSTER, (("a", 1), ("b", 6379)), tls=True)),
    ],
)
def test_a_url_says_where_redis_is(url: str, meant: Address) -> None:
    assert Address.parse(url) == meant


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "must begin with one of redis, rediss, unix"),
        ("http://h", "must begin with one of"),
        ("redis://", "'' is not a host"),
        ("redis://h:0", "'h:0' is not a host"),
        ("redis://h:65536", "'h:65536' is not a host"),
        ("redis://a,b", "takes one host"),
        ("redis://h/x", "'/x' is not a database's number"),
        ("redis://h/1/2", "'/1/2' is not a database's number"),
        ("redis://h?db=x", "db: 'x' is not allowed; must be a database's number"),
        ("redis://h?protocol=4", "protocol: '4' is not allowed; must be 2 or 3"),
        ("redis://h?socket_timeout=1", "socket_timeout: no such option; known are db, protocol"),
        ("redis+sentinel://h", "Sentinels want the service's name"),
        ("redis+cluster://h/1", "a cluster has no database 1"),
        ("unix://", "unix:// wants a socket's absolute path"),
    ],
)
def test_a_url_that_cannot_be_used_is_answered_with_what_is_wrong(url: str, said: str) -> None:
    with pytest.raises(AddressError) as failure:
        Address.parse(url)
    assert said in str(failure.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@h/1", "redis://h:6379/1"),
        ("rediss://u:secret@[::1]", "rediss://u@[::1]:6379"),
        ("unix:///run/r.sock?db=2", "unix:///run/r.sock?db=2"),
        ("redis+sentinel://a:1,b/main", "redis+sentinel://a:1,b:26379/main"),
        ("rediss+cluster://u:secret@a,b?ssl_certfile=f", "rediss+cluster://u@a:6379,b:6379"),
    ],
)
def test_what_is_shown_of_an_address_holds_no_secret(url: str, shown: str) -> None:
    address = Address.parse(url)
    assert address.url == shown
    assert "secret" not in repr(address)


@pytest.mark.parametrize("protocol", [2, 3])
async def test_replies_have_one_shape_whatever_the_protocol(server: Server, protocol: int) -> None:
    client = connect(replace(server.address, protocol=protocol))
    await client.xgroup_create("s", "g", mkstream=True)
    await client.xadd("s", {"a": "1"}, id="1-1")
    assert await client.xreadgroup("g", "c", {"s": ">"}) == {b"s": [(b"1-1", {b"a": b"1"})]}
    assert await client.xreadgroup("g", "c", {"s": ">"}) == {}
    assert (await client.xpending("s", "g"))["pending"] == 1
    await close(client)


async def test_who_finds_all_connections_taken_waits_for_one(server: Server) -> None:
    client = connect(server.address, connections=2)
    counted = await asyncio.gather(*(client.incr("n") for _ in range(50)))
    assert sorted(counted) == list(range(1, 51))
    # And the one that asks.
    assert (await server.ask("INFO", "clients"))["connected_clients"] == 2 + 1
    await close(client)


async def test_a_wrong_password_is_an_error_and_not_a_flood_of_connections(server: Server) -> None:
    before = (await server.ask("INFO", "stats"))["total_connections_received"]
    await server.ask("CONFIG", "SET", "requirepass", "test-key-redis")
    for address in (server.address, replace(server.address, password="wrong")):
        client = connect(address)
        with pytest.raises((AuthenticationError, RedisError)):
            await client.get("x")
        await close(client)
    right = connect(replace(server.address, password="test-key-redis"))
    after = (await right.info("stats"))["total_connections_received"]
    await close(right)
    assert after - before < 10


@pytest.fixture
async def certificate(tmp_path: Path) -> Path:
    """A file with a certificate for localhost and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    path = tmp_path / "localhost.pem"
    # fmt: off
    process = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        "-keyout", path, "-out", path.with_suffix(".crt"), stderr=asyncio.subprocess.DEVNULL,
    )
    # fmt: on
    assert await process.wait() == 0
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


async def test_over_tls_a_server_is_trusted_by_its_certificate_only(
    server: Server, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with Proxy(server.folder / "s", context) as proxy:
        ((_, port),) = proxy.address.hosts
        trusting = connect(
            Address.parse(f"rediss://localhost:{port}?ssl_ca_certs={certificate}"), timeout=2
        )
        assert await trusting.set("over", "tls")
        await close(trusting)
        wary = connect(Address.parse(f"rediss://localhost:{port}"), timeout=2)
        with pytest.raises(RedisError, match="CERTIFICATE_VERIFY_FAILED"):
            await wary.get("over")
        await close(wary)
    assert await server.ask("GET", "over") == b"tls"


YES = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    with context.wrap_socket(server.accept()[0], server_side=True) as connection:
        while asked := connection.recv(65536):
            connection.sendall(b"+OK\\r\\n" * asked.count(b"*"))
"""
"""A server over TLS that says yes to every command."""


async def test_closing_raises_nothing_though_the_other_side_of_tls_is_frozen(
    certificate: Path,
) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", YES, str(certificate), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    port = int(await server.stdout.readline())
    client = connect(
        Address.parse(f"rediss://localhost:{port}?ssl_ca_certs={certificate}"), timeout=0.5
    )
    try:
        assert await client.set("a", "b")
        server.send_signal(signal.SIGSTOP)
        await close(client)
    finally:
        server.kill()
        await server.wait()


async def test_whoever_is_cancelled_while_closing_has_closed_all_the_same(server: Server) -> None:
    client = connect(server.address)
    await client.set("a", "b")
    pool = client.connection_pool
    held = list(pool._available_connections)
    closing = tasks.spawn(close(client), name="close")
    for _ in range(3):
        await asyncio.sleep(0)
        closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()
    assert not any(connection.is_connected for connection in held)


# --- Sentinels and a cluster ----------------------------------------------------------------


@pytest.fixture
async def sentinel(executable: str, tmp_path: Path) -> AsyncIterator[tuple[Server, Address]]:
    """A server that a Sentinel knows as `main`."""
    port, sentinel_port = free_port(), free_port()
    master = await Server(executable, tmp_path / "master", "--port", str(port)).start()
    folder = tmp_path / "sentinel"
    folder.mkdir()
    (folder / "sentinel.conf").write_text(
        f"port {sentinel_port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {port} 1\n"
    )
    process = await asyncio.create_subprocess_exec(
        executable, "sentinel.conf", "--sentinel", cwd=folder, stdout=asyncio.subprocess.DEVNULL
    )
    yield master, Address.parse(f"redis+sentinel://127.0.0.1:{sentinel_port}/main")
    process.kill()
    await process.wait()
    await master.kill()


async def test_the_master_is_found_by_way_of_the_sentinels(
    sentinel: tuple[Server, Address],
) -> None:
    master, address = sentinel

    async def found() -> bool:
        client = connect(address)
        try:
            return bool(await client.set("by", "sentinel"))
        except RedisError:
            return False
        finally:
            await close(client)

    await until(found)
    assert await master.ask("GET", "by") == b"sentinel"


async def test_a_cluster_is_one_client(cluster: list[Server]) -> None:
    client = connect(cluster[0].as_cluster())
    assert isinstance(client, RedisCluster)
    for number in range(20):
        await client.set(f"key-{number}", number)
    assert [await client.get(f"key-{number}") for number in range(20)] == [
        str(number).encode() for number in range(20)
    ]
    await close(client)
