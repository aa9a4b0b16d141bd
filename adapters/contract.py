"""The seams of this package: what a provider, a dialect and a client are to each other.

A `Provider` is data. A `Dialect` is code without I/O: it writes a request body and reads response
bytes. A `Client` wraps one official SDK: it sends an encoded request and hands back the response
whose raw bytes go to the dialect's decoder. A `Call` is what one attempt asks of one provider.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, Protocol

from adapters.events import AttemptEvent, Ending, ErrorCode, WarningEvent
from adapters.request import ChatRequest

_EMPTY: Mapping[str, Any] = MappingProxyType({})

CancelBilling = Literal["stops", "full", "unknown"]
"""What a provider charges for an answer whose connection is closed before its end: what was
generated so far, all of it as if it had been read, or nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model as one provider serves it. Unknown facts are None, never a guess."""

    id: str
    """The provider's own id, as it goes on the wire."""
    alias: str | None = None
    """Short name accepted as `<provider>/<alias>`."""
    context: int | None = None
    """Window, tokens."""
    max_output: int | None = None
    """Most output tokens the provider accepts to be asked for."""
    images: bool = False
    """Takes images in."""
    tools: bool = True
    reasoning: Literal["none", "optional", "always"] = "none"
    efforts: tuple[str, ...] | None = None
    """Reasoning efforts it takes; None where its provider's usual ones apply."""
    sampling: bool = True
    """Takes temperature and top_p; reasoning models often answer 400 to them."""
    temperature: float | None = None
    """The only temperature it takes, where there is only one."""
    stop: bool = True
    """Takes stop sequences."""
    api: Literal["responses"] | None = None
    """Set where only the Responses API serves it."""
    quality: int = 2
    """Class of its answers, 1 to 4: small and quick, solid, strong, the best there is. Ours, from
    its maker's own line-up: routing asks for a class, and substitutes within one."""
    family: str | None = None
    """What it descends from: `qwen`, `claude`, `gpt-oss`."""
    same_as: str | None = None
    """The model's own name, the same at everybody who serves it; None: nobody else does."""
    open_weights: bool = False
    """Whether that name means the same weights everywhere."""
    prefill: bool = False
    """Goes on with a trailing assistant message instead of answering it."""
    listed: bool = True
    """Whether its provider's list of models names it; a preset, for one, is in none."""
    gone: bool = False
    """Whether that list no longer named it when it was last asked for."""
    price_input: Decimal | None = None
    """US dollars per million input tokens, stated here or by the operator; None: the catalog's."""
    price_output: Decimal | None = None
    """The same of output; the two are stated together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Everything Tailrace knows about a provider, as data."""

    name: str
    title: str
    key_vars: tuple[str, ...]
    """Environment variables that may hold the key; the first that is set wins."""
    address_var: str
    """Environment variable that overrides the address."""
    base_url: str | None
    """As the provider's documents give it; None where every customer has an own address."""
    base_path: str = ""
    """Where there is no `base_url`: the path that an address given as a bare host lacks."""
    client: Literal["openai", "anthropic", "groq", "mistral", "google", "demo"]
    dialect: "Dialect"
    responses: "Dialect | None" = None
    """Set where some requests go over the Responses API instead; `dialect_for` decides."""
    models: tuple[Model, ...]
    """In the order in which they are shown."""
    default: str | None = None
    """Alias of the model that answers where none is named; None: the first."""
    unlisted: Model = Model(id="", images=True)
    """What to assume of a model that is not listed; its id is filled in."""
    regions: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """Region name -> base URL. Keys are bound to a region, so it is configuration."""
    auth: Literal["bearer", "api-key"] = "bearer"
    """How the openai client sends the key: `Authorization: Bearer`, or Azure's `api-key` header.
    The other SDKs have one way each and do not look at it."""
    headers: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """Sent with every request."""
    error_codes: Mapping[str, ErrorCode] = field(default_factory=lambda: _EMPTY)
    """The provider's own error codes and types, lower case, where the general table errs."""
    cancel_billing: CancelBilling = "unknown"
    """What an attempt costs that loses a race, by the list of openrouter.ai/docs (streaming). A
    gateway in front of a provider may charge otherwise."""
    prices: str | None = None
    """The name under which its prices are listed; None: its own."""
    list_path: str | None = "/models"
    """Where its list of models is, relative to its address; None where it has none that tells what
    it serves."""
    searches: int = 0
    """Paid web searches that every request does at least, whatever is asked."""
    retired: str | None = None
    """Since when its owner no longer offers it, in words; a retired provider is never routed to."""

    def model(self, name: str | None) -> Model:
        """The listed model of that id or alias, else `unlisted` by that id; None: the default."""
        name = name or self.default
        if name is None:
            return self.models[0]
        for model in self.models:
            if name in (model.id, model.alias):
                return model
        return replace(self.unlisted, id=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A provider as configured here: where it is and with which key. `key` is a secret."""

    provider: Provider
    base_url: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one attempt asks of one provider."""

    provider: Provider
    model: Model
    request: ChatRequest
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A request as it goes on the wire."""

    path: str
    """Relative to the endpoint's base URL, with its leading slash."""
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    warnings: tuple[WarningEvent, ...] = ()
    """What was dropped or changed because the provider cannot take it."""


class Decoder(Protocol):
    """One attempt's response bytes -> events. No I/O, no clock.

    The caller feeds whatever the socket gave, however cut, until `ending` is set or the bytes end,
    and then calls `close()` once. After `close()`, `ending` is always set. Feeding past the ending
    is allowed and does nothing. Never raises for anything a provider sends.
    """

    ending: Ending | None
    finished: bool
    """The finish signal has come: only usage, a trailer or the end of the body may follow."""
    upstream_id: str | None
    """The provider's id of this answer, once known."""
    model: str | None
    """The model that the provider says is answering, once known."""

    def feed(self, data: bytes) -> list[AttemptEvent]:
        """Decode a piece of the response body; the events it completes, in order."""

    def close(self) -> list[AttemptEvent]:
        """The bytes are over: end what is open and set `ending`."""


class Dialect(Protocol):
    """One wire format. Instances hold a provider's quirks of it, as data."""

    @property
    def name(self) -> str:
        """`openai_chat`, `openai_responses`, `anthropic_messages`, `gemini` or `mistral_chat`."""

    def encode(self, call: Call) -> Encoded:
        """Write the request.

        Raises RequestError where the request cannot be said in this dialect at all.
        """

    def decoder(self, call: Call) -> Decoder:
        """A fresh decoder for one attempt. Block ids are `b<attempt>.<n>`, unique in a stream."""


class Upstream(Protocol):
    """A response whose headers have come, status 200, content type an event stream."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers, names case-insensitive."""

    @property
    def sent(self) -> int:
        """Bytes of the request's body."""

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """Pass every piece of the body to `sink` as the socket gives it; returns at its end.

        `sink` may be called from the reading callback; what it raises is raised here. Raises
        UpstreamError where the body is cut or reset (`stream_interrupted`).
        """

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it. Idempotent."""


class Client(Protocol):
    """One official SDK, bound to one endpoint."""

    async def send(self, encoded: Encoded, *, connect_timeout: float) -> Upstream:
        """Send through the SDK and wait for the headers.

        `connect_timeout` in seconds covers TCP and TLS; the wait for headers is the caller's to
        bound. Raises UpstreamError for a refused connection, an error status (classified by body)
        and a 200 that is not an event stream. Cancelling it closes the connection.
        """

    async def close(self) -> None:
        """Release what this client alone holds; the shared session is its owner's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A provider's error answer before classification: all that `classify` looks at."""

    status: int | None
    """HTTP status; None for an error inside a stream."""
    body: Any
    """Parsed JSON where it was JSON, else text."""
    headers: Mapping[str, str] = field(default_factory=lambda: _EMPTY)


def dialect_for(provider: Provider, model: Model, request: ChatRequest) -> Dialect:
    """The dialect one request goes over.

    Chat completions refuses function tools together with reasoning on OpenAI's newer models, so
    such a request, and a model that only the Responses API serves, goes over Responses.
    """
    if provider.responses is None:
        return provider.dialect
    reasons = model.reasoning == "always" or (
        model.reasoning == "optional"
        and (request.reasoning is None or request.reasoning.effort != "none")
    )
    if model.api == "responses" or (request.tools and reasons):
        return provider.responses
    return provider.dialect
