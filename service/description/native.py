"""The native API: `/v1/streams` and `/v1/plan`."""

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from adapters.events import (
    Citation,
    ErrorCode,
    Finish,
    Outcome,
    RoutePlan,
    Status,
    Substitution,
    Timing,
    Usage,
    WarningEvent,
)
from adapters.request import ChatRequest, Strategy, Tier, UseCase
from service.description.components import (
    EVENT,
    Schema,
    event_types,
    merged,
    of_events,
    of_model,
    of_structs,
    ref,
)
from service.description.operations import (
    Answer,
    Link,
    Operation,
    Parameter,
    asking,
    item,
    json,
    refusing,
    stream,
)
from service.routing.plan import Reason


class Problem(Struct):
    """What went wrong; the codes are those of the stream's own errors."""

    code: ErrorCode
    message: str
    retryable: bool
    """Whether the same request may be sent again."""
    retry_after_ms: int | UnsetType = UNSET
    param: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    causes: list["Problem"] | UnsetType = UNSET


class ProblemDocument(Struct):
    """An error of this API."""

    error: Problem


PROBLEM: Final = json(ref(ProblemDocument))
"""The shape of every error that no borrowed API has a shape for."""


class FoldedCall(Struct):
    """A tool call that came whole."""

    id: str
    name: str
    arguments: str


class FoldedAttempt(Struct):
    """One provider that was asked."""

    attempt: int
    provider: str
    model: str
    outcome: Outcome
    usage: Usage | UnsetType = UNSET
    error: Problem | UnsetType = UNSET


class Folded(Struct):
    """A stream as one document."""

    id: str
    status: Status
    finish: Finish
    content: str
    reasoning: str
    tool_calls: list[FoldedCall]
    citations: list[Citation]
    provider: str | None
    model: str | None
    usage: Usage
    cost_usd: str | None
    timing: Timing
    attempts: list[FoldedAttempt]
    route: RoutePlan | None
    warnings: list[WarningEvent]
    refusal: str | UnsetType = UNSET
    error: Problem | UnsetType = UNSET


class Cancelled(Struct):
    """A stream that was to end, and how it ends or ended."""

    id: str
    status: Status


class PlanLatency(Struct):
    """How many are asked at once, and when."""

    strategy: Strategy
    width: int
    max_attempts: int
    hedge_after_ms: int | None


class PlanCandidate(Struct):
    """Who may answer."""

    provider: str
    model: str
    cost_usd: str | None
    ttft_ms: int | None
    alias: str | UnsetType = UNSET
    substitutes: Substitution | UnsetType = UNSET


class PlanSkipped(Struct):
    """Who may not, and why."""

    provider: str
    reason: Reason
    detail: str
    model: str | UnsetType = UNSET
    retry_after_ms: int | UnsetType = UNSET


class PlanDocument(Struct):
    """A routing decision."""

    policy: str
    use_case: UseCase
    budget_tier: Tier
    cap_usd: str | None
    latency: PlanLatency
    input_tokens: int
    output_tokens: int
    candidates: list[PlanCandidate]
    skipped: list[PlanSkipped]
    preferred: PlanSkipped | UnsetType = UNSET


def schemas() -> dict[str, Schema]:
    """The components of this API."""
    told = of_structs(ProblemDocument, Folded, Cancelled, PlanDocument)
    return merged(told, of_model(ChatRequest), of_events())


STREAM_ID: Final = {"Tailrace-Stream-Id": "The stream's id, to resume or cancel it by."}
ANSWERED: Final = STREAM_ID | {
    "Tailrace-Provider": "Who answered.",
    "Tailrace-Model": "Which of its models.",
}
STREAMED: Final = STREAM_ID | {"Location": "Where the stream can be resumed."}

IDEMPOTENCY_KEY: Final = Parameter(
    name="Idempotency-Key",
    where="header",
    said="The same key attaches to the running or finished stream instead of asking again.",
    schema={"type": "string", "minLength": 1, "maxLength": 256},
)
ID: Final = Parameter(name="id", where="path", said="The stream's id.")

ITEM: Final = item(
    ref(EVENT),
    event={"enum": event_types(), "description": "The event's own `type`."},
    identified="`<stream>:<seq>`: where to go on, in `Last-Event-ID`.",
)

_CURSOR: Final = r"^((st_[0-9A-Z]+:)?(-1|[0-9]{1,15}))?$"

QUESTION: Final = {"messages": [{"role": "user", "content": "What is a tailrace?"}]}

_BY_HEADER: Final = {"id": "$response.header.Tailrace-Stream-Id"}

_FORMS: Final = Answer(
    said="The stream, live; or with `Accept: application/json` all of it in one.",
    content=stream(ITEM) | json(ref(Folded)),
    headers=ANSWERED | STREAMED,
    links=(Link("attachStream", _BY_HEADER), Link("cancelStream", _BY_HEADER)),
)

OPERATIONS: Final = (
    Operation(
        method="post",
        path="/v1/streams",
        id="startStream",
        said="Ask, and follow the answer",
        parameters=(IDEMPOTENCY_KEY,),
        body=json(ref(ChatRequest)),
        examples={
            "a question": QUESTION,
            "the second, hedged": QUESTION | {"latency": "hedge", "use_case": "analysis"},
        },
        answers={200: _FORMS},
        refusal=asking(PROBLEM),
    ),
    Operation(
        method="get",
        path="/v1/streams/{id}",
        id="attachStream",
        said="Follow a stream, from its beginning or after a cursor",
        parameters=(
            ID,
            Parameter(
                name="Last-Event-ID",
                where="header",
                said="The id of the last event that was read; wins over `after`.",
                schema={"type": "string", "pattern": _CURSOR},
            ),
            Parameter(
                name="after",
                where="query",
                said="The same, or its sequence number alone; -1 is the beginning.",
            ),
        ),
        answers={
            200: _FORMS,
            204: Answer(said="It has ended, and nothing came after the cursor.", headers=STREAM_ID),
        },
        refusal=asking(PROBLEM, ErrorCode.STREAM_EXPIRED),
    ),
    Operation(
        method="post",
        path="/v1/streams/{id}/cancel",
        id="cancelStream",
        said="End a generation",
        parameters=(ID,),
        answers={202: Answer(said="It is ended, or was over.", content=json(ref(Cancelled)))},
        refusal=refusing(
            PROBLEM, ErrorCode.NOT_FOUND, ErrorCode.STREAM_EXPIRED, ErrorCode.OVERLOADED
        ),
    ),
    Operation(
        method="post",
        path="/v1/plan",
        id="plan",
        said="Whom a request would be sent to, and why",
        body=json(ref(ChatRequest)),
        examples={"a question": QUESTION},
        answers={200: Answer(said="The decision.", content=json(ref(PlanDocument)))},
        refusal=asking(PROBLEM),
    ),
)
