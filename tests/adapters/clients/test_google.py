import pytest
from google.genai import errors

from adapters.clients.transport import Connections
from adapters.errors import UpstreamError
from adapters.events import ErrorCode
from tests.adapters.clients.calls import BODY, ask, client, encoded
from tests.adapters.clients.peer import PATIENCE, Asked, Peer, Talk


async def test_a_request_is_the_sdks_with_our_body_and_no_header_that_was_not_stated(
    connections: Connections, peer: Peer
) -> None:
    await ask("gemini", peer.url, connections)
    (asked,) = peer.asked
    path = "/v1beta/models/gemini-test:streamGenerateContent?alt=sse"
    assert asked.line == f"POST {path} HTTP/1.1"
    assert asked.body == BODY
    headers = asked.stated
    assert headers.pop("user-agent").startswith("google-genai-sdk/")
    assert headers.pop("x-goog-api-client").startswith("google-genai-sdk/")
    assert headers == {
        "x-goog-api-key": "test-key-gemini",
        "accept": "*/*",
        "content-type": "application/json",
    }


async def test_the_path_is_appended_to_whatever_the_address_holds(
    connections: Connections, peer: Peer
) -> None:
    for address in (f"{peer.url}/team%20a/v1", f"{peer.url}/v1/"):
        await ask("gemini", address, connections, **{"X-Of-This": "call"})
    paths = [asked.line.split()[1] for asked in peer.asked]
    model = "models/gemini-test:streamGenerateContent?alt=sse"
    assert paths == [f"/team%20a/v1/{model}", f"/v1/{model}"]
    assert peer.asked[0].headers["X-Of-This"] == "call"
    assert peer.asked[0].headers["x-goog-api-key"] == "test-key-gemini"


async def test_a_header_of_one_call_is_not_on_the_next(
    connections: Connections, peer: Peer
) -> None:
    sdk = client("gemini", peer.url, connections)
    for call in (encoded("gemini", **{"X-Of-This": "call"}), encoded("gemini")):
        upstream = await sdk.send(call, connect_timeout=PATIENCE)
        assert [part async for part in upstream.chunks()]
    await sdk.close()
    assert ["X-Of-This" in asked.headers for asked in peer.asked] == [True, False]


async def test_an_error_status_raises_the_sdks_error_as_the_cause_of_ours(
    connections: Connections, peer: Peer
) -> None:
    async def refuses(_asked: Asked, talk: Talk) -> None:
        body = b'{"error":{"code":400,"details":[{"reason":"API_KEY_INVALID"}]}}'
        await talk.whole(body, status="400 No", headers="Content-Type: application/json\r\n")

    peer.answer = refuses
    sdk = client("gemini", peer.url, connections)
    with pytest.raises(UpstreamError) as refusal:
        await sdk.send(encoded("gemini"), connect_timeout=PATIENCE)
    await sdk.close()
    assert refusal.value.error.code is ErrorCode.AUTH_PROVIDER
    assert isinstance(refusal.value.__cause__, errors.ClientError)
    assert len(peer.asked) == 1


async def test_a_dropped_connection_is_not_tried_again_after_some_seconds(
    connections: Connections, peer: Peer
) -> None:
    # As the SDK would do on its way over aiohttp.
    async def drops(_asked: Asked, talk: Talk) -> None:
        await talk.cut()

    peer.answer = drops
    sdk = client("gemini", peer.url, connections)
    with pytest.raises(UpstreamError):
        await sdk.send(encoded("gemini"), connect_timeout=PATIENCE)
    await sdk.close()
    assert len(peer.asked) == 1
