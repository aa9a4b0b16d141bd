"""Real servers, one per test that asks for one."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.service.usage.databases import KINDS, created, running_postgresql
from tests.service.usage.servers import SERVERS, Server, binary, free_port, until

StartServer = Callable[..., Awaitable[Server]]


@pytest.fixture(params=SERVERS)
def executable(request: pytest.FixtureRequest) -> str:
    """Each kind of server that this machine has."""
    return binary(request.param)


@pytest.fixture
async def start_server(executable: str, tmp_path: Path) -> AsyncIterator[StartServer]:
    """Starts a server with these options; it is killed at the end."""
    servers: list[Server] = []

    async def start(*options: str) -> Server:
        servers.append(Server(executable, tmp_path / f"server-{len(servers)}", *options))
        return await servers[-1].start()

    yield start
    for server in servers:
        await server.kill()


@pytest.fixture
async def server(start_server: StartServer) -> Server:
    """One server that appends to a log."""
    return await start_server("--appendonly", "yes")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """One PostgreSQL server for all."""
    with running_postgresql() as url:
        yield url


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind, without tables."""
    if request.param == "sqlite":
        return str(tmp_path / "usage" / "sums.db")
    return created(request.getfixturevalue("postgresql"))


@pytest.fixture
async def cluster(start_server: StartServer) -> list[Server]:
    """A cluster of two nodes, the first of which has every slot."""
    buses = [free_port(), free_port()]
    # fmt: off
    nodes = [
        await start_server(
            "--port", str(free_port()), "--bind", "127.0.0.1", "--cluster-enabled", "yes",
            "--cluster-port", str(bus), "--cluster-node-timeout", "1000",
        )
        for bus in buses
    ]
    # fmt: on
    await nodes[0].ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    await nodes[1].ask("CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port), str(buses[0]))

    async def agreed() -> bool:
        said = [await node.ask("CLUSTER", "INFO") for node in nodes]
        return all(b"cluster_state:ok" in info for info in said)

    await until(agreed)
    return nodes
