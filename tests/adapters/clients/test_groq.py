import groq

from adapters.clients.transport import Connections
from tests.adapters.clients.calls import BODY, ask
from tests.adapters.clients.peer import Peer


async def test_a_request_is_the_sdks_with_our_body_and_no_header_that_was_not_stated(
    connections: Connections, peer: Peer
) -> None:
    await ask("groq", peer.url, connections)
    (asked,) = peer.asked
    assert asked.line == "POST /openai/v1/chat/completions HTTP/1.1"
    assert asked.body == BODY
    assert asked.stated == {
        "authorization": "Bearer test-key-groq",
        "accept": "application/json",
        "content-type": "application/json",
        "user-agent": f"AsyncGroq/Python {groq.__version__}",
    }
