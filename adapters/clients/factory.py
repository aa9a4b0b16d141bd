"""A provider's `client` -> the SDK client for one of its endpoints.

Importing this module imports every SDK, which takes about two seconds; building clients takes
milliseconds each. Both belong before the service says that it is ready.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from adapters.clients.anthropic import AnthropicClient
from adapters.clients.demo import DemoClient
from adapters.clients.google import GoogleClient
from adapters.clients.groq import GroqClient
from adapters.clients.mistral import MistralClient
from adapters.clients.openai import OpenAIClient
from adapters.clients.transport import Connections
from adapters.contract import Client, Endpoint

_CLIENTS: Final[Mapping[str, Callable[[Endpoint, Connections], Client]]] = {
    "openai": OpenAIClient,
    "anthropic": AnthropicClient,
    "groq": GroqClient,
    "mistral": MistralClient,
    "google": GoogleClient,
    "demo": lambda _endpoint, _connections: DemoClient(),
}
_KEYLESS: Final = frozenset({"openai", "demo"})
"""The other SDKs look for a key of their own where they are given none."""

# At DEBUG (`ANTHROPIC_LOG=debug`) some log a whole request with its prompt and key; at INFO the
# HTTP libraries log a line for each, which tells nothing that an attempt's events do not. Here,
# because the SDKs read their variables while they are imported.
for _logger in ("anthropic", "google_genai", "groq", "httpx", "httpx2", "mistralai", "openai"):
    logging.getLogger(_logger).setLevel(logging.WARNING)


def build(endpoint: Endpoint, connections: Connections) -> Client:
    """The client for an endpoint; `connections` must be open before it sends.

    Raises ValueError where a key is missing that the SDK cannot do without.
    """
    client = endpoint.provider.client
    if not endpoint.key and client not in _KEYLESS:
        raise ValueError(f"{endpoint.provider.name} needs a key")
    return _CLIENTS[client](endpoint, connections)
