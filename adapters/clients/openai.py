"""The openai SDK: OpenAI itself, Azure, and every provider that speaks its APIs.

A request goes through `client.post`, the SDK's public way to an endpoint it has no method for, and
not through `chat.completions.create`, which walks every message: 16 ms of a blocked loop at 100
messages against 0.4 ms, with the same headers, authentication and errors.

A key goes out as a Bearer token or, for Azure, in its `api-key` header (`Provider.auth`). A server
of one's own may have no key; then the request carries none. The SDK would take `OPENAI_API_KEY`
from the environment for it, and `OPENAI_ADMIN_KEY`, so it is always given something.
"""

import httpx2
import openai

from adapters.clients.exchange import through
from adapters.clients.identity import JSON, only
from adapters.clients.transport import Connections, httpx2_client
from adapters.contract import Encoded, Endpoint, Upstream

_NO_KEY = "none"


class OpenAIClient:
    """One address that speaks OpenAI's APIs."""

    def __init__(self, endpoint: Endpoint, connections: Connections) -> None:
        """Build the SDK's client: milliseconds, no I/O."""
        self._provider = endpoint.provider
        self._sdk = openai.AsyncOpenAI(
            api_key=endpoint.key or _NO_KEY,
            admin_api_key=_NO_KEY,
            base_url=endpoint.base_url,
            timeout=None,
            max_retries=0,
            http_client=httpx2_client(connections),
        )
        stated = {**JSON, "User-Agent": self._sdk.user_agent, **self._authentication(endpoint)}
        self._headers = only(
            {**stated, **endpoint.provider.headers},
            (*self._sdk.auth_headers, *self._sdk.default_headers),
            openai.Omit(),
        )

    async def send(self, encoded: Encoded, *, connect_timeout: float) -> Upstream:
        """Send through the SDK and wait for the headers; see `contract.Client`."""
        return await through(
            self._post,
            encoded,
            self._provider,
            connect_timeout=connect_timeout,
            raises=openai.OpenAIError,
        )

    async def close(self) -> None:
        """Close the SDK's client."""
        await self._sdk.close()

    async def _post(self, encoded: Encoded, body: bytes) -> None:
        await self._sdk.post(
            encoded.path,
            cast_to=httpx2.Response,
            content=body,
            options={"headers": {**self._headers, **encoded.headers}},
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )

    def _authentication(self, endpoint: Endpoint) -> dict[str, str]:
        if not endpoint.key:
            return {}
        if endpoint.provider.auth == "api-key":
            return {"api-key": endpoint.key}
        return self._sdk.auth_headers
