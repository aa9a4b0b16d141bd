"""Real servers, one per test that asks for one."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.service.usage.databases import KINDS, created, running_postgresql
from tests.service.usage.servers import SERVERS, Server, binary

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
