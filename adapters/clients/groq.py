"""The groq SDK, through `client.post` for the reasons given in `openai`.

The one SDK that is still on httpx 0.28. Its own methods put `/openai/v1` before a path; `post` does
not, so the base URL is the whole one here, too.
"""

import groq
import httpx

from adapters.clients.exchange import through
from adapters.clients.identity import JSON, only
from adapters.clients.transport import Connections, httpx_client
from adapters.contract import Encoded, Endpoint, Upstream


class GroqClient:
    """Groq's address."""

    def __init__(self, endpoint: Endpoint, connections: Connections) -> None:
        """Build the SDK's client: milliseconds, no I/O."""
        self._provider = endpoint.provider
        self._sdk = groq.AsyncGroq(
            api_key=endpoint.key,
            base_url=endpoint.base_url,
            timeout=None,
            max_retries=0,
            http_client=httpx_client(connections),
        )
        stated = {
            **JSON,
            "User-Agent": self._sdk.user_agent,
            **self._sdk.auth_headers,
            **endpoint.provider.headers,
        }
        self._headers = only(stated, self._sdk.default_headers, groq.Omit())

    async def send(self, encoded: Encoded, *, connect_timeout: float) -> Upstream:
        """Send through the SDK and wait for the headers; see `contract.Client`."""
        return await through(
            self._post,
            encoded,
            self._provider,
            connect_timeout=connect_timeout,
            raises=groq.GroqError,
        )

    async def close(self) -> None:
        """Close the SDK's client."""
        await self._sdk.close()

    async def _post(self, encoded: Encoded, body: bytes) -> None:
        await self._sdk.post(
            encoded.path,
            cast_to=httpx.Response,
            content=body,
            options={"headers": {**self._headers, **encoded.headers}},
            stream=True,
            stream_cls=groq.AsyncStream[object],
        )
