"""The coordination API, whose shapes its callers depend on."""

from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from adapters.events import ErrorCode
from adapters.registry import FIFTEEN
from adapters.request import Complexity
from service.description import sent
from service.description.components import Schema, merged, nullable, of_structs, ref
from service.description.native import ITEM, QUESTION, STREAMED
from service.description.operations import Answer, Operation, asking, json, refusing, stream
from service.description.providers import NAMES
from service.routing.status import Status

ROOT: Final = "/api/coordination"


class CoordinationError(Struct):
    """Why there is no answer."""

    success: Literal[False]
    error: str


ERROR: Final = json(ref(CoordinationError))


class CoordinationHealth(Struct):
    """It answers."""

    status: Literal["ok"]


class CoordinationProvider(Struct):
    """One of the fifteen."""

    name: str
    status: Status
    models: list[str] | UnsetType = UNSET
    """Short names, where it can be asked."""
    reason: str | UnsetType = UNSET
    """Where it is not active."""


class CoordinationProviders(Struct):
    """All fifteen, in their order."""

    success: Literal[True]
    providers: list[CoordinationProvider]


class Preferred(Struct):
    """Whom a use case goes to."""

    provider: str
    model: str


class PreferredFor(Struct):
    """A row of the table."""

    complexity: Complexity
    primary: Preferred | None
    fallback: Preferred | None


class CoordinationUseCases(Struct):
    """The table, by use case."""

    success: Literal[True]
    use_cases: dict[str, PreferredFor]


class CostSummary(Struct):
    """What was spent, US dollars; null is unknown."""

    success: Literal[True]
    total_cost: float | None
    requests: int
    by_provider: dict[str, float | None]
    by_use_case: dict[str, float | None]
    savings: float | None
    baseline: float | None


class Generated(Struct):
    """A whole answer."""

    success: Literal[True]
    content: str
    provider: str | None
    model: str | None
    model_id: str | None
    tokens_used: int | None
    cost: float | None
    latency_ms: int
    total_session_cost: float
    fallback_used: Literal[True] | UnsetType = UNSET
    primary_error: str | UnsetType = UNSET


class Tested(Struct):
    """How a short request went."""

    success: bool
    provider: str
    model: str | None
    latency_ms: int
    ttft_ms: int | None
    error: str | UnsetType = UNSET


_GENERATE: Final = "CoordinationRequest"
_TEST: Final = "CoordinationTestRequest"

_PASSED_ON: Final = (
    "use_case",
    "complexity",
    "budget_tier",
    "temperature",
    "max_tokens",
    "latency",
)


def _requests() -> dict[str, Schema]:
    text = nullable({"type": "string"})
    provider = {"enum": list(FIFTEEN)}
    generate = {
        "type": "object",
        "description": "Fields that are not named are passed over.",
        "properties": {
            "messages": sent.required("messages"),
            **{name: sent.field(name) for name in _PASSED_ON},
            "provider": nullable(provider),
            "model": text,
            "stream": nullable({"type": "boolean"}),
        },
        "required": ["messages"],
    }
    test = {"type": "object", "properties": {"provider": provider}, "required": ["provider"]}
    return {_GENERATE: generate, _TEST: test}


def schemas() -> dict[str, Schema]:
    """The components of this API."""
    told = of_structs(
        CoordinationError,
        CoordinationHealth,
        CoordinationProviders,
        CoordinationUseCases,
        CostSummary,
        Generated,
        Tested,
        names=NAMES,
    )
    return merged(told, sent.components(), _requests())


def _got(path: str, name: str, said: str, document: type, *codes: ErrorCode) -> Operation:
    return Operation(
        method="get",
        path=ROOT + path,
        id=name,
        said=said,
        answers={200: Answer(said=f"{said}.", content=json(ref(document)))},
        refusal=refusing(ERROR, *codes),
    )


OPERATIONS: Final = (
    _got("/health", "coordinationHealth", "Whether it answers", CoordinationHealth),
    _got("/llm/providers", "coordinationProviders", "The fifteen providers", CoordinationProviders),
    _got(
        "/llm/use-cases", "coordinationUseCases", "Who is preferred for what", CoordinationUseCases
    ),
    _got(
        "/llm/cost-summary",
        "coordinationCosts",
        "What was spent",
        CostSummary,
        ErrorCode.OVERLOADED,
    ),
    Operation(
        method="post",
        path=f"{ROOT}/llm/generate",
        id="coordinationGenerate",
        said="An answer, whole; with `stream` the native event stream",
        body=json(ref(_GENERATE)),
        examples={"a question": QUESTION, "streamed": QUESTION | {"stream": True}},
        answers={
            200: Answer(
                said="The answer.", content=json(ref(Generated)) | stream(ITEM), headers=STREAMED
            )
        },
        refusal=asking(ERROR),
    ),
    Operation(
        method="post",
        path=f"{ROOT}/llm/test",
        id="coordinationTest",
        said="A short real request to one provider",
        body=json(ref(_TEST)),
        examples={"one of the fifteen": {"provider": "groq"}},
        answers={200: Answer(said="How it went.", content=json(ref(Tested)))},
        refusal=asking(json({"anyOf": [ref(CoordinationError), ref(Tested)]})),
    ),
)
