"""What a `useChat` front end sends, read into a request.

A UI message is what a page shows: parts in the order in which they came, an assistant's with its
tool calls and their results inside. Here it becomes the turns that a provider was part of: each
step is an assistant's turn and, where it called tools, their results. What only the page knows
(`data-*`, sources, files an assistant made, parts of kinds to come) is passed over.

A call that nobody answered is left out: a page that was stopped in the middle of a tool keeps one
for ever, and every provider refuses a conversation with it.

Beside `messages` the body may hold the fields of the native request by their names, as `useChat`'s
`body` option adds them; `system`; and tools in the native form or as a map of names to
`{description, inputSchema}`, as some component libraries send them.

Source: `ai` 7.0.173, ui-messages.ts and convert-to-model-messages.ts.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from adapters.errors import RequestError
from adapters.request import MAX_MESSAGES, MAX_PARTS, ChatRequest
from service.dialects import reading
from service.dialects.reading import picture, refused
from service.dialects.seal import unsealed
from service.validation import of_validation

NAMESPACE = "tailrace"
"""Whose word it is, among a part's provider metadata."""

_FIELDS = tuple(set(ChatRequest.model_fields) - {"messages", "metadata", "user"})
"""What a body's fields are taken for; `user` and `metadata` are an application's own words."""

Native = dict[str, Any]


_TAGS = {
    "text": "Text",
    "file": "File",
    "reasoning": "Reasoning",
    "dynamic-tool": "Tool",
    "step-start": "Step",
    "steering-message": "Steering",
}


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)


class TextPart(_Lenient):
    """Words."""

    type: Literal["text"]
    text: str


class FilePart(_Lenient):
    """A file, by its address."""

    type: Literal["file"]
    url: str
    mediaType: str  # noqa: N815 - the client's name
    providerMetadata: dict[str, Any] | None = None  # noqa: N815 - the client's name


class ReasoningPart(_Lenient):
    """What a model thought."""

    type: Literal["reasoning"]
    text: str
    providerMetadata: dict[str, Any] | None = None  # noqa: N815 - the client's name


class ToolPart(_Lenient):
    """A tool call and what became of it."""

    type: str = Field(json_schema_extra={"pattern": "^(tool-|dynamic-tool$)"})
    toolCallId: str = Field(min_length=1, max_length=256)  # noqa: N815 - the client's name
    toolName: str = ""  # noqa: N815 - the client's name
    state: str
    input: Any = None
    rawInput: Any = None  # noqa: N815 - the client's name
    output: Any = None
    errorText: str = ""  # noqa: N815 - the client's name
    providerExecuted: bool | None = None  # noqa: N815 - the client's name
    approval: dict[str, Any] | None = None
    callProviderMetadata: dict[str, Any] | None = None  # noqa: N815 - the client's name

    @property
    def name(self) -> str:
        """The tool's."""
        return self.toolName or self.type.removeprefix("tool-")


class StepStart(_Lenient):
    """Another turn of the model begins."""

    type: Literal["step-start"]


class OtherPart(_Lenient):
    """What concerns the page alone; all that it must have is a type."""

    type: str = Field(json_schema_extra={"not": {"pattern": f"^(tool-|({'|'.join(_TAGS)})$)"}})


class SteeringPart(_Lenient):
    """What the user said while the assistant was at work."""

    type: Literal["steering-message"]
    parts: "list[Part]" = Field(max_length=MAX_PARTS)


def _tag(part: object) -> str:
    """Which model a part is read by; the last one refuses what has no type."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(kind, str):
        return "Other"
    return "Tool" if kind.startswith("tool-") else _TAGS.get(kind, "Other")


Part = Annotated[
    Annotated[TextPart, Tag("Text")]
    | Annotated[FilePart, Tag("File")]
    | Annotated[ReasoningPart, Tag("Reasoning")]
    | Annotated[ToolPart, Tag("Tool")]
    | Annotated[StepStart, Tag("Step")]
    | Annotated[SteeringPart, Tag("Steering")]
    | Annotated[OtherPart, Tag("Other")],
    Discriminator(_tag),
]


class UiMessage(_Lenient):
    """One message of the page."""

    id: str = ""
    role: Annotated[str, Field(pattern="^(system|user|assistant)$")]
    parts: list[Part] = Field(max_length=MAX_PARTS)


class Body(_Lenient):
    """What is read of a body before its other fields are."""

    id: str | None = Field(default=None, min_length=1, max_length=512)
    """The chat's."""
    messages: list[UiMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    system: str | None = None


def chat_request(body: Mapping[str, Any], routing: Mapping[str, Any]) -> ChatRequest:
    """The request that a body asks for; `routing` holds what headers said, and wins.

    Raises RequestError naming the field.
    """
    try:
        read = Body.model_validate(dict(body))
    except ValidationError as failure:
        raise RequestError(of_validation(failure)) from None
    asked = {name: body.get(name) for name in _FIELDS}
    asked["metadata"] = _routing(body.get("metadata"))
    names = _names(asked["tools"])
    asked["tools"] = _tools(asked["tools"])
    asked["messages"] = list(_messages(read))
    if not asked["messages"]:
        raise refused("messages", "no message says anything that a model can be told")
    return reading.chat_request(asked, routing, names)


# --- Fields beside the conversation ---------------------------------------------------------


def _routing(metadata: object) -> dict[str, Any]:
    """What metadata says of routing; the rest is the application's own."""
    given = metadata if isinstance(metadata, Mapping) else {}
    return {name: value for name, value in given.items() if name.startswith(f"{NAMESPACE}_")}


def _tools(tools: object) -> object:
    """A map of tools as a list; anything else is the native form, or is refused as such."""
    if not isinstance(tools, Mapping):
        return tools
    return [{"type": "function", "function": _function(*named)} for named in tools.items()]


def _names(tools: object) -> dict[str, str]:
    """Where the fields of a map of tools are, by where they are in the list."""
    if not isinstance(tools, Mapping):
        return {}
    names: dict[str, str] = {}
    for number, (name, tool) in enumerate(tools.items()):
        ours, theirs = f"tools[{number}].function", f"tools.{name[:64]}"
        given = isinstance(tool, Mapping) and tool.get("inputSchema")
        schema = "inputSchema" if given else "parameters"
        names |= {f"{ours}.parameters": f"{theirs}.{schema}", f"{ours}.name": theirs, ours: theirs}
    return names


def _function(name: str, tool: object) -> Native:
    if not isinstance(tool, Mapping):
        raise refused(f"tools.{name[:64]}", "must be an object")
    schema = tool.get("inputSchema") or tool.get("parameters")
    given = {"description": tool.get("description"), "parameters": schema}
    return {"name": name} | {field: value for field, value in given.items() if value is not None}


# --- The conversation -----------------------------------------------------------------------


def _messages(read: Body) -> Iterator[Native]:
    if read.system:
        yield {"role": "system", "content": read.system}
    for number, message in enumerate(read.messages):
        place = f"messages[{number}].parts"
        if message.role == "assistant":
            yield from _assistant(message.parts, place)
        elif message.role == "user":
            yield from _user(message.parts, place)
        elif text := _text(message.parts):
            yield {"role": "system", "content": text}


def _user(parts: Iterable[Part], place: str) -> Iterator[Native]:
    """What the user said and showed, if any of it is for a model."""
    content: list[Native] = []
    for number, part in enumerate(parts):
        if isinstance(part, TextPart):
            content.append({"type": "text", "text": part.text})
        elif isinstance(part, FilePart):
            content.append(_image(part, f"{place}[{number}]"))
    if content:
        yield {"role": "user", "content": content}


def _image(part: FilePart, place: str) -> Native:
    if not part.mediaType.startswith("image"):
        kind = part.mediaType[:64]
        raise refused(f"{place}.mediaType", f"{kind!r} cannot be sent; must be an image's")
    return {"type": "image_url", "image_url": {"url": picture(part.url, f"{place}.url")}}


def _assistant(parts: Iterable[Part], place: str) -> Iterator[Native]:
    """A turn for every step, and what was said in between."""
    step: list[Part] = []
    for number, part in enumerate(parts):
        if not isinstance(part, StepStart | SteeringPart):
            step.append(part)
            continue
        yield from _turn(step)
        step = []
        if isinstance(part, SteeringPart):
            yield from _user(part.parts, f"{place}[{number}].parts")
    yield from _turn(step)


def _turn(step: Iterable[Part]) -> Iterator[Native]:
    """What one step said, and what its tools answered."""
    step = list(step)
    answered = [
        (part, answer)
        for part in step
        if isinstance(part, ToolPart) and (answer := _answer(part)) is not None
    ]
    text = _text(step)
    if not text and not answered:
        return  # thoughts alone are no turn that a provider takes back
    turn: Native = {"role": "assistant", "content": text or None}
    thoughts = [_reasoning(part) for part in step if isinstance(part, ReasoningPart)]
    if thoughts:
        turn["reasoning"] = thoughts
    if answered:
        turn["tool_calls"] = [_call(part) for part, _ in answered]
    results = (
        {"role": "tool", "tool_call_id": part.toolCallId, "name": part.name, "content": answer}
        for part, answer in answered
    )
    yield from chain([turn], results)


def _text(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def _reasoning(part: ReasoningPart) -> Native:
    return {"text": part.text} | _signed(part.providerMetadata)


def _call(part: ToolPart) -> Native:
    function = {"name": part.name, "arguments": _arguments(part)}
    return {"id": part.toolCallId, "function": function} | _signed(part.callProviderMetadata)


def _arguments(part: ToolPart) -> str:
    """The argument text; a string is one that could not be read as JSON, and goes back as it is."""
    given = part.rawInput if part.input is None else part.input
    return _written({} if given is None else given)


def _answer(part: ToolPart) -> str | None:
    """What the tool answered; None: nothing, or it is the provider's own affair."""
    if part.providerExecuted:
        return None
    approval = part.approval or {}
    match part.state:
        case "output-available":
            return _written(part.output)
        case "output-error":
            return part.errorText
        case "output-denied":
            return _denial(approval)
        case "approval-responded" if approval.get("approved") is False:
            return _denial(approval)
        case _:
            return None


def _denial(approval: Mapping[str, Any]) -> str:
    reason = approval.get("reason")
    return (
        reason if isinstance(reason, str) and reason else "The user did not allow this tool call."
    )


def _written(value: object) -> str:
    # msgspec, because it may hold an integer beyond 64 bits.
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _signed(metadata: Mapping[str, Any] | None) -> Native:
    """What a provider signed, as the projection gave it out."""
    own = (metadata or {}).get(NAMESPACE)
    signature = unsealed(own.get("signature")) if isinstance(own, Mapping) else None
    return {} if signature is None else {"signature": signature}
