import pytest

from adapters.clients.transport import Connections
from adapters.errors import UpstreamError
from adapters.events import ErrorCode
from tests.adapters.clients.calls import BODY, ask, client, encoded
from tests.adapters.clients.peer import PATIENCE, Asked, Peer, Talk


async def test_a_request_is_the_sdks_with_our_body_and_no_header_that_was_not_stated(
    connections: Connections, peer: Peer
) -> None:
    await ask("mistral", peer.url, connections)
    (asked,) = peer.asked
    assert asked.line == "POST /v1/chat/completions HTTP/1.1"
    assert asked.body == BODY
    headers = asked.stated
    assert headers.pop("user-agent").startswith("mistral-client-python/3.")
    assert headers == {
        "authorization": "Bearer test-key-mistral",
        "accept": "text/event-stream",
        "content-type": "application/json",
    }


async def test_the_path_is_appended_to_whatever_the_address_holds(
    connections: Connections, peer: Peer
) -> None:
    await ask("mistral", f"{peer.url}/team%20a/", connections, **{"X-Of-This": "call"})
    assert peer.asked[0].line == "POST /team%20a/chat/completions HTTP/1.1"
    assert peer.asked[0].headers["X-Of-This"] == "call"


async def test_a_deprecated_models_answer_streams_all_the_same(
    connections: Connections, peer: Peer
) -> None:
    # The SDK's own hook would look for the model in a body that has not come yet, and fail.
    async def deprecated(_asked: Asked, talk: Talk) -> None:
        headers = (
            "Content-Type: text/event-stream\r\n"
            "X-Model-Deprecation-Timestamp: 2026-12-01T00:00:00Z\r\n"
        )
        await talk.whole(b"data: 1\n\n", headers=headers)

    peer.answer = deprecated
    upstream, body = await ask("mistral", peer.url, connections)
    assert body == b"data: 1\n\n"
    assert upstream.headers["x-model-deprecation-timestamp"] == "2026-12-01T00:00:00Z"


async def test_an_error_status_is_classified_and_not_tried_again(
    connections: Connections, peer: Peer
) -> None:
    async def refuses(_asked: Asked, talk: Talk) -> None:
        headers = "Content-Type: application/json\r\n"
        await talk.whole(b'{"detail":"Unauthorized"}', status="401 No", headers=headers)

    peer.answer = refuses
    sdk = client("mistral", peer.url, connections)
    with pytest.raises(UpstreamError) as refusal:
        await sdk.send(encoded("mistral"), connect_timeout=PATIENCE)
    await sdk.close()
    assert refusal.value.error.code is ErrorCode.AUTH_PROVIDER
    assert len(peer.asked) == 1
