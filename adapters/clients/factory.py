"""A provider's `client` -> the SDK client for one of its endpoints.

An SDK is imported when the first client of it is wanted: all five take two seconds of a core and
80 MB, and nobody uses them all. Building a client then takes milliseconds. Where tokens flow
already, `load` belongs into a thread, before `build`.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Final, cast

from adapters.clients.demo import DemoClient
from adapters.clients.transport import Connections
from adapters.contract import Client, Endpoint

_Make = Callable[[Endpoint, Connections], Client]

_CLIENTS: Final[Mapping[str, str]] = {
    "openai": "OpenAIClient",
    "anthropic": "AnthropicClient",
    "groq": "GroqClient",
    "mistral": "MistralClient",
    "google": "GoogleClient",
}
"""The class of each SDK's client, in the module of that name beside this one."""
_WITHOUT_SDK: Final[Mapping[str, _Make]] = {"demo": lambda _endpoint, _connections: DemoClient()}
_KEYLESS: Final = frozenset({"openai", "demo"})
"""The other SDKs look for a key of their own where they are given none."""

_LOGGERS: Final = ("anthropic", "google_genai", "groq", "httpx", "httpx2", "mistralai", "openai")


def load(clients: Iterable[str]) -> bool:
    """Import the SDKs behind these names; whether any of them was not there already.

    Raises ImportError, with the name before what is wrong, where one is not what the lock names.
    """
    new = [client for client in clients if _module(client) not in sys.modules]
    for client in new:
        try:
            _ = _maker(client)
        except ImportError as failure:
            raise ImportError(f"{client}: {failure}") from failure
    return bool(new)


def build(endpoint: Endpoint, connections: Connections) -> Client:
    """The client for an endpoint; `connections` must be open before it sends.

    Raises ValueError where a key is missing that the SDK cannot do without.
    """
    client = endpoint.provider.client
    if not endpoint.key and client not in _KEYLESS:
        raise ValueError(f"{endpoint.provider.name} needs a key")
    return _maker(client)(endpoint, connections)


def _module(client: str) -> str:
    return f"adapters.clients.{client}"


def _maker(client: str) -> _Make:
    if client in _WITHOUT_SDK:
        return _WITHOUT_SDK[client]
    module = import_module(_module(client))
    # At DEBUG (`ANTHROPIC_LOG=debug`) some log a whole request with its prompt and key; at INFO the
    # HTTP libraries log a line for each, which tells nothing that an attempt's events do not. Here,
    # because the SDKs read their variables while they are imported.
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    return cast("_Make", getattr(module, _CLIENTS[client]))
