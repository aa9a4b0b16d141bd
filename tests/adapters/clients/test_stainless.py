import anthropic
import groq
import openai
import pytest

from adapters.clients.transport import Connections
from adapters.errors import UpstreamError
from tests.adapters.clients.calls import ask, client, encoded
from tests.adapters.clients.peer import PATIENCE, Asked, Peer, Talk

EVENTS = "text/event-stream"

each = pytest.mark.parametrize("name", ["claude", "groq", "openai"])


@each
async def test_the_path_is_appended_to_whatever_the_address_holds(
    connections: Connections, peer: Peer, name: str
) -> None:
    for address in (f"{peer.url}/team%20a/v1", f"{peer.url}/v4/"):
        await ask(name, address, connections)
    paths = [asked.line.split()[1] for asked in peer.asked]
    own = encoded(name).path
    assert paths == [f"/team%20a/v1{own}", f"/v4{own}"]


@each
async def test_the_nearer_word_on_a_header_holds(
    connections: Connections, peer: Peer, name: str
) -> None:
    sdk = client(name, peer.url, connections, **{"X-Title": "the provider's", "X-Kept": "yes"})
    call = encoded(name, **{"X-Title": "of this call", "Accept": EVENTS})
    (await sdk.send(call, connect_timeout=PATIENCE)).close()
    await sdk.close()
    headers = peer.asked[0].headers
    assert (headers["X-Title"], headers["X-Kept"]) == ("of this call", "yes")
    assert headers.getall("Accept") == [EVENTS]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("claude", anthropic.RateLimitError),
        ("groq", groq.RateLimitError),
        ("openai", openai.RateLimitError),
    ],
)
async def test_an_error_status_raises_the_sdks_error_as_the_cause_of_ours(
    connections: Connections, peer: Peer, name: str, error: type[Exception]
) -> None:
    async def limits(_asked: Asked, talk: Talk) -> None:
        body = b'{"error":{"message":"slow down","type":"rate_limit_error"}}'
        await talk.whole(body, status="429 No", headers="Content-Type: application/json\r\n")

    peer.answer = limits
    sdk = client(name, peer.url, connections)
    with pytest.raises(UpstreamError) as refusal:
        await sdk.send(encoded(name), connect_timeout=PATIENCE)
    await sdk.close()
    assert isinstance(refusal.value.__cause__, error)
    assert len(peer.asked) == 1  # the SDK did not try again
