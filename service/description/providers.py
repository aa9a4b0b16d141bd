"""`/v1/providers`: how everybody is doing, and what an operator changes."""

from typing import Final, Literal

from msgspec import Struct

from adapters.events import ErrorCode
from service.change import Change
from service.description.components import Schema, merged, of_model, of_structs, ref
from service.description.native import PROBLEM
from service.description.operations import READING, Answer, Operation, Parameter, json, refusing
from service.routing.health import State
from service.routing.status import Status


class Rates(Struct):
    """US dollars per million tokens, decimal strings; null is not stated."""

    input: str | None
    output: str | None
    cached: str | None
    cache_write: str | None


class RatesTier(Struct):
    """What holds for larger requests."""

    above_input_tokens: int
    usd_per_million: Rates


class ModelPrice(Struct):
    """What a model costs."""

    usd_per_million: Rates
    tiers: list[RatesTier]
    usd_per_thousand_searches: str | None
    usd_per_thousand_requests: str | None
    source: str
    dated: str | None


class Breaker(Struct):
    """Whether a model is asked."""

    state: State
    cause: ErrorCode | None
    over_in_ms: int | None


class Capabilities(Struct):
    """What a model takes."""

    images: bool
    tools: bool
    reasoning: Literal["none", "optional", "always"]
    prefill: bool


class ProviderModel(Struct):
    """A model as the catalog has it."""

    id: str
    alias: str | None
    context: int | None
    max_output: int | None
    quality: int
    family: str | None
    capabilities: Capabilities
    price: ModelPrice | None
    breaker: Breaker | None


class Limit(Struct):
    """One of our limits."""

    limit: int | None
    used: int
    left: int | None
    full_in_ms: int | None


class SaidLimit(Struct):
    """A limit in a provider's own words."""

    limit: int | None
    remaining: int | None
    reset_ms: int | None


class ProviderLimits(Struct):
    """How far limits are used."""

    requests_per_minute: Limit
    tokens_per_minute: Limit
    concurrent_streams: Limit
    shared: bool
    provider_says: dict[str, dict[str, SaidLimit]]
    """By model, by account."""


class ListedProvider(Struct):
    """A provider as it stands."""

    name: str
    title: str
    state: Status
    reason: str | None
    models: list[ProviderModel]
    limits: ProviderLimits


class ProviderList(Struct):
    """Everybody."""

    providers: list[ListedProvider]


class ErrorShare(Struct):
    """How often one error was."""

    count: int
    rate: float | None


class TimePercentiles(Struct):
    """Milliseconds."""

    p50: float
    p90: float
    p99: float
    count: int


class Contested(Struct):
    """Against others, for the same request."""

    won: int
    lost: int


class _Figures(Struct):
    attempts: int
    outcomes: dict[str, int]
    error_rate: float | None
    errors: dict[str, ErrorShare]
    first_token_ms: TimePercentiles | None
    inter_token_ms: TimePercentiles | None
    hedges: Contested
    races: Contested
    challenged: Contested
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: str | None
    unknown_cost_attempts: int
    estimated_share: float | None


class AttemptFigures(_Figures):
    """How attempts went; null is unknown."""


class ModelFigures(_Figures):
    """How a model's attempts went."""

    id: str
    breaker: Breaker


class ProviderStats(Struct):
    """How a provider's attempts went."""

    name: str
    state: Status
    reason: str | None
    window_ms: int
    total: AttemptFigures
    models: list[ModelFigures]
    limits: ProviderLimits


NAMES: Final = {Status.__name__: "ProviderStatus", State.__name__: "BreakerState"}
"""What is called otherwise here: a stream has a status, too."""

_CHANGE: Final = f"Provider{Change.__name__}"


def schemas() -> dict[str, Schema]:
    """The components of this API."""
    told = of_structs(ProviderList, ProviderStats, names=NAMES)
    return merged(told, of_model(Change, "Provider"))


_NAME: Final = Parameter(name="name", where="path", said="The provider's name.")

OPERATIONS: Final = (
    Operation(
        method="get",
        path="/v1/providers",
        id="listProviders",
        said="Everybody, and how they are doing",
        answers={200: Answer(said="In their order.", content=json(ref(ProviderList)))},
        refusal=refusing(PROBLEM),
    ),
    Operation(
        method="patch",
        path="/v1/providers/{name}",
        id="changeProvider",
        said="Switch a provider on or off, and limit it",
        parameters=(_NAME,),
        body=json(ref(_CHANGE)),
        examples={"a limit": {"requests_per_minute": 600}},
        answers={200: Answer(said="As it is then.", content=json(ref(ListedProvider)))},
        refusal=refusing(PROBLEM, *READING, ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
    ),
    Operation(
        method="get",
        path="/v1/providers/{name}/stats",
        id="getProviderStats",
        said="How a provider's attempts of the last while went",
        parameters=(_NAME,),
        answers={200: Answer(said="The figures.", content=json(ref(ProviderStats)))},
        refusal=refusing(PROBLEM, ErrorCode.NOT_FOUND),
    ),
)
