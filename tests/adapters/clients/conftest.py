"""Every test here runs on both event loops, and none may leave a connection behind."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.clients.transport import Connections
from tests.adapters.clients.peer import PATIENCE, Peer


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    del config, item
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer() as peer:
        yield peer


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    connections = Connections()
    await connections.open()
    yield connections
    assert in_use(connections) == 0
    await connections.close()


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """For a peer that speaks TLS, signed by nobody but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = tmp_path / "certificate.pem"
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def in_use(connections: Connections) -> int:
    """Connections that a request holds."""
    sessions = (connections._session, connections._fresh)
    return sum(len(s.connector._acquired) for s in sessions if s and s.connector)


def idle(connections: Connections) -> int:
    """Connections that wait to be reused."""
    session = connections._session
    assert session is not None
    assert session.connector is not None
    return sum(len(pool) for pool in session.connector._conns.values())


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until something holds that nothing announces."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)
