"""Anthropic's Messages API, as far as it is spoken here: the request, the message, the events.

The request is described by the models that read it (`service.dialects.messages_request`); message
and events are exactly what the projection says.
"""

from typing import Any, Final, Literal, get_args

from msgspec import UNSET, Struct, UnsetType

from service.description import sent
from service.description.components import Schema, merged, of_model, of_structs, one_of, ref
from service.description.native import ANSWERED, IDEMPOTENCY_KEY, QUESTION
from service.description.operations import (
    READING,
    Answer,
    Operation,
    asking,
    item,
    json,
    refusing,
    stream,
)
from service.dialects.messages_request import Body, Counted

# --- Errors ---------------------------------------------------------------------------------


class AnthropicProblem(Struct):
    """What went wrong, in Anthropic's words."""

    type: Literal[
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "not_found_error",
        "conflict_error",
        "request_too_large",
        "rate_limit_error",
        "api_error",
        "overloaded_error",
        "timeout_error",
    ]
    message: str


class AnthropicError(Struct, tag_field="type", tag="error"):
    """An error of this API; in a stream it is the last that is said."""

    error: AnthropicProblem
    request_id: str | None


ERROR: Final = json(ref(AnthropicError))


# --- Counts ---------------------------------------------------------------------------------


class ThinkingTokens(Struct):
    """Of the output."""

    thinking_tokens: int


class MessageUsage(Struct):
    """What an answer used; unknown input is estimated, unknown output is 0."""

    input_tokens: int
    """Without what was read from a cache or written to one."""
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: ThinkingTokens | UnsetType = UNSET


# --- Blocks ---------------------------------------------------------------------------------


class TextBlock(Struct, tag_field="type", tag="text"):
    """Words."""

    text: str
    citations: list[dict[str, Any]] | UnsetType = UNSET
    """As Claude gave them, or a `web_search_result_location`."""


class ToolUseBlock(Struct, tag_field="type", tag="tool_use"):
    """A call that the model wants made."""

    id: str
    name: str
    input: dict[str, Any]


class ThinkingBlock(Struct, tag_field="type", tag="thinking"):
    """What the model thought: send it back as it came."""

    thinking: str
    signature: str


class RedactedBlock(Struct, tag_field="type", tag="redacted_thinking"):
    """A signature: send it back as it came."""

    data: str


ContentBlock = TextBlock | ToolUseBlock | ThinkingBlock | RedactedBlock


# --- The message ----------------------------------------------------------------------------

StopReason = Literal[
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
]


class StopDetails(Struct, tag_field="type", tag="refusal"):
    """What there is to know of a refusal."""

    category: None
    explanation: None


class Message(Struct, tag_field="type", tag="message"):
    """A whole answer."""

    id: str
    role: Literal["assistant"]
    model: str
    content: list[ContentBlock]
    stop_reason: StopReason
    stop_sequence: str | None
    usage: MessageUsage
    stop_details: StopDetails | UnsetType = UNSET


class TokenCount(Struct):
    """How much a request would put in, estimated."""

    input_tokens: int


# --- Events ---------------------------------------------------------------------------------


class _Event(Struct, tag_field="type"):
    """Base of an event."""


class BegunMessage(Struct, tag_field="type", tag="message"):
    """The message before there is anything in it."""

    id: str
    role: Literal["assistant"]
    model: str
    content: list[ContentBlock]
    stop_reason: None
    stop_sequence: None
    usage: MessageUsage


class MessageStart(_Event, tag="message_start"):
    """The message begins."""

    message: BegunMessage


class ContentBlockStart(_Event, tag="content_block_start"):
    """A block begins; one is open at a time."""

    index: int
    content_block: ContentBlock


class TextPiece(Struct, tag_field="type", tag="text_delta"):
    """More words."""

    text: str


class ThinkingPiece(Struct, tag_field="type", tag="thinking_delta"):
    """More thoughts."""

    thinking: str


class SignaturePiece(Struct, tag_field="type", tag="signature_delta"):
    """The signature of the block."""

    signature: str


class InputPiece(Struct, tag_field="type", tag="input_json_delta"):
    """More of a call's input, as JSON text."""

    partial_json: str


class CitationPiece(Struct, tag_field="type", tag="citations_delta"):
    """A source."""

    citation: dict[str, Any]


class ContentBlockDelta(_Event, tag="content_block_delta"):
    """More of the open block."""

    index: int
    delta: TextPiece | ThinkingPiece | SignaturePiece | InputPiece | CitationPiece


class ContentBlockStop(_Event, tag="content_block_stop"):
    """The open block is over."""

    index: int


class StopDelta(Struct):
    """Why the answer stopped."""

    stop_reason: StopReason
    stop_sequence: str | None
    stop_details: StopDetails | UnsetType = UNSET


class MessageDelta(_Event, tag="message_delta"):
    """What is known of the message at its end."""

    delta: StopDelta
    usage: MessageUsage


class MessageStop(_Event, tag="message_stop"):
    """The message is whole."""


class MessagePing(_Event, tag="ping"):
    """Silence."""


MessageEvent = (
    MessageStart
    | ContentBlockStart
    | ContentBlockDelta
    | ContentBlockStop
    | MessageDelta
    | MessageStop
    | MessagePing
)

_EVENT: Final = "MessageEvent"

_PREFIX: Final = "Messages"


def schemas() -> dict[str, Schema]:
    """The components of this API."""
    told = of_structs(AnthropicError, Message, TokenCount, MessageEvent)
    event = {
        "description": "One event of a message's stream.",
        "oneOf": [ref(kind) for kind in (*get_args(MessageEvent), AnthropicError)],
    }
    return merged(told, {_EVENT: event}, _request(Body), _request(Counted))


def _request(model: type[Counted]) -> dict[str, Schema]:
    """The parts of a body, but for those by which what is not served is refused."""
    parts = of_model(model, _PREFIX)
    del parts[_PREFIX + model.__name__]["properties"]["thread"]
    del parts[_UNKNOWN["$ref"].rpartition("/")[2]]
    return {name: _without_unknown(part) for name, part in parts.items()}


_UNKNOWN: Final = ref(f"{_PREFIX}Unknown")


def _without_unknown(part: Any) -> Any:  # noqa: ANN401 - any JSON
    """A schema without the block that stands for every type there is not."""
    if isinstance(part, dict):
        return {key: _without_unknown(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_without_unknown(value) for value in part if value != _UNKNOWN]
    return part


ITEM: Final = item(one_of(ref(_EVENT)), event={"type": "string", "description": "The data's type."})

_ASKED: Final = QUESTION | {"model": "auto", "max_tokens": 1_024}

OPERATIONS: Final = (
    Operation(
        method="post",
        path="/v1/messages",
        id="createMessage",
        said="Anthropic's Messages",
        more="A stream that breaks ends with `error` and without `message_stop`.",
        parameters=(*sent.HEADERS, IDEMPOTENCY_KEY),
        body=json(ref(_PREFIX + Body.__name__)),
        examples={
            "a question": _ASKED,
            "streamed": _ASKED | {"stream": True, "thinking": {"type": "adaptive"}},
        },
        answers={
            200: Answer(
                said="The message, or with `stream` its events.",
                content=json(ref(Message)) | stream(ITEM),
                headers=ANSWERED,
            )
        },
        refusal=asking(ERROR),
    ),
    Operation(
        method="post",
        path="/v1/messages/count_tokens",
        id="countMessageTokens",
        said="How much a message would put in, estimated",
        body=json(ref(_PREFIX + Counted.__name__)),
        examples={"a question": QUESTION | {"model": "auto"}},
        answers={200: Answer(said="The estimate.", content=json(ref(TokenCount)))},
        refusal=refusing(ERROR, *READING),
    ),
)
