"""The groq SDK.

The one SDK that is still on httpx 0.28. Its own methods put `/openai/v1` before a path; `post` does
not, so the base URL is the whole one here, too.
"""

import groq
import httpx

from adapters.clients.stainless import StainlessClient, Types
from adapters.clients.transport import Connections, httpx_client
from adapters.contract import Endpoint

_TYPES = Types(
    response=httpx.Response,
    stream=groq.AsyncStream[object],
    omit=groq.Omit(),
    error=groq.GroqError,
)


class GroqClient(StainlessClient):
    """Groq's address."""

    def __init__(self, endpoint: Endpoint, connections: Connections) -> None:
        """Build the SDK's client: milliseconds, no I/O."""
        sdk = groq.AsyncGroq(
            api_key=endpoint.key,
            base_url=endpoint.base_url,
            timeout=None,
            max_retries=0,
            http_client=httpx_client(connections),
        )
        super().__init__(endpoint, sdk, _TYPES, sdk.auth_headers)
