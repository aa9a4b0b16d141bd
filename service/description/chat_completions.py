"""OpenAI's chat completions and its list of models, as far as they are spoken here.

The request is the native one's fields under the same names, as `service.dialects.chat_completions`
takes them, with what OpenAI calls otherwise. Answers and chunks are exactly what the projection
says: a reader that allows for nothing else loses nothing.
"""

from typing import Final, Literal, get_args

from msgspec import UNSET, Struct, UnsetType

from adapters.events import ErrorCode
from adapters.request import MAX_MESSAGES, Effort
from service.description import sent
from service.description.components import Schema, merged, nullable, of_structs, one_of, ref
from service.description.native import ANSWERED, IDEMPOTENCY_KEY, QUESTION
from service.description.operations import (
    Answer,
    Operation,
    Parameter,
    asking,
    item,
    json,
    refusing,
    stream,
)
from service.dialects.chat_completions import TAKEN

# --- Errors ---------------------------------------------------------------------------------


class OpenAIProblem(Struct):
    """What went wrong, in OpenAI's words."""

    message: str
    type: Literal[
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "rate_limit_error",
        "server_error",
    ]
    param: str | None
    code: str


class OpenAIError(Struct):
    """An error of OpenAI's APIs; in a stream it is the last that is said."""

    error: OpenAIProblem


ERROR: Final = json(ref(OpenAIError))


# --- What both forms of an answer hold ------------------------------------------------------


class GoogleExtra(Struct):
    """What Gemini's compatible API keeps there."""

    thought_signature: str
    """Sealed: send it back as it came."""


class ExtraContent(Struct):
    """Where a tool call's signature is."""

    google: GoogleExtra


class ReasoningDetail(Struct):
    """A signed piece of reasoning: send it back as it came."""

    index: int
    type: Literal["reasoning.text"]
    text: str
    signature: str


class UrlCitation(Struct):
    """A page that the answer names, and where in the content."""

    url: str
    title: str
    start_index: int
    end_index: int


class Annotation(Struct):
    """A source."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class PromptTokens(Struct):
    """Of the input; what is unknown is left out."""

    cached_tokens: int | UnsetType = UNSET
    cache_write_tokens: int | UnsetType = UNSET
    audio_tokens: int | UnsetType = UNSET


class CompletionTokens(Struct):
    """Of the output; what is unknown is left out."""

    reasoning_tokens: int | UnsetType = UNSET
    audio_tokens: int | UnsetType = UNSET


class ChatUsage(Struct):
    """What an answer used."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens
    completion_tokens_details: CompletionTokens


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


# --- The whole answer -----------------------------------------------------------------------


class CalledFunction(Struct):
    """Which function, and its arguments as JSON text."""

    name: str
    arguments: str


class ChatToolCall(Struct):
    """A call that the model wants made."""

    id: str
    type: Literal["function"]
    function: CalledFunction
    extra_content: ExtraContent | UnsetType = UNSET


class ChatMessage(Struct):
    """The answer."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    annotations: list[Annotation]
    reasoning_content: str | UnsetType = UNSET
    reasoning_details: list[ReasoningDetail] | UnsetType = UNSET
    tool_calls: list[ChatToolCall] | UnsetType = UNSET


class ChatChoice(Struct):
    """The only choice."""

    index: Literal[0]
    message: ChatMessage
    logprobs: None
    finish_reason: FinishReason


class ChatCompletion(Struct):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: None
    choices: list[ChatChoice]
    usage: ChatUsage | None
    """Null where input or output is unknown."""


# --- The answer in chunks -------------------------------------------------------------------


class FunctionPiece(Struct):
    """More of a call's arguments, after its name."""

    arguments: str
    name: str | UnsetType = UNSET


class CallPiece(Struct):
    """More of a tool call; its first piece has the id and the name."""

    index: int
    function: FunctionPiece
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET
    extra_content: ExtraContent | UnsetType = UNSET


class ChatDelta(Struct):
    """More of the answer."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    refusal: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning_details: list[ReasoningDetail] | UnsetType = UNSET
    tool_calls: list[CallPiece] | UnsetType = UNSET
    annotations: list[Annotation] | UnsetType = UNSET


class ChunkChoice(Struct):
    """The only choice."""

    index: Literal[0]
    delta: ChatDelta
    logprobs: None
    finish_reason: FinishReason | None


class ChatChunk(Struct):
    """A piece of an answer."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: None
    choices: list[ChunkChoice]
    """None in the chunk that has the usage."""
    usage: ChatUsage | UnsetType | None = UNSET
    """With `stream_options.include_usage` only: in a chunk of its own, null in the others."""


# --- Models ---------------------------------------------------------------------------------


class ListedModel(Struct):
    """A name that `model` may have."""

    id: str
    object: Literal["model"]
    created: Literal[0]
    owned_by: str
    type: Literal["model"] | UnsetType = UNSET
    """This and what follows: for clients that send `anthropic-version`."""
    display_name: str | UnsetType = UNSET
    created_at: str | UnsetType = UNSET


class ModelList(Struct):
    """Every name."""

    object: Literal["list"]
    data: list[ListedModel]
    has_more: Literal[False] | UnsetType = UNSET
    first_id: str | UnsetType = UNSET
    last_id: str | UnsetType = UNSET


_ANTHROPIC: Final = Parameter(
    name="anthropic-version",
    where="header",
    said="Whatever it says, the entries have the fields of Anthropic's API as well.",
)


# --- The request ----------------------------------------------------------------------------


class RefusalPart(Struct):
    """A refusal among the parts of an earlier answer."""

    type: Literal["refusal"]
    refusal: str


class StreamOptions(Struct):
    """What a stream holds."""

    include_usage: bool | UnsetType = UNSET


_REQUEST: Final = "ChatCompletionRequest"
_EARLIER: Final = "ChatCompletionEarlierAnswer"


def _request() -> dict[str, Schema]:
    """What a body may hold."""
    roles = [ref(f"{sent.PREFIX}{role}Message") for role in ("System", "User", "Tool")]
    properties = {
        "messages": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_MESSAGES,
            "items": {"anyOf": [*roles, ref(_EARLIER)]},
        },
        **{name: sent.field(name) for name in TAKEN},
        "max_completion_tokens": sent.field("max_tokens"),
        "reasoning_effort": nullable({"enum": list(get_args(Effort))}),
        "n": {"enum": [1, None]},
        "stream": nullable({"type": "boolean"}),
        "stream_options": nullable(ref(StreamOptions)),
    }
    request = {
        "type": "object",
        "description": "A conversation to go on with. Fields that are not named are passed over.",
        "properties": properties,
        "required": ["messages"],
    }
    return {_REQUEST: request, _EARLIER: _earlier()}


def _earlier() -> Schema:
    """An assistant's message that comes back, with what an answer of ours carries."""
    parts = {"anyOf": [ref(f"{sent.PREFIX}TextPart"), ref(RefusalPart)]}
    words = nullable({"type": "string"})
    properties = {
        "role": {"const": "assistant"},
        "content": {"anyOf": [*words["anyOf"], {"type": "array", "items": parts}]},
        "refusal": words,
        "reasoning_content": words,
        "reasoning_details": nullable({"type": "array", "items": ref(ReasoningDetail)}),
        "tool_calls": nullable({"type": "array", "items": ref(f"{sent.PREFIX}ToolCall")}),
    }
    return {
        "type": "object",
        "description": "An earlier answer. Sent back as it came, its signatures come along.",
        "properties": properties,
        "required": ["role"],
    }


def schemas() -> dict[str, Schema]:
    """The components of this API."""
    told = of_structs(
        OpenAIError, ChatCompletion, ChatChunk, ModelList, ListedModel, RefusalPart, StreamOptions
    )
    return merged(told, sent.components(), _request())


ITEM: Final = item(one_of(ref(ChatChunk), ref(OpenAIError)), last="[DONE]")

OPERATIONS: Final = (
    Operation(
        method="post",
        path="/v1/chat/completions",
        id="createChatCompletion",
        said="OpenAI's chat completions",
        more="A stream that breaks ends with an error and without `[DONE]`.",
        parameters=(*sent.HEADERS, IDEMPOTENCY_KEY),
        body=json(ref(_REQUEST)),
        examples={
            "a question": QUESTION | {"model": "auto"},
            "streamed": QUESTION
            | {"model": "auto", "stream": True, "stream_options": {"include_usage": True}},
        },
        answers={
            200: Answer(
                said="The completion, or with `stream` its chunks.",
                content=json(ref(ChatCompletion)) | stream(ITEM),
                headers=ANSWERED,
            )
        },
        refusal=asking(ERROR),
    ),
    Operation(
        method="get",
        path="/v1/models",
        id="listModels",
        said="Every name that `model` may have",
        parameters=(_ANTHROPIC,),
        answers={200: Answer(said="The names.", content=json(ref(ModelList)))},
        refusal=refusing(ERROR),
    ),
    Operation(
        method="get",
        path="/v1/models/{id}",
        id="getModel",
        said="One of them; an id may have slashes",
        parameters=(
            Parameter(name="id", where="path", said="A name that `model` may have."),
            _ANTHROPIC,
        ),
        answers={200: Answer(said="It can be asked for.", content=json(ref(ListedModel)))},
        refusal=refusing(ERROR, ErrorCode.NOT_FOUND),
    ),
)
