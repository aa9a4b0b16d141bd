import anthropic
import pytest

from adapters.clients.transport import Connections
from adapters.errors import UpstreamError
from tests.adapters.clients.calls import BODY, ask, client, encoded
from tests.adapters.clients.peer import PATIENCE, Asked, Peer, Talk


async def test_a_request_is_the_sdks_with_our_body_and_no_header_that_was_not_stated(
    connections: Connections, peer: Peer
) -> None:
    await ask("claude", peer.url, connections)
    (asked,) = peer.asked
    assert asked.line == "POST /v1/messages HTTP/1.1"
    assert asked.body == BODY
    assert asked.stated == {
        "authorization": "Bearer test-key-claude",
        "accept": "application/json",
        "content-type": "application/json",
        "user-agent": f"AsyncAnthropic/Python {anthropic.__version__}",
        "anthropic-version": "2023-06-01",
    }


async def test_the_path_is_appended_to_whatever_the_address_holds(
    connections: Connections, peer: Peer
) -> None:
    await ask("claude", f"{peer.url}/team%20a/", connections, **{"X-Of-This": "call"})
    assert peer.asked[0].line == "POST /team%20a/v1/messages HTTP/1.1"
    assert peer.asked[0].headers["X-Of-This"] == "call"


async def test_an_error_status_raises_the_sdks_error_as_the_cause_of_ours(
    connections: Connections, peer: Peer
) -> None:
    async def limits(_asked: Asked, talk: Talk) -> None:
        body = b'{"error":{"message":"slow down","type":"rate_limit_error"}}'
        await talk.whole(body, status="429 No", headers="Content-Type: application/json\r\n")

    peer.answer = limits
    sdk = client("claude", peer.url, connections)
    with pytest.raises(UpstreamError) as refusal:
        await sdk.send(encoded("claude"), connect_timeout=PATIENCE)
    await sdk.close()
    assert isinstance(refusal.value.__cause__, anthropic.RateLimitError)
    assert len(peer.asked) == 1  # the SDK did not try again
