"""A Messages request as ours: what clients of Anthropic's API send, read into a `ChatRequest`.

The body is validated in its own shape, so that what is wrong is named as the client wrote it, and
then rewritten. Fields that are not known are passed over (cache_control, top_k, service_tier, ...),
as agents send whatever their next version has. Contents are another matter: a block of the user's
that cannot be passed on is refused rather than left out unnoticed.

How the shapes differ:

- A user turn answers tool calls beside speaking; ours has a message for each result. What such a
  result shows, as a picture, follows in the user's own message, since results are text for most
  providers. That a tool failed is said in the text.
- Documents and search results become text; a PDF has no text without reading it, and is refused.
- The assistant's thinking comes back with its signature sealed (`seal`), that of a tool call in a
  block beside it. A thought with another signature stays behind: nobody else could check it.
- What an assistant's turn holds of tools that Anthropic ran (a search, its results) stays behind;
  tools of that kind cannot be asked for, nor those whose schema only its models know.
- A `thread`, by which a request leaves out what Anthropic's servers hold of it already, is refused:
  passed over, its next turn would be a result without its call. The SDKs' tool runners ask for one
  unbidden, and at a refusal with the right code send everything.

Left out: `top_k`, containers, prompt caching.
Source: the types of anthropic 2.12.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from adapters.errors import RequestError
from adapters.request import (
    MAX_MESSAGES,
    MAX_PARTS,
    MAX_STOP,
    MAX_TOOLS,
    ChatRequest,
    Signature,
)
from service.dialects.messages_words import THREAD, UNSIGNED, call_signed
from service.dialects.reading import ROUTING, chat_request, picture, refused
from service.dialects.seal import unsealed
from service.validation import of_validation

FAILED: Final = "Error: "
"""What goes before the result of a tool that failed: no other provider has a field for it."""

_Fields = dict[str, Any]
_M = TypeVar("_M", bound=BaseModel)


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)


# --- Contents -------------------------------------------------------------------------------


class _Text(_Model):
    type: Literal["text"]
    text: str


class _Source(_Model):
    """Where an image or a document is; which fields there are depends on the type."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: str | list[_Text] | None = None


class _Image(_Model):
    type: Literal["image"]
    source: _Source


class _Document(_Model):
    type: Literal["document"]
    source: _Source
    title: str | None = None
    context: str | None = None


class _SearchResult(_Model):
    type: Literal["search_result"]
    source: str
    title: str
    content: list[_Text]


_Id = Annotated[str, Field(min_length=1, max_length=256)]


class _ToolReference(_Model):
    """A tool that a search among deferred ones found; nobody defers any here."""

    type: Literal["tool_reference"]
    tool_name: str


class _Unknown(_Model):
    type: str


def _kind(block: object) -> str | None:
    kind = block.get("type") if isinstance(block, dict) else None
    return kind if isinstance(kind, str) else None


# The tags that say which model a block is read by: capitals, which an error's path leaves out.

_SHOWN: Final[Mapping[str | None, str]] = {
    "text": "Text",
    "image": "Image",
    "document": "Document",
    "search_result": "SearchResult",
    "tool_reference": "ToolReference",
}

_Shown = Annotated[
    Annotated[_Text, Tag("Text")]
    | Annotated[_Image, Tag("Image")]
    | Annotated[_Document, Tag("Document")]
    | Annotated[_SearchResult, Tag("SearchResult")]
    | Annotated[_ToolReference, Tag("ToolReference")]
    | Annotated[_Unknown, Tag("Unknown")],
    Discriminator(lambda block: _SHOWN.get(_kind(block), "Unknown")),
]
"""What a user or a tool may show."""


class _ToolUse(_Model):
    type: Literal["tool_use"]
    id: _Id
    name: str = Field(min_length=1, max_length=128)
    input: dict[str, Any]


class _ToolResult(_Model):
    type: Literal["tool_result"]
    tool_use_id: _Id
    content: str | Annotated[list[_Shown], Field(max_length=MAX_PARTS)] | None = None
    is_error: bool | None = None


class _Thinking(_Model):
    type: Literal["thinking"]
    thinking: str
    signature: str | None = None


class _Redacted(_Model):
    type: Literal["redacted_thinking"]
    data: str


_BLOCKS: Final[Mapping[str | None, str]] = {
    "tool_use": "ToolUse",
    "tool_result": "ToolResult",
    "thinking": "Thinking",
    "redacted_thinking": "Redacted",
}

_Block = Annotated[
    Annotated[_Shown, Tag("Shown")]
    | Annotated[_ToolUse, Tag("ToolUse")]
    | Annotated[_ToolResult, Tag("ToolResult")]
    | Annotated[_Thinking, Tag("Thinking")]
    | Annotated[_Redacted, Tag("Redacted")],
    Discriminator(lambda block: _BLOCKS.get(_kind(block), "Shown")),
]


class _Turn(_Model):
    role: Literal["user", "assistant", "system"]
    content: str | Annotated[list[_Block], Field(max_length=MAX_PARTS)]


# --- The rest of a body ---------------------------------------------------------------------


class _Tool(_Model):
    name: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")
    type: Literal["custom"] | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None


class _ToolChoice(_Model):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _ThinkingConfig(_Model):
    type: Literal["enabled", "adaptive", "disabled", "between_tools"]
    budget_tokens: int | None = Field(default=None, ge=1)


class _Format(_Model):
    type: Literal["json_schema"]
    body: dict[str, Any] = Field(alias="schema")


class _OutputConfig(_Model):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: _Format | None = None


class _Metadata(_Model):
    user_id: str | None = Field(default=None, max_length=512)
    tailrace_use_case: str | None = None
    tailrace_budget_tier: str | None = None
    tailrace_latency: str | None = None


class Counted(_Model):
    """What `count_tokens` takes, and all that a message is made from."""

    messages: list[_Turn] = Field(min_length=1, max_length=MAX_MESSAGES)
    model: str = Field(default="auto", min_length=1, max_length=256)
    system: str | Annotated[list[_Text], Field(max_length=MAX_PARTS)] | None = None
    tools: list[_Tool] | None = Field(default=None, max_length=MAX_TOOLS)
    tool_choice: _ToolChoice | None = None
    thinking: _ThinkingConfig | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    """As it was called while it was a beta."""
    thread: Any = None


class Body(Counted):
    """What a message is asked for with."""

    max_tokens: int = Field(ge=1, le=10_000_000)
    stream: bool | None = None
    stop_sequences: list[Annotated[str, Field(min_length=1, max_length=256)]] | None = Field(
        default=None, max_length=MAX_STOP
    )
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    metadata: _Metadata | None = None


# --- Reading --------------------------------------------------------------------------------

_NAMES: Final = {"user": "metadata.user_id", "stop": "stop_sequences"}


def read(body: Mapping[str, Any], routing: Mapping[str, Any]) -> tuple[ChatRequest, bool]:
    """The request of a body, and whether its answer is to be streamed.

    `routing`: what headers said of it, which wins over metadata. Raises RequestError naming the
    field.
    """
    asked = _read(Body, body)
    metadata = asked.metadata or _Metadata()
    fields = _conversation(asked) | {
        "max_tokens": asked.max_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "stop": asked.stop_sequences,
        "user": metadata.user_id,
        "metadata": {f"tailrace_{name}": getattr(metadata, f"tailrace_{name}") for name in ROUTING},
    }
    return chat_request(fields, routing, _NAMES), bool(asked.stream)


def read_counted(body: Mapping[str, Any]) -> ChatRequest:
    """The request whose tokens are to be counted; raises RequestError naming the field."""
    return chat_request(_conversation(_read(Counted, body)), {}, _NAMES)


def _read(model: type[_M], body: Mapping[str, Any]) -> _M:
    try:
        return model.model_validate(body)
    except ValidationError as failure:
        raise RequestError(of_validation(failure)) from None


def _conversation(asked: Counted) -> _Fields:
    """All but what only an answer needs."""
    if asked.thread is not None:
        raise refused(THREAD, "no conversation is kept here: leave it out and send all messages")
    messages: list[_Fields] = []
    if asked.system:
        messages.append({"role": "system", "content": _instructions(asked.system)})
    for at, turn in enumerate(asked.messages):
        messages += _TURNS[turn.role](turn, at)
    effort = asked.output_config.effort if asked.output_config else None
    return {
        "model": asked.model,
        "messages": messages,
        "tools": [_tool(tool) for tool in asked.tools] if asked.tools else None,
        "reasoning": _reasoning(asked.thinking, effort),
        "response_format": _format(asked),
        **_choice(asked.tool_choice),
    }


def _instructions(system: str | Sequence[_Text]) -> str:
    """One text: some providers take a single system message only."""
    return system if isinstance(system, str) else "\n\n".join(block.text for block in system)


def _tool(tool: _Tool) -> _Fields:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
        "strict": tool.strict,
    }
    return {"type": "function", "function": function}


_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


def _choice(choice: _ToolChoice | None) -> _Fields:
    if choice is None:
        return {}
    wanted: object = _CHOICES.get(choice.type)
    if wanted is None:
        if choice.name is None:
            raise refused("tool_choice.name", "missing")
        wanted = {"type": "function", "function": {"name": choice.name}}
    # `parallel_tool_calls: true` is what everybody does anyway, and not everybody can be told.
    parallel = False if choice.disable_parallel_tool_use else None
    return {"tool_choice": wanted, "parallel_tool_calls": parallel}


def _reasoning(thinking: _ThinkingConfig | None, effort: str | None) -> _Fields | None:
    if thinking is None:
        return None if effort is None else {"effort": effort}
    match thinking.type:
        case "enabled":
            return {"effort": effort, "max_tokens": thinking.budget_tokens}
        case "adaptive":
            return {"effort": effort}
        case _:
            return {"effort": "none"}


def _format(asked: Counted) -> _Fields | None:
    wanted = (asked.output_config and asked.output_config.format) or asked.output_format
    if wanted is None:
        return None
    # The native format has a name, which only OpenAI wants.
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted.body}}


# --- Turns ----------------------------------------------------------------------------------


def _system(turn: _Turn, at: int) -> list[_Fields]:
    if isinstance(turn.content, str):
        return [{"role": "system", "content": turn.content}]
    texts = []
    for number, block in enumerate(turn.content):
        if not isinstance(block, _Text):
            raise _misplaced(f"messages[{at}].content[{number}]", "text")
        texts.append(block)
    return [{"role": "system", "content": _instructions(texts)}]


def _user(turn: _Turn, at: int) -> list[_Fields]:
    """The results of tools first, as providers want them, then what was shown and said."""
    if isinstance(turn.content, str):
        return [{"role": "user", "content": turn.content}]
    results: list[_Fields] = []
    parts: list[_Fields] = []
    said: list[_Fields] = []
    for number, block in enumerate(turn.content):
        place = f"messages[{at}].content[{number}]"
        if isinstance(block, _ToolResult):
            content, pictures = _result(block, place)
            tool_message = {"role": "tool", "tool_call_id": block.tool_use_id, "content": content}
            results.append(tool_message)
            parts += pictures
        else:
            said.append(_part(block, place, also=", tool_result"))
    parts += said
    if parts or not results:
        results.append({"role": "user", "content": parts or ""})
    return results


def _result(result: _ToolResult, place: str) -> tuple[str, list[_Fields]]:
    """A tool's result as text, and the pictures it holds, after a word on where they are from."""
    prefix = FAILED if result.is_error else ""
    if result.content is None or isinstance(result.content, str):
        return prefix + (result.content or ""), []
    parts = [
        _part(block, f"{place}.content[{number}]") for number, block in enumerate(result.content)
    ]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    pictures = [part for part in parts if part["type"] != "text"]
    if pictures:
        texts.append("(The pictures of this result follow.)")
        pictures.insert(0, _text(f"The pictures that the tool call {result.tool_use_id} returned:"))
    return prefix + "\n".join(texts), pictures


def _part(block: object, place: str, *, also: str = "") -> _Fields:
    """A block as a part of a message."""
    match block:
        case _Text():
            return _text(block.text)
        case _Image():
            return {"type": "image_url", "image_url": {"url": _address(block.source, place)}}
        case _Document():
            return _text(_document(block, place))
        case _SearchResult():
            told = "\n".join(part.text for part in block.content)
            return _text(f"{block.title} ({block.source})\n{told}")
        case _ToolReference():
            return _text(f"The tool {block.tool_name} can be called.")
        case _:
            raise _misplaced(place, f"text, image, document, search_result{also}")


def _text(text: str) -> _Fields:
    return {"type": "text", "text": text}


def _address(source: _Source, place: str) -> str:
    match source:
        case _Source(type="base64", media_type=str(), data=str()):
            written = f"data:{source.media_type};base64,{source.data}"
            return picture(written, f"{place}.source.data")
        case _Source(type="url", url=str() as url):
            return picture(url, f"{place}.source.url")
        case _:
            raise refused(
                f"{place}.source", "must be base64 with media_type and data, or url with url"
            )


def _document(document: _Document, place: str) -> str:
    source = document.source
    match source:
        case _Source(type="text", data=str() as data):
            text = data
        case _Source(type="content", content=str() as content):
            text = content
        case _Source(type="content", content=[_Text(), *_] as parts):
            text = "\n".join(part.text for part in parts)
        case _:
            raise refused(f"{place}.source", "must be text with data, or content with text blocks")
    return "\n".join(filter(None, (document.title, document.context, text)))


def _assistant(turn: _Turn, _: int) -> list[_Fields]:
    if isinstance(turn.content, str):
        return [{"role": "assistant", "content": turn.content}]
    message: _Fields = {
        "role": "assistant",
        "content": [_text(block.text) for block in turn.content if isinstance(block, _Text)],
    }
    reasoning, signatures = _thoughts(turn.content)
    if reasoning:
        message["reasoning"] = reasoning
    calls = [
        _call(block, signatures.get(block.id))
        for block in turn.content
        if isinstance(block, _ToolUse)
    ]
    if calls:
        message["tool_calls"] = calls
    return [message]


def _call(block: _ToolUse, signature: Signature | None) -> _Fields:
    # msgspec, because an argument may be an integer beyond 64 bits.
    arguments = msgspec.json.encode(block.input).decode()
    call: _Fields = {"id": block.id, "function": {"name": block.name, "arguments": arguments}}
    if signature is not None:
        call["signature"] = signature
    return call


def _thoughts(blocks: Iterable[object]) -> tuple[list[_Fields], dict[str, Signature]]:
    """The reasoning of a turn, and the signatures of its tool calls by their ids."""
    reasoning: list[_Fields] = []
    calls: dict[str, Signature] = {}
    for block in blocks:
        call: str | None = None
        match block:
            case _Thinking():
                text, sealed = block.thinking, block.signature
            case _Redacted():
                text = ""
                call, sealed = call_signed(block.data)
            case _:
                continue
        signature = unsealed(sealed)
        if signature is None:
            if text and sealed in (None, "", UNSIGNED):
                reasoning.append({"text": text})
        elif call is None:
            reasoning.append({"text": text, "signature": signature})
        else:
            calls[call] = signature
    return reasoning, calls


_TURNS: Final = {"system": _system, "user": _user, "assistant": _assistant}


def _misplaced(place: str, allowed: str) -> RequestError:
    return refused(f"{place}.type", f"must be {allowed}")
