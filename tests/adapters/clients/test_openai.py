import openai
import pytest

from adapters.clients import factory
from adapters.clients.transport import Connections
from adapters.contract import Endpoint
from adapters.registry import COMPATIBLE
from tests.adapters.clients.calls import BODY, ask, encoded
from tests.adapters.clients.peer import PATIENCE, Peer


async def test_a_request_is_the_sdks_with_our_body_and_no_header_that_was_not_stated(
    connections: Connections, peer: Peer
) -> None:
    await ask("openai", peer.url, connections)
    (asked,) = peer.asked
    assert asked.line == "POST /v1/chat/completions HTTP/1.1"
    assert asked.body == BODY
    assert asked.stated == {
        "authorization": "Bearer test-key-openai",
        "accept": "application/json",
        "content-type": "application/json",
        "user-agent": f"AsyncOpenAI/Python {openai.__version__}",
    }


async def test_azure_gets_its_key_in_its_own_header(connections: Connections, peer: Peer) -> None:
    await ask("copilot", peer.url, connections)
    (asked,) = peer.asked
    assert asked.line == "POST /openai/v1/chat/completions HTTP/1.1"
    assert asked.headers["api-key"] == "test-key-copilot"
    assert "Authorization" not in asked.headers


async def test_a_server_without_a_key_gets_none(
    connections: Connections, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "test-key-openai")
    own = Endpoint(provider=COMPATIBLE, base_url=peer.url, key="")
    sdk = factory.build(own, connections)
    (await sdk.send(encoded("openai"), connect_timeout=PATIENCE)).close()
    await sdk.close()
    assert "Authorization" not in peer.asked[0].headers
    assert b"test-key" not in peer.asked[0].head
