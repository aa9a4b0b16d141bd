"""A real server of each kind, for the limits that processes share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.usage.servers import SERVERS, Server, binary


@pytest.fixture(params=SERVERS)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """One that this machine has; it is killed at the end."""
    server = await Server(binary(request.param), tmp_path / "server").start()
    yield server
    await server.kill()
