"""What the SDKs that Stainless generates have in common: openai, anthropic and groq.

A request goes through `post`, such an SDK's public way to an endpoint it has no method for, and not
through `chat.completions.create`, which walks every message: 16 ms of a blocked loop at 100
messages against 0.4 ms, with the same headers, authentication and errors.

Each SDK has these parts under its own name, and only the module of its client knows them: it makes
the SDK, and hands it over with its `Types`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

from adapters.clients.exchange import through
from adapters.clients.identity import JSON, only
from adapters.contract import Encoded, Endpoint, Upstream


class Sdk(Protocol):
    """A generated SDK, made for one address."""

    @property
    def post(self) -> Callable[..., Awaitable[object]]:
        """Sends a POST."""

    @property
    def user_agent(self) -> str:
        """What it calls itself."""

    @property
    def auth_headers(self) -> dict[str, str]:
        """How it says the key."""

    @property
    def default_headers(self) -> Mapping[str, object]:
        """What it would put on every request."""

    async def close(self) -> None:
        """Close it."""


class Types(NamedTuple):
    """The types that one SDK's `post` has to be told of, or raises."""

    response: type
    """Of its HTTP library."""
    stream: type
    """What it makes of a response that streams."""
    omit: object
    """Its mark for a header to leave out."""
    error: type[Exception]
    """What all its own exceptions are."""


class StainlessClient:
    """One address, asked through such an SDK; see `contract.Client`."""

    def __init__(
        self, endpoint: Endpoint, sdk: Sdk, types: Types, headers: Mapping[str, str]
    ) -> None:
        """`headers`: the authentication, and what else this API wants to be told."""
        self._provider = endpoint.provider
        self._sdk = sdk
        self._types = types
        stated = {**JSON, "User-Agent": sdk.user_agent, **headers, **endpoint.provider.headers}
        self._headers = only(stated, (*sdk.auth_headers, *sdk.default_headers), types.omit)

    async def send(self, encoded: Encoded, *, connect_timeout: float) -> Upstream:
        """Send through the SDK and wait for the headers; see `contract.Client`."""
        return await through(
            self._post,
            encoded,
            self._provider,
            connect_timeout=connect_timeout,
            raises=self._types.error,
        )

    async def close(self) -> None:
        """Close the SDK's client."""
        await self._sdk.close()

    async def _post(self, encoded: Encoded, body: bytes) -> None:
        await self._sdk.post(
            encoded.path,
            cast_to=self._types.response,
            content=body,
            options={"headers": {**self._headers, **encoded.headers}},
            stream=True,
            stream_cls=self._types.stream,
        )
