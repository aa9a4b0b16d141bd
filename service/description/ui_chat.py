"""The AI SDK's chat: what `useChat` sends, and the chunks of the UI message stream.

The request's conversation is described by the models that read it; its other fields are the native
request's. Chunks are exactly what the projection says, but for those of a message that goes on:
what a page said of itself before (`data-*`, a source, a file) is told again as it was.
"""

from dataclasses import replace
from typing import Any, Final, Literal, get_args

from msgspec import UNSET, Struct, UnsetType

from adapters.events import ErrorCode
from adapters.request import ChatRequest
from service.description import sent
from service.description.components import Schema, merged, nullable, of_model, of_structs, ref
from service.description.native import IDEMPOTENCY_KEY, STREAMED
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
    text,
)
from service.dialects.ui_messages_request import Body

# --- Chunks ---------------------------------------------------------------------------------

ProviderMetadata = dict[str, Any]
"""By whose word it is; ours holds a signature, sealed."""


class InputTokenDetails(Struct, rename="camel"):
    """Of the input; what is unknown is left out."""

    no_cache_tokens: int | UnsetType = UNSET
    cache_read_tokens: int | UnsetType = UNSET
    cache_write_tokens: int | UnsetType = UNSET


class OutputTokenDetails(Struct, rename="camel"):
    """Of the output; what is unknown is left out."""

    text_tokens: int | UnsetType = UNSET
    reasoning_tokens: int | UnsetType = UNSET


class UiUsage(Struct, rename="camel"):
    """What an answer used, in the AI SDK's words; what is unknown is left out."""

    input_token_details: InputTokenDetails
    output_token_details: OutputTokenDetails
    input_tokens: int | UnsetType = UNSET
    output_tokens: int | UnsetType = UNSET
    total_tokens: int | UnsetType = UNSET


class UiMetadata(Struct):
    """What a page may show beside an answer: the stream at its start, the rest at its end."""

    stream: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    usage: UiUsage | UnsetType = UNSET
    cost_usd: str | UnsetType = UNSET


class _Chunk(Struct, tag_field="type", rename="camel", kw_only=True):
    """Base of a chunk."""


class UiStart(_Chunk, tag="start"):
    """The message begins, or goes on."""

    message_id: str
    message_metadata: UiMetadata


class UiStartStep(_Chunk, tag="start-step"):
    """A turn of the model begins."""


class UiFinishStep(_Chunk, tag="finish-step"):
    """It is over."""


class UiResetStep(_Chunk, tag="reset-step"):
    """What the step has shown is taken back."""


class UiFinish(_Chunk, tag="finish"):
    """The message is whole."""

    finish_reason: Literal["stop", "length", "tool-calls", "content-filter", "other"]
    message_metadata: UiMetadata


class UiMessageMetadata(_Chunk, tag="message-metadata"):
    """What is known of an answer that ends otherwise."""

    message_metadata: UiMetadata


class UiAbort(_Chunk, tag="abort"):
    """It was cancelled."""

    reason: str


class UiError(_Chunk, tag="error"):
    """It broke; nothing follows."""

    error_text: str


class UiErrorData(Struct):
    """The typed error."""

    code: ErrorCode
    message: str
    retryable: bool
    retry_after_ms: int | UnsetType = UNSET


class UiDataError(_Chunk, tag="data-tailrace-error"):
    """The typed error, before `error`."""

    data: UiErrorData
    transient: Literal[True]


class UiTextStart(_Chunk, tag="text-start"):
    """Words begin."""

    id: str


class UiTextDelta(_Chunk, tag="text-delta"):
    """More words."""

    id: str
    delta: str


class UiTextEnd(_Chunk, tag="text-end"):
    """They are over."""

    id: str
    provider_metadata: ProviderMetadata | UnsetType = UNSET


class UiReasoningStart(_Chunk, tag="reasoning-start"):
    """Thoughts begin."""

    id: str


class UiReasoningDelta(_Chunk, tag="reasoning-delta"):
    """More thoughts."""

    id: str
    delta: str


class UiReasoningEnd(_Chunk, tag="reasoning-end"):
    """They are over."""

    id: str
    provider_metadata: ProviderMetadata | UnsetType = UNSET


class _OfCall(_Chunk):
    tool_call_id: str
    provider_executed: bool | UnsetType = UNSET
    dynamic: Literal[True] | UnsetType = UNSET


class UiToolInputStart(_OfCall, tag="tool-input-start", kw_only=True):
    """A tool call begins."""

    tool_name: str
    input_encoding: Literal["text"] | UnsetType = UNSET
    provider_metadata: ProviderMetadata | UnsetType = UNSET


class UiToolInputDelta(_OfCall, tag="tool-input-delta", kw_only=True):
    """More of its arguments."""

    input_text_delta: str


class UiToolInputAvailable(_OfCall, tag="tool-input-available", kw_only=True):
    """The call is whole."""

    tool_name: str
    input: Any
    provider_metadata: ProviderMetadata | UnsetType = UNSET


class UiToolInputError(_OfCall, tag="tool-input-error", kw_only=True):
    """Its arguments cannot be read."""

    tool_name: str
    input: Any
    error_text: str
    provider_metadata: ProviderMetadata | UnsetType = UNSET


class UiToolOutputAvailable(_OfCall, tag="tool-output-available", kw_only=True):
    """What a tool that the provider runs gave."""

    output: Any


class UiToolOutputError(_OfCall, tag="tool-output-error", kw_only=True):
    """It failed."""

    error_text: str


class UiFile(_Chunk, tag="file"):
    """A file."""

    media_type: str
    url: str


class UiSourceUrl(_Chunk, tag="source-url"):
    """A page that the answer names."""

    source_id: str
    url: str
    title: str | UnsetType = UNSET


class UiSourceDocument(_Chunk, tag="source-document"):
    """A document that the answer names."""

    source_id: str
    media_type: str
    title: str


UiChunk = (
    UiStart
    | UiStartStep
    | UiFinishStep
    | UiResetStep
    | UiFinish
    | UiMessageMetadata
    | UiAbort
    | UiError
    | UiDataError
    | UiTextStart
    | UiTextDelta
    | UiTextEnd
    | UiReasoningStart
    | UiReasoningDelta
    | UiReasoningEnd
    | UiToolInputStart
    | UiToolInputDelta
    | UiToolInputAvailable
    | UiToolInputError
    | UiToolOutputAvailable
    | UiToolOutputError
    | UiFile
    | UiSourceUrl
    | UiSourceDocument
)

CHUNK: Final = "UiChunk"


class Stopped(Struct):
    """Whether there was anything to stop."""

    stopped: bool


# --- The request ----------------------------------------------------------------------------

_PREFIX: Final = "UiSent"
_NATIVE: Final = tuple(
    name for name in ChatRequest.model_fields if name not in {"messages", "metadata", "user"}
)


def _request() -> dict[str, Schema]:
    parts = of_model(Body, _PREFIX)
    body = parts[_PREFIX + Body.__name__]
    routed = {"type": "string"}
    named = ("use_case", "budget_tier", "latency")
    metadata = {
        "type": "object",
        "description": "Of these the routing; anything else is the application's own.",
        "properties": {f"tailrace_{name}": routed for name in named},
    }
    function = {"type": "object", "properties": {"description": {}, "inputSchema": {}}}
    own = {name: sent.field(name) for name in _NATIVE if name != "tools"} | {
        "metadata": metadata,
        "tools": {
            "anyOf": [
                sent.field("tools"),
                {"type": "object", "additionalProperties": function},
            ]
        },
        "trigger": {"type": "string", "examples": ["submit-message", "regenerate-message"]},
        "messageId": nullable({"type": "string"}),
    }
    body["properties"] = {**body["properties"], **own}
    return parts


def schemas() -> dict[str, Schema]:
    """The components of this API."""
    told = of_structs(UiChunk, Stopped)
    chunk = {
        "description": "A piece of a message.",
        "oneOf": [ref(kind) for kind in get_args(UiChunk)],
    }
    return merged(told, {CHUNK: chunk}, sent.components(), _request())


# --- Operations -----------------------------------------------------------------------------

ITEM: Final = item(ref(CHUNK), last="[DONE]")

_CHAT: Final = Parameter(name="id", where="path", said="The chat's id.")
_TURN: Final = Answer(
    said="The turn, chunk by chunk.",
    content=stream(ITEM),
    headers=STREAMED | {"x-vercel-ai-ui-message-stream": "`v1`."},
)

_ASKED: Final = {
    "id": "a-chat",
    "trigger": "submit-message",
    "messages": [
        {"id": "1", "role": "user", "parts": [{"type": "text", "text": "What is a tailrace?"}]}
    ],
}

_BY_CHAT: Final = {"id": "$request.body#/id"}

OPERATIONS: Final = (
    Operation(
        method="post",
        path="/api/chat",
        id="sendChat",
        said="A chat's next turn, for the AI SDK's `useChat`",
        more="A stream that breaks ends with `error` and without `[DONE]`.",
        parameters=(*sent.HEADERS, IDEMPOTENCY_KEY),
        body=json(ref(_PREFIX + Body.__name__)),
        examples={"a question": _ASKED},
        answers={
            200: replace(_TURN, links=(Link("resumeChat", _BY_CHAT), Link("stopChat", _BY_CHAT)))
        },
        refusal=asking(text()),
    ),
    Operation(
        method="get",
        path="/api/chat/{id}/stream",
        id="resumeChat",
        said="The turn that runs, from its start",
        parameters=(_CHAT,),
        answers={200: _TURN, 204: Answer(said="There is nothing to be told.")},
        refusal=asking(text()),
    ),
    Operation(
        method="post",
        path="/api/chat/{id}/stop",
        id="stopChat",
        said="End the turn that runs",
        parameters=(_CHAT,),
        answers={
            202: Answer(said="It is ended, or nothing ran.", content=json(ref(Stopped))),
        },
        refusal=refusing(text()),
    ),
    Operation(
        method="get",
        path="/api/chat/ws",
        id="connectChat",
        said="The AI SDK's chat over a WebSocket",
        more="What is said over it: `/asyncapi.json`.",
        answers={101: Answer(said="From here on it is a WebSocket.")},
        refusal=refusing(text(), also=(426,)),
    ),
)
