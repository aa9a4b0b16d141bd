"""The google-genai SDK, through the core under its `models`.

`models.generate_content_stream` builds and validates models of the whole request and of every
chunk. Below it, `async_request_streamed` takes a path and builds, authenticates and sends. It has
no public name (`Client._api_client` is where all public parts of the SDK get it), and would encode
the body as JSON again, so it gets an empty one and the transport sends ours.

httpx2 and not the `aiohttp_client` the SDK also takes: on that way it repeats a failed request by
itself, after up to ten seconds. `enterprise=False` keeps Vertex and its credentials out; the scope
`COLLECTION` says that the base URL holds the API's version already.
"""

import httpx2
from google import genai
from google.genai import errors, types
from google.genai.client import DebugConfig

from adapters.clients.exchange import through
from adapters.clients.transport import Connections, httpx2_client
from adapters.contract import Encoded, Endpoint, Upstream


class GoogleClient:
    """An address of the Gemini API."""

    def __init__(self, endpoint: Endpoint, connections: Connections) -> None:
        """Build the SDK's client: 20 ms, reads the machine's certificates."""
        self._provider = endpoint.provider
        self._http = httpx2_client(connections)
        sdk = genai.Client(
            api_key=endpoint.key,
            enterprise=False,
            debug_config=DebugConfig(client_mode=None, replays_directory=None, replay_id=None),
            http_options=types.HttpOptions(
                base_url=endpoint.base_url,
                base_url_resource_scope=types.ResourceScope.COLLECTION,
                headers=dict(endpoint.provider.headers),
                httpx_async_client=self._http,
                # For the SDK's synchronous half, which has no use for certificates here.
                httpx_client=httpx2.Client(transport=httpx2.BaseTransport(), trust_env=False),
            ),
        )
        self._sdk = sdk
        self._api = sdk._api_client  # noqa: SLF001 - see above

    async def send(self, encoded: Encoded, *, connect_timeout: float) -> Upstream:
        """Send through the SDK and wait for the headers; see `contract.Client`."""
        return await through(
            self._post,
            encoded,
            self._provider,
            connect_timeout=connect_timeout,
            raises=(errors.APIError, httpx2.HTTPError),
        )

    async def close(self) -> None:
        """Close the SDK's client."""
        await self._http.aclose()

    async def _post(self, encoded: Encoded, _body: bytes) -> None:
        options = types.HttpOptions(headers=dict(encoded.headers)) if encoded.headers else None
        await self._api.async_request_streamed("post", encoded.path.lstrip("/"), {}, options)
