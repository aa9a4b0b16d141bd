import openai
import pytest

from adapters.clients import factory
from adapters.clients.transport import Connections
from adapters.contract import Endpoint
from adapters.errors import UpstreamError
from adapters.registry import COMPATIBLE
from tests.adapters.clients.calls import BODY, ask, client, encoded, endpoint
from tests.adapters.clients.peer import PATIENCE, Asked, Peer, Talk

EVENTS = "text/event-stream"


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


async def test_the_path_is_appended_to_whatever_the_address_holds(
    connections: Connections, peer: Peer
) -> None:
    for address in (f"{peer.url}/team%20a/v1", f"{peer.url}/v4/"):
        await ask("openai", address, connections)
    paths = [asked.line.split()[1] for asked in peer.asked]
    assert paths == ["/team%20a/v1/chat/completions", "/v4/chat/completions"]


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


async def test_the_nearer_word_on_a_header_holds(connections: Connections, peer: Peer) -> None:
    sdk = factory.build(
        endpoint("openai", peer.url, **{"X-Title": "the provider's", "X-Kept": "yes"}), connections
    )
    call = encoded("openai", **{"X-Title": "of this call", "Accept": EVENTS})
    (await sdk.send(call, connect_timeout=PATIENCE)).close()
    await sdk.close()
    headers = peer.asked[0].headers
    assert (headers["X-Title"], headers["X-Kept"]) == ("of this call", "yes")
    assert headers.getall("Accept") == [EVENTS]


async def test_an_error_status_raises_the_sdks_error_as_the_cause_of_ours(
    connections: Connections, peer: Peer
) -> None:
    async def limits(_asked: Asked, talk: Talk) -> None:
        body = b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}'
        await talk.whole(body, status="429 No", headers="Content-Type: application/json\r\n")

    peer.answer = limits
    sdk = client("openai", peer.url, connections)
    with pytest.raises(UpstreamError) as refusal:
        await sdk.send(encoded("openai"), connect_timeout=PATIENCE)
    await sdk.close()
    assert isinstance(refusal.value.__cause__, openai.RateLimitError)
    assert len(peer.asked) == 1  # the SDK did not try again
