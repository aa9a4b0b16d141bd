"""The openai SDK: OpenAI itself, Azure, and every provider that speaks its APIs.

A key goes out as a Bearer token or, for Azure, in its `api-key` header (`Provider.auth`). A server
of one's own may have no key; then the request carries none. The SDK would take `OPENAI_API_KEY`
from the environment for it, and `OPENAI_ADMIN_KEY`, so it is always given something.
"""

import httpx2
import openai

from adapters.clients.stainless import StainlessClient, Types
from adapters.clients.transport import Connections, httpx2_client
from adapters.contract import Endpoint

_NO_KEY = "none"
_TYPES = Types(
    response=httpx2.Response,
    stream=openai.AsyncStream[object],
    omit=openai.Omit(),
    error=openai.OpenAIError,
)


class OpenAIClient(StainlessClient):
    """One address that speaks OpenAI's APIs."""

    def __init__(self, endpoint: Endpoint, connections: Connections) -> None:
        """Build the SDK's client: milliseconds, no I/O."""
        sdk = openai.AsyncOpenAI(
            api_key=endpoint.key or _NO_KEY,
            admin_api_key=_NO_KEY,
            base_url=endpoint.base_url,
            timeout=None,
            max_retries=0,
            http_client=httpx2_client(connections),
        )
        super().__init__(endpoint, sdk, _TYPES, _authentication(endpoint, sdk.auth_headers))


def _authentication(endpoint: Endpoint, bearer: dict[str, str]) -> dict[str, str]:
    if not endpoint.key:
        return {}
    if endpoint.provider.auth == "api-key":
        return {"api-key": endpoint.key}
    return bearer
