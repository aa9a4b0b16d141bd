"""The Responses API, as far as it is spoken here: the resource, the events, the operations.

The structs are what `service.dialects.responses` tells and nothing more, each event with the fields
that it always has. What a response repeats of its request has the type in which it was taken.
"""

from typing import Any, Final, Literal, get_args

from msgspec import UNSET, Struct, UnsetType

from adapters.events import ErrorCode
from adapters.request import Effort
from service.description import responses_request, sent
from service.description.chat_completions import ERROR
from service.description.components import Schema, merged, of_structs, ref
from service.description.native import ANSWERED, IDEMPOTENCY_KEY, STREAM_ID
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
from service.description.responses_request import (
    COMPACTION_REQUEST,
    REQUEST,
    CompactionItem,
    InputImage,
)

# --- Items ----------------------------------------------------------------------------------

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class ResponseCitation(Struct, tag_field="type", tag="url_citation"):
    """A page that the text names, and where in it."""

    url: str
    title: str
    start_index: int
    end_index: int


class OutputText(Struct, tag_field="type", tag="output_text"):
    """Words."""

    text: str
    annotations: list[ResponseCitation]
    logprobs: list[Any]
    """Always empty."""


class OutputRefusal(Struct, tag_field="type", tag="refusal"):
    """Words of refusal."""

    refusal: str


class ReasoningText(Struct, tag_field="type", tag="reasoning_text"):
    """What the model thought."""

    text: str


class SummaryText(Struct, tag_field="type", tag="summary_text"):
    """What it thought, in short."""

    text: str


class OutputMessage(Struct, tag_field="type", tag="message"):
    """What the assistant said: one part."""

    id: str
    role: Literal["assistant"]
    status: ItemStatus
    content: list[OutputText | OutputRefusal]
    encrypted_content: str | UnsetType = UNSET
    """A signature, sealed: send the item back as it came."""


class OutputCall(Struct, tag_field="type", tag="function_call"):
    """A call that the model wants made."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: ItemStatus


class OutputReasoning(Struct, tag_field="type", tag="reasoning"):
    """Thoughts, or a signature without words."""

    id: str
    status: ItemStatus
    summary: list[SummaryText]
    content: list[ReasoningText] | UnsetType = UNSET
    encrypted_content: str | UnsetType = UNSET


OutputItem = OutputMessage | OutputCall | OutputReasoning


# --- The resource ---------------------------------------------------------------------------


class ResponseFailure(Struct):
    """Why a response failed."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str


class Incomplete(Struct):
    """Why a response is not whole."""

    reason: Literal["max_output_tokens", "content_filter"]


class InputDetails(Struct):
    """Of the input; 0 where unknown."""

    cached_tokens: int
    cache_write_tokens: int


class OutputDetails(Struct):
    """Of the output; 0 where unknown."""

    reasoning_tokens: int


class ResponseUsage(Struct):
    """What a response used."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class EchoedReasoning(Struct):
    """As asked."""

    effort: Effort | None
    summary: Any


class EchoedText(Struct):
    """As asked."""

    format: dict[str, Any] | None


class EchoedTool(Struct):
    """As asked."""

    type: Literal["function"]
    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None


class ResponseResource(Struct):
    """A response: under way, or as it ended."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: ResponseFailure | None
    incomplete_details: Incomplete | None
    model: str
    output: list[OutputItem]
    reasoning: EchoedReasoning
    text: EchoedText
    tools: list[EchoedTool]
    usage: ResponseUsage | None
    """Null where input or output is unknown, and while it is under way."""
    background: bool
    frequency_penalty: float
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    presence_penalty: float
    previous_response_id: str | None
    prompt_cache_key: str | None
    safety_identifier: str | None
    service_tier: str
    store: bool
    temperature: float
    tool_choice: str | dict[str, Any]
    top_logprobs: int
    top_p: float
    truncation: Literal["auto", "disabled"]
    user: str | None


# --- Events ---------------------------------------------------------------------------------


class _Told(Struct, tag_field="type", kw_only=True):
    """Base of an event."""

    sequence_number: int
    """0, 1, 2, ...: where to go on, with `starting_after`."""


class _Snapshot(_Told):
    response: ResponseResource


class ResponseCreated(_Snapshot, tag="response.created"):
    """The response begins."""


class ResponseInProgress(_Snapshot, tag="response.in_progress"):
    """It is under way."""


class ResponseCompleted(_Snapshot, tag="response.completed"):
    """It is whole."""


class ResponseIncomplete(_Snapshot, tag="response.incomplete"):
    """It ended before it was whole."""


class ResponseFailed(_Snapshot, tag="response.failed"):
    """It broke, or was cancelled; nothing follows."""


class _OfOutput(_Told):
    output_index: int


class ItemAdded(_OfOutput, tag="response.output_item.added"):
    """An item begins."""

    item: OutputItem


class ItemDone(_OfOutput, tag="response.output_item.done"):
    """An item is over."""

    item: OutputItem


class _OfItem(_OfOutput):
    item_id: str


class _OfContent(_OfItem):
    content_index: int


class _OfSummary(_OfItem):
    summary_index: int


class PartAdded(_OfContent, tag="response.content_part.added"):
    """An item's part begins."""

    part: OutputText | OutputRefusal | ReasoningText


class PartDone(_OfContent, tag="response.content_part.done"):
    """An item's part is over."""

    part: OutputText | OutputRefusal | ReasoningText


class OutputTextDelta(_OfContent, tag="response.output_text.delta"):
    """More words."""

    delta: str
    logprobs: list[Any]


class OutputTextDone(_OfContent, tag="response.output_text.done"):
    """All the words."""

    text: str
    logprobs: list[Any]


class AnnotationAdded(_OfContent, tag="response.output_text.annotation.added"):
    """A source."""

    annotation_index: int
    annotation: ResponseCitation


class OutputRefusalDelta(_OfContent, tag="response.refusal.delta"):
    """More of a refusal."""

    delta: str


class OutputRefusalDone(_OfContent, tag="response.refusal.done"):
    """All of it."""

    refusal: str


class ReasoningTextDelta(_OfContent, tag="response.reasoning_text.delta"):
    """More thoughts."""

    delta: str


class ReasoningTextDone(_OfContent, tag="response.reasoning_text.done"):
    """All of them."""

    text: str


class SummaryPartAdded(_OfSummary, tag="response.reasoning_summary_part.added"):
    """A summary begins."""

    part: SummaryText


class SummaryPartDone(_OfSummary, tag="response.reasoning_summary_part.done"):
    """A summary is over."""

    part: SummaryText


class SummaryTextDelta(_OfSummary, tag="response.reasoning_summary_text.delta"):
    """More of it."""

    delta: str


class SummaryTextDone(_OfSummary, tag="response.reasoning_summary_text.done"):
    """All of it."""

    text: str


class ArgumentsDelta(_OfItem, tag="response.function_call_arguments.delta"):
    """More of a call's arguments."""

    delta: str


class ArgumentsDone(_OfItem, tag="response.function_call_arguments.done"):
    """All of them: the call may be made."""

    name: str
    arguments: str


ResponseEvent = (
    ResponseCreated
    | ResponseInProgress
    | ResponseCompleted
    | ResponseIncomplete
    | ResponseFailed
    | ItemAdded
    | ItemDone
    | PartAdded
    | PartDone
    | OutputTextDelta
    | OutputTextDone
    | AnnotationAdded
    | OutputRefusalDelta
    | OutputRefusalDone
    | ReasoningTextDelta
    | ReasoningTextDone
    | SummaryPartAdded
    | SummaryPartDone
    | SummaryTextDelta
    | SummaryTextDone
    | ArgumentsDelta
    | ArgumentsDone
)

EVENT: Final = "ResponseEvent"


# --- A conversation made short --------------------------------------------------------------


class CompactedText(Struct, tag_field="type", tag="input_text"):
    """The user's words."""

    text: str


class CompactedMessage(Struct, tag_field="type", tag="message"):
    """What the user said and showed."""

    id: str
    role: Literal["user"]
    status: Literal["completed"]
    content: list[CompactedText | InputImage]


class Compacted(Struct):
    """A short conversation in place of a long one."""

    id: str
    object: Literal["response.compaction"]
    created_at: int
    output: list[CompactedMessage | CompactionItem]
    usage: ResponseUsage | None
    """Null where input or output is unknown."""


def schemas() -> dict[str, Schema]:
    """The components of this API."""
    told = of_structs(
        ResponseResource,
        ResponseEvent,
        Compacted,
    )
    event = {
        "description": "One event of a response's stream.",
        "oneOf": [ref(kind) for kind in get_args(ResponseEvent)],
    }
    return merged(told, {EVENT: event}, responses_request.schemas())


# --- Operations -----------------------------------------------------------------------------

ITEM: Final = item(
    ref(EVENT),
    last="[DONE]",
    event={"type": "string", "description": "The event's own `type`; `[DONE]` has none."},
)

_BY_BODY: Final = {"id": "$response.body#/id"}

_RESPONSE_ID: Final = Parameter(name="id", where="path", said="The response's id.")
_FORMS: Final = json(ref(ResponseResource)) | stream(ITEM)

OPERATIONS: Final = (
    Operation(
        method="post",
        path="/v1/responses",
        id="createResponse",
        said="OpenAI's Responses, and Open Responses",
        more="A stream that breaks ends with `response.failed` and without `[DONE]`.",
        parameters=(*sent.HEADERS, IDEMPOTENCY_KEY),
        body=json(ref(REQUEST)),
        examples={
            "a question": {"model": "auto", "input": "What is a tailrace?"},
            "streamed": {"model": "auto", "input": "What is a tailrace?", "stream": True},
        },
        answers={
            200: Answer(
                said="The response, or with `stream` its events.",
                content=_FORMS,
                headers=ANSWERED,
                links=(Link("getResponse", _BY_BODY), Link("cancelResponse", _BY_BODY)),
            )
        },
        refusal=asking(ERROR),
    ),
    Operation(
        method="post",
        path="/v1/responses/compact",
        id="compactResponse",
        said="Sum a conversation up, to go on from",
        more="Send `output` back in front of what is asked next.",
        parameters=(*sent.HEADERS, IDEMPOTENCY_KEY),
        body=json(ref(COMPACTION_REQUEST)),
        examples={"a question": {"model": "auto", "input": "What is a tailrace?"}},
        answers={
            200: Answer(
                said="What the user said, and the summary.",
                content=json(ref(Compacted)),
                headers=ANSWERED,
            )
        },
        refusal=asking(ERROR),
    ),
    Operation(
        method="get",
        path="/v1/responses",
        id="connectResponses",
        said="Ask for responses over a WebSocket",
        more="What is said over it: `/asyncapi.json`.",
        answers={101: Answer(said="From here on it is a WebSocket.")},
        refusal=refusing(ERROR, also=(426,)),
    ),
    Operation(
        method="get",
        path="/v1/responses/{id}",
        id="getResponse",
        said="A response as it stands, or its events again",
        parameters=(
            _RESPONSE_ID,
            Parameter(
                name="stream",
                where="query",
                said="`true`: its events.",
                schema={"type": "string", "enum": ["true", "false"]},
            ),
            Parameter(
                name="starting_after",
                where="query",
                said="With `stream`: the number of the last event that was read; -1: none.",
                schema={"type": "integer", "minimum": -1},
            ),
        ),
        answers={200: Answer(said="The response.", content=_FORMS, headers=STREAM_ID)},
        refusal=asking(ERROR, ErrorCode.STREAM_EXPIRED),
    ),
    Operation(
        method="post",
        path="/v1/responses/{id}/cancel",
        id="cancelResponse",
        said="End a response; one that has ended stays as it is",
        parameters=(_RESPONSE_ID,),
        answers={
            200: Answer(
                said="The response as it ended.",
                content=json(ref(ResponseResource)),
                headers=ANSWERED,
            )
        },
        refusal=refusing(ERROR, ErrorCode.NOT_FOUND, ErrorCode.OVERLOADED),
    ),
)
