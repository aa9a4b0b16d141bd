"""The anthropic SDK, through `client.post` for the reasons given in `openai`.

An explicit key keeps the SDK from every other credential it knows: `ANTHROPIC_AUTH_TOKEN`, identity
federation, profiles under ~/.config. It sends the key as a Bearer token (version 2.12). Tracing is
off: it would read the environment again and put headers on requests.
"""

import anthropic
import httpx2

from adapters.clients.exchange import through
from adapters.clients.identity import JSON, only
from adapters.clients.transport import Connections, httpx2_client
from adapters.contract import Encoded, Endpoint, Upstream

_VERSION = "2023-06-01"


class AnthropicClient:
    """One address that speaks the Messages API."""

    def __init__(self, endpoint: Endpoint, connections: Connections) -> None:
        """Build the SDK's client: milliseconds, no I/O."""
        self._provider = endpoint.provider
        self._sdk = anthropic.AsyncAnthropic(
            api_key=endpoint.key,
            base_url=endpoint.base_url,
            timeout=None,
            max_retries=0,
            open_telemetry=False,
            http_client=httpx2_client(connections),
        )
        stated = {
            **JSON,
            "User-Agent": self._sdk.user_agent,
            "anthropic-version": _VERSION,
            **self._sdk.auth_headers,
            **endpoint.provider.headers,
        }
        self._headers = only(stated, self._sdk.default_headers, anthropic.Omit())

    async def send(self, encoded: Encoded, *, connect_timeout: float) -> Upstream:
        """Send through the SDK and wait for the headers; see `contract.Client`."""
        return await through(
            self._post,
            encoded,
            self._provider,
            connect_timeout=connect_timeout,
            raises=anthropic.AnthropicError,
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
            stream_cls=anthropic.AsyncStream[object],
        )
