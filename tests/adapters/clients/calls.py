"""What the tests of the clients ask, and of whom."""

from dataclasses import replace

from adapters.clients import factory
from adapters.clients.addresses import normalise
from adapters.clients.transport import Connections
from adapters.contract import Client, Encoded, Endpoint, Upstream
from adapters.registry import FIFTEEN
from tests.adapters.clients.peer import PATIENCE

PATHS = {
    "openai": "/chat/completions",
    "anthropic": "/v1/messages",
    "groq": "/chat/completions",
    "mistral": "/chat/completions",
    "google": "/models/gemini-test:streamGenerateContent?alt=sse",
}
ONE_OF_EACH = ("openai", "claude", "groq", "mistral", "gemini")
"""One provider for each SDK."""


def endpoint(name: str, address: str, key: str | None = None, **headers: str) -> Endpoint:
    provider = replace(FIFTEEN[name], headers={**FIFTEEN[name].headers, **headers})
    return Endpoint(
        provider=provider,
        base_url=normalise(provider, address),
        key=f"test-key-{name}" if key is None else key,
    )


def client(name: str, address: str, connections: Connections, **headers: str) -> Client:
    return factory.build(endpoint(name, address, **headers), connections)


def encoded(name: str, **headers: str) -> Encoded:
    # A field that no SDK's types know, and text that encoders write in different ways.
    body = {"model": "m", "text": "é", "unknown_to_every_sdk": [None, {"deep": 1.0}]}
    return Encoded(path=PATHS[FIFTEEN[name].client], body=body, headers=headers)


BODY = '{"model":"m","text":"é","unknown_to_every_sdk":[null,{"deep":1.0}]}'.encode()
"""What `encoded` is on the wire."""


async def ask(
    name: str, address: str, connections: Connections, **headers: str
) -> tuple[Upstream, bytes]:
    """Send one request by a client of its own, and read its answer to the end."""
    sdk = client(name, address, connections)
    try:
        upstream = await sdk.send(encoded(name, **headers), connect_timeout=PATIENCE)
        return upstream, b"".join([part async for part in upstream.chunks()])
    finally:
        await sdk.close()
