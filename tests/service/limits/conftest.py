"""A real server of each kind, for the limits that processes share, and the usage's cluster."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.usage.conftest import cluster, executable, start_server
from tests.service.usage.servers import SERVERS, Server, binary

__all__ = ["cluster", "executable", "server", "start_server"]


@pytest.fixture(params=SERVERS)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """One that this machine has; it is killed at the end."""
    server = await Server(binary(request.param), tmp_path / "server").start()
    yield server
    await server.kill()
