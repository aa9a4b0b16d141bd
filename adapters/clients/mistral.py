"""The mistralai SDK, through the core that all its methods are made of.

`chat.stream_async` costs 5.6 ms a request, validates the body into models that drop
what they do not know, and its response hooks fail on a stream from a deprecated model. Below it is
`BaseSDK`, the class that every part of the SDK inherits to build its requests: address, security,
headers. This file is one more such part, which takes the body as it is. What `do_request_async`
would add is left out: hooks that run in two threads for each request (160 us, and behind whatever
else the thread pool has to do), read the environment and, if it says so, report to Mistral.
"""

import logging
from collections.abc import Mapping

import httpx2
from mistralai.client import Mistral
from mistralai.client.basesdk import BaseSDK
from mistralai.client.errors import MistralError
from mistralai.client.utils import SerializedRequestBody

from adapters.clients.exchange import through
from adapters.clients.transport import Connections, httpx2_client
from adapters.contract import Encoded, Endpoint, Upstream


class MistralClient:
    """Mistral's address."""

    def __init__(self, endpoint: Endpoint, connections: Connections) -> None:
        """Build the SDK's client: milliseconds, no I/O."""
        self._provider = endpoint.provider
        self._http = httpx2_client(connections)
        sdk = Mistral(
            api_key=endpoint.key,
            server_url=endpoint.base_url,
            async_client=self._http,
            client=_unused(),
            debug_logger=logging.getLogger("mistralai"),
        )
        self._stream = _Stream(sdk.sdk_configuration, parent_ref=sdk)
        # As one of the hooks that are left out would have it.
        agent = f"mistral-client-python/{sdk.sdk_configuration.sdk_version}"
        self._headers = {"user-agent": agent, **endpoint.provider.headers}

    async def send(self, encoded: Encoded, *, connect_timeout: float) -> Upstream:
        """Send through the SDK and wait for the headers; see `contract.Client`."""
        return await through(
            self._post,
            encoded,
            self._provider,
            connect_timeout=connect_timeout,
            raises=(MistralError, httpx2.HTTPError),
        )

    async def close(self) -> None:
        """Close the SDK's client."""
        await self._http.aclose()

    async def _post(self, encoded: Encoded, body: bytes) -> None:
        request = self._stream.request(encoded.path, body, {**self._headers, **encoded.headers})
        await self._http.send(request, stream=True)


class _Stream(BaseSDK):
    """The part of the SDK that starts a stream."""

    def request(self, path: str, body: bytes, headers: Mapping[str, str]) -> httpx2.Request:
        """What the SDK makes of a POST to `path`."""
        return self._build_request_async(
            method="POST",
            path=path,
            base_url=None,
            url_variables=None,
            request=None,
            request_body_required=True,
            request_has_path_params=False,
            request_has_query_params=False,
            user_agent_header="user-agent",
            accept_header_value="text/event-stream",
            security=self.sdk_configuration.security,
            get_serialized_body=lambda: SerializedRequestBody("application/json", body),
            http_headers=headers,
        )


def _unused() -> httpx2.Client:
    """For the SDK's synchronous half; one of its own would load certificates, 20 ms of start-up."""
    return httpx2.Client(transport=httpx2.BaseTransport(), trust_env=False)
