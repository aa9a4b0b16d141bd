"""A body of the Responses API -> what is asked: a conversation of items becomes one of messages.

What the assistant said is several items here (reasoning, messages, function calls) and one message
there, so items that follow one another are gathered until somebody else speaks. `instructions` are
the first message and belong to their own request alone: an answer that is continued by its
`previous_response_id` takes its conversation along, not its instructions. A referenced item is
taken from the answer that its id names.

A reasoning item's `encrypted_content` holds what its provider wants back, and whose it is: the
providers' own dialects send it to that one and to nobody else. A call's signature has no field in
this API, and clients rebuild calls from the fields they know, so it travels as a reasoning item
without words that names its call. What others encrypted (an answer that came from OpenAI directly)
is passed over: whose key made it cannot be known.

Left out, and refused by name: the tools that OpenAI runs, files, log probabilities, `conversation`
and `prompt`. What only tunes OpenAI's own service (`truncation`, `service_tier`, `store`) is
repeated in the answer.
Source: openai 3.54.0, types/responses/response_create_params.py and response_input_param.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from adapters.request import AssistantMessage, ChatRequest, Message, Signature
from service import complaints
from service.dialects.projection import Asked
from service.dialects.reading import chat_request, flag, picture, refused
from service.dialects.seal import DamagedError, unpacked, unsealed
from service.validation import of_validation

PREVIOUS: Final = "previous_response_id"

LONGEST_LANE: Final = 256
"""Characters of a lane's name on a WebSocket, which every event repeats."""

SUMMED_UP: Final = "What we said so far, in short:\n\n"
"""How a conversation begins that goes on from a compacted one."""

OF_CALL: Final = ":"
"""Between a call's sealed signature and the call's id; no seal holds one."""

ECHOED: Final = (
    "background",
    "frequency_penalty",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "presence_penalty",
    PREVIOUS,
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
)
"""What an answer repeats of its request; the conversation is not among it."""


class Echoed(BaseModel):
    """The types of what is repeated and nothing else is done with: clients are strict with them."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)

    frequency_penalty: float | None = None
    max_tool_calls: int | None = None
    presence_penalty: float | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority"] | None = None
    store: bool | None = None
    top_logprobs: int | None = None
    truncation: Literal["auto", "disabled"] | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier request and its answer."""

    messages: Sequence[Message]
    """What was asked, instructions left out."""
    output: Sequence[Mapping[str, Any]]
    """The answer's items."""


Earlier = Callable[[str], Turn]
"""The turn of a response's id; raises RequestError where it is not known (any more)."""


def read(body: Mapping[str, Any], routing: Mapping[str, Any], earlier: Earlier) -> Asked:
    """Read a body; see `projection.Dialect.read`."""
    try:
        Echoed.model_validate(body)
    except ValidationError as failure:
        raise RequestError(of_validation(failure)) from None
    _refuse(body)
    fields = {ours: body[name] for name, ours in _FIELDS.items() if body.get(name) is not None}
    fields["messages"] = _messages(body, earlier)
    fields |= _tools(body) | _format(body) | _reasoning(body)
    if flag(body, "background"):
        fields["on_disconnect"] = "continue"
    kept = {name: body[name] for name in ECHOED if body.get(name) is not None}
    return Asked(chat=_chat(fields, routing, body), streams=flag(body, "stream"), body=kept)


def _refuse(body: Mapping[str, Any]) -> None:
    """Raise RequestError for what would be missing from the answer without a word."""
    for name in ("conversation", "prompt"):
        if body.get(name) is not None:
            raise refused(name, "is not served here: send the conversation as input items")
    included = body.get("include")
    for name, asked in (
        ("top_logprobs", body.get("top_logprobs")),
        ("include", isinstance(included, list) and _LOGPROBS in included),
    ):
        if asked:
            raise refused(name, "no answer tells log probabilities here")
    if flag(body, "background") and body.get("store") is False:
        raise refused("background", "must be false where store is: nobody could come back to it")


_LOGPROBS: Final = "message.output_text.logprobs"

_THEIRS: Final = {
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "response_format.json_schema": "text.format",
    "response_format": "text.format",
    "tools[].function": "tools[]",
    "tool_choice.function": "tool_choice",
}
"""Our name -> theirs, where they differ."""


def _chat(
    fields: Mapping[str, Any], routing: Mapping[str, Any], body: Mapping[str, Any]
) -> ChatRequest:
    user = {} if body.get(_USER) is None else {"user": _USER}
    try:
        return chat_request(fields, routing, _THEIRS | user)
    except RequestError as refusal:
        error = refusal.error
        if error.param is None or not error.param.startswith("input["):
            raise
        # A message's number is no item's.
        message = "input" + error.message.removeprefix(error.param)
        raise RequestError(msgspec.structs.replace(error, param="input", message=message)) from None


def responses_named(body: Mapping[str, Any]) -> set[str]:
    """The earlier responses that `read` may ask for; what is wrong with a body is for it to say."""
    previous, given = body.get(PREVIOUS), body.get("input")
    items = given if isinstance(given, list) else []
    names = [
        response_of(str(item.get("id")))
        for item in items
        if isinstance(item, dict) and item.get("type") == "item_reference"
    ]
    return {name for name in (previous, *names) if isinstance(name, str)}


def conversation(asked: Asked) -> Sequence[Message]:
    """The messages of a request that a later one goes on from: all but its instructions."""
    return asked.chat.messages[1 if asked.body.get("instructions") else 0 :]


# --- The conversation -----------------------------------------------------------------------


def _messages(body: Mapping[str, Any], earlier: Earlier) -> list[Any]:
    gathered = _Gathered(earlier)
    instructions, previous = body.get("instructions"), body.get(PREVIOUS)
    words = "" if instructions is None else _string(instructions, "instructions")
    if words:
        gathered.say("instructions", {"role": "developer", "content": words})
    if previous is not None:
        turn = earlier(_string(previous, PREVIOUS))
        gathered.go_on(turn)
    given = body.get("input")
    if isinstance(given, str):
        gathered.say("input", {"role": "user", "content": given})
    elif given is not None:
        for place, item in _objects(given, "input"):
            gathered.add(place, item)
    gathered.close()
    if len(gathered.messages) == (1 if words else 0):
        raise refused("input", "missing: a string, or an array of items that say something")
    return gathered.messages


@dataclass(slots=True)
class _Said:
    """What the assistant said in one go."""

    texts: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    reasoning: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    signed: dict[str, Signature] = field(default_factory=dict)
    """Tool call -> its signature."""

    def message(self) -> dict[str, Any] | None:
        """As a message; None where nothing was said aloud, which no provider takes back."""
        if not (self.texts or self.refusals or self.calls):
            return None
        for call in self.calls:
            if call["id"] in self.signed:
                call["signature"] = self.signed[call["id"]]
        said: dict[str, Any] = {"role": "assistant"}
        if len(self.texts) == 1:
            said["content"] = self.texts[0]
        elif self.texts:
            said["content"] = [{"type": "text", "text": text} for text in self.texts]
        if self.refusals:
            said["refusal"] = "".join(self.refusals)
        if self.reasoning:
            said["reasoning"] = self.reasoning
        if self.calls:
            said["tool_calls"] = self.calls
        return said


class _Gathered:
    """The messages so far, and what the assistant is saying."""

    def __init__(self, earlier: Earlier) -> None:
        self.messages: list[Any] = []
        self._earlier = earlier
        self._said = _Said()
        self._called: set[str] = set()

    def go_on(self, turn: Turn) -> None:
        """Continue after an earlier answer."""
        self.messages += turn.messages
        for message in turn.messages:
            if isinstance(message, AssistantMessage):
                self._called.update(call.id for call in message.tool_calls or ())
        for item in turn.output:
            self.add(PREVIOUS, item)

    def add(self, place: str, item: Mapping[str, Any]) -> None:
        """The next item."""
        kind = item.get("type") or ("message" if "role" in item else None)
        reader = _READERS.get(kind) if isinstance(kind, str) else None
        if reader is None:
            allowed = ", ".join(_READERS)
            shown = complaints.shown(kind)
            raise refused(f"{place}.type", f"{shown} is not served here; must be one of {allowed}")
        reader(self, place, item)

    def say(self, place: str, message: dict[str, Any]) -> None:
        """A message that is not the assistant's."""
        _string(message["role"], place)
        self.close()
        self.messages.append(message)

    def close(self) -> None:
        """The assistant is done."""
        message, self._said = self._said.message(), _Said()
        if message is not None:
            self.messages.append(message)

    def message(self, place: str, item: Mapping[str, Any]) -> None:
        """An item of type `message`, or without a type."""
        role, content = item.get("role"), item.get("content")
        if role not in _ROLES:
            shown = complaints.shown(role)
            must = f"must be one of {', '.join(_ROLES)}"
            raise refused(f"{place}.role", f"{shown} is not allowed; {must}")
        place += ".content"
        if role != "assistant":
            said = content if isinstance(content, str) else _parts(content, place, role)
            self.say(place, {"role": role, "content": said})
        elif isinstance(content, str):
            self._said.texts.append(content)
        else:
            for at, part in _objects(content, place):
                self._assistant_part(at, part)

    def _assistant_part(self, place: str, part: Mapping[str, Any]) -> None:
        if part.get("type") == "refusal":
            self._said.refusals.append(_string(part.get("refusal"), f"{place}.refusal"))
        else:
            self._said.texts.append(_text(part, place))

    def function_call(self, place: str, item: Mapping[str, Any]) -> None:
        """A call the assistant made."""
        call = _call_id(item, place)
        self._called.add(call)
        function = {
            name: _string(item.get(name), f"{place}.{name}") for name in ("name", "arguments")
        }
        self._said.calls.append({"id": call, "function": function})

    def function_call_output(self, place: str, item: Mapping[str, Any]) -> None:
        """A call's result. One that was never made is refused: a provider would, and say less."""
        call = _call_id(item, place)
        if call not in self._called:
            shown = complaints.shown(call)
            raise refused("input", f"no tool call found for function call output {shown}")
        output = item.get("output")
        if not isinstance(output, str):
            output = _parts(output, f"{place}.output", "tool")
        self.say(place, {"role": "tool", "tool_call_id": call, "content": output})

    def reasoning(self, place: str, item: Mapping[str, Any]) -> None:
        """What the assistant thought, or the signature of a call."""
        content, _, call = str(item.get("encrypted_content")).partition(OF_CALL)
        signature = unsealed(content)
        if call and signature is not None:
            self._said.signed[call] = signature
            return
        texts = [
            _text(part, at)
            for name in ("summary", "content")
            if item.get(name) is not None
            for at, part in _objects(item[name], f"{place}.{name}")
        ]
        thought: dict[str, Any] = {"text": "\n\n".join(texts)}
        if signature is not None:
            thought["signature"] = signature
        self._said.reasoning.append(thought)

    def item_reference(self, place: str, item: Mapping[str, Any]) -> None:
        """An item of an earlier answer, by its id."""
        name = _string(item.get("id"), f"{place}.id")
        response = response_of(name)
        output = self._earlier(response).output if response is not None else ()
        found = next((one for one in output if one.get("id") == name), None)
        if found is None:
            shown = complaints.shown(name)
            error = make(
                ErrorCode.NOT_FOUND,
                f"item with id {shown} not found",
                param="input",
                phase=Phase.BEFORE_STREAM,
            )
            raise RequestError(error)
        self.add(place, found)

    def compaction(self, place: str, item: Mapping[str, Any]) -> None:
        """What was said before, summed up here: the user's words, as it is no instruction."""
        param = f"{place}.encrypted_content"
        try:
            summary = unpacked(item.get("encrypted_content"))
        except DamagedError:
            raise refused(
                param, "it was compacted here, but characters of it were lost, added or changed"
            ) from None
        if summary is None:
            raise refused(param, "only what was compacted here can be read")
        self.say(place, {"role": "user", "content": SUMMED_UP + summary})


_READERS: Final[Mapping[str, Callable[[_Gathered, str, Mapping[str, Any]], None]]] = {
    "message": _Gathered.message,
    "function_call": _Gathered.function_call,
    "function_call_output": _Gathered.function_call_output,
    "reasoning": _Gathered.reasoning,
    "item_reference": _Gathered.item_reference,
    "compaction": _Gathered.compaction,
}

_ROLES: Final = ("user", "assistant", "system", "developer")


def _objects(value: object, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of an array, with where they stand."""
    if not isinstance(value, list):
        hidden = complaints.shown(value, hidden=True)
        raise refused(place, f"{hidden} is not allowed; must be an array of objects")
    for number, one in enumerate(value):
        at = f"{place}[{number}]"
        if not isinstance(one, dict):
            hidden = complaints.shown(one, hidden=True)
            raise refused(at, f"{hidden} is not allowed; must be an object")
        yield at, one


def _string(value: object, place: str) -> str:
    if value is None:
        raise refused(place, "missing")
    if not isinstance(value, str):
        hidden = complaints.shown(value, hidden=True)
        raise refused(place, f"{hidden} is not allowed; must be a string")
    return value


_LONGEST_ID: Final = 256


def _call_id(item: Mapping[str, Any], place: str) -> str:
    place += ".call_id"
    call = _string(item.get("call_id"), place)
    if not 0 < len(call) <= _LONGEST_ID:
        hidden = complaints.shown(call, hidden=True)
        must = f"must be a string of 1 to {_LONGEST_ID} characters"
        raise refused(place, f"{hidden} is not allowed; {must}")
    return call


# Tuples, because what is looked for in them may be anything, an object as well.
_TEXTS: Final = ("input_text", "output_text", "text", "summary_text", "reasoning_text")


def _text(part: Mapping[str, Any], place: str, *, also: str = "") -> str:
    """A part's text; `also`: what else could stand there."""
    if part.get("type") not in _TEXTS:
        shown = complaints.shown(part.get("type"))
        allowed = f"must be one of {', '.join(_TEXTS)}{also}"
        raise refused(f"{place}.type", f"{shown} is not served here; {allowed}")
    return _string(part.get("text"), f"{place}.text")


def _parts(content: object, place: str, role: str) -> list[dict[str, Any]]:
    """Content in parts; images are the user's alone."""
    parts: list[dict[str, Any]] = []
    also = ", input_image" if role == "user" else ""
    for at, part in _objects(content, place):
        if also and part.get("type") == "input_image":
            parts.append(_image(part, at))
        else:
            parts.append({"type": "text", "text": _text(part, at, also=also)})
    return parts


_DETAILS: Final = ("auto", "low", "high")


def _image(part: Mapping[str, Any], place: str) -> dict[str, Any]:
    place += ".image_url"
    image = {"url": picture(_string(part.get("image_url"), place), place)}
    if part.get("detail") in _DETAILS:
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


_ULID: Final = 26  # characters


def response_of(item: str) -> str | None:
    """The response that an item's id belongs to; None for an id that is not of our making."""
    _, _, rest = item.partition("_")
    ulid, dash, _ = rest.partition("_")
    return f"resp_{ulid}" if dash and len(ulid) == _ULID else None


# --- Parameters -----------------------------------------------------------------------------

_USER: Final = "safety_identifier"

_FIELDS: Final = {
    "model": "model",
    "temperature": "temperature",
    "top_p": "top_p",
    "max_output_tokens": "max_tokens",
    "parallel_tool_calls": "parallel_tool_calls",
    "metadata": "metadata",
    "user": "user",
    _USER: "user",  # its successor, and so the later word
}
"""Their name -> ours."""


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """Functions and which of them may be called; their other tools cannot be run here."""
    given, choice = body.get("tools"), body.get("tool_choice")
    tools = [] if given is None else [_tool(at, tool) for at, tool in _objects(given, "tools")]
    fields: dict[str, Any] = {}
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        listed = _objects(choice.get("tools"), "tool_choice.tools")
        names = [tool.get("name") for _, tool in listed]
        tools = [tool for tool in tools if tool["function"]["name"] in names]
        choice = choice.get("mode", "auto")
    elif isinstance(choice, dict):
        choice = {"type": choice.get("type"), "function": {"name": choice.get("name")}}
    if tools:
        fields["tools"] = tools
    if choice is not None:
        fields["tool_choice"] = choice
    return fields


def _tool(place: str, tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        shown = complaints.shown(tool.get("type"))
        raise refused(f"{place}.type", f"{shown} is not served here; must be 'function'")
    named = ("name", "description", "parameters", "strict")
    function = {name: tool[name] for name in named if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _format(body: Mapping[str, Any]) -> dict[str, Any]:
    text = _object(body, "text")
    wanted = _object(text, "format", "text.format")
    if not wanted:
        return {}
    if wanted.get("type") != "json_schema":
        return {"response_format": {"type": wanted.get("type")}}
    named = ("name", "schema", "description", "strict")
    schema = {name: wanted[name] for name in named if wanted.get(name) is not None}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _reasoning(body: Mapping[str, Any]) -> dict[str, Any]:
    effort = _object(body, "reasoning").get("effort")
    return {} if effort is None else {"reasoning": {"effort": effort}}


def _object(of: Mapping[str, Any], name: str, place: str | None = None) -> Mapping[str, Any]:
    value = of.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        shown = complaints.shown(value)
        raise refused(place or name, f"{shown} is not allowed; must be an object")
    return value
