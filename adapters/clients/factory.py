"""A provider's `client` -> the SDK client for one of its endpoints.

Importing this module imports every SDK, which takes about two seconds; building clients takes
milliseconds each. Both belong before the service says that it is ready.
"""

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


def build(endpoint: Endpoint, connections: Connections) -> Client:
    """The client for an endpoint; `connections` must be open before it sends.

    Raises ValueError where a key is missing that the SDK cannot do without.
    """
    client = endpoint.provider.client
    if not endpoint.key and client not in _KEYLESS:
        raise ValueError(f"{endpoint.provider.name} needs a key")
    return _CLIENTS[client](endpoint, connections)
