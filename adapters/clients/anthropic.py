"""The anthropic SDK.

An explicit key keeps the SDK from every other credential it knows: `ANTHROPIC_AUTH_TOKEN`, identity
federation, profiles under ~/.config. It sends the key as a Bearer token (version 2.12). Tracing is
off: it would read the environment again and put headers on requests.
"""

import anthropic
import httpx2

from adapters.clients.stainless import StainlessClient, Types
from adapters.clients.transport import Connections, httpx2_client
from adapters.contract import Endpoint

_VERSION = "2023-06-01"
_TYPES = Types(
    response=httpx2.Response,
    stream=anthropic.AsyncStream[object],
    omit=anthropic.Omit(),
    error=anthropic.AnthropicError,
)


class AnthropicClient(StainlessClient):
    """One address that speaks the Messages API."""

    def __init__(self, endpoint: Endpoint, connections: Connections) -> None:
        """Build the SDK's client: milliseconds, no I/O."""
        sdk = anthropic.AsyncAnthropic(
            api_key=endpoint.key,
            base_url=endpoint.base_url,
            timeout=None,
            max_retries=0,
            open_telemetry=False,
            http_client=httpx2_client(connections),
        )
        headers = {"anthropic-version": _VERSION, **sdk.auth_headers}
        super().__init__(endpoint, sdk, _TYPES, headers)
