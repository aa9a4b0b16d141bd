"""Writes a generateContent request: the encoding half of `gemini`.

The format's own rules, each kept here (ai.google.dev, Gemini API; the types of google-genai 3.4):

- Instructions are `systemInstruction`: every system and developer message, wherever it stood, in
  order. There is no system role inside `contents`.
- Roles are `user` and `model`; a function's result is the user's. Neighbours of one role become
  one content, because all results of parallel calls must stand in the content after the calls.
- A result names its function, which the request knows only by the call's id: the name is looked up
  in the calls before it.
- Thought signatures go back on the part they came with, and only to the provider that made them.
  Newer models answer 400 to a call without one; for calls that another model made, Google
  documents a stand-in value (`GeminiQuirks.signature_stand_in`).
- A conversation that ends with the model's turn is a beginning to go on with, and to newer models a
  400: they are asked to go on by a turn of the user's.
- Images go inline, or as an https address that Google fetches; other addresses it does not take.
- Either a thinking level or a thinking budget is sent, never both (400).

Left out: `messages[].name`, an image's `detail`, `user`, `parallel_tool_calls: false` and a
function's `strict`, which have no place in the format.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, assert_never
from urllib.parse import quote, urlsplit

import orjson

from adapters.contract import Call, Encoded
from adapters.dialects import concessions, prefill
from adapters.dialects.concessions import Concessions
from adapters.events import ErrorCode
from adapters.request import (
    AssistantMessage,
    ChatRequest,
    Effort,
    FunctionSpec,
    ImagePart,
    JsonSchemaFormat,
    NamedToolChoice,
    Reasoning,
    Signature,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
    text_of,
)

SIGNATURE = "gemini.thought_signature"

MADE_ID = "trcall_"
"""How the id of a call begins that the provider gave none; such ids are not sent back."""

_MAX_SEED = 2**31 - 1  # a signed 32-bit integer on the wire
_UNKNOWN_IMAGE = "image/jpeg"  # what is said of an address whose ending tells nothing
_IMAGE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".bmp": "image/bmp",
}

_BUDGETS: Mapping[Effort, int] = MappingProxyType(
    # As Google's own OpenAI-compatible endpoint reads reasoning_effort.
    {
        "none": 0,
        "minimal": 1_024,
        "low": 1_024,
        "medium": 8_192,
        "high": 24_576,
        "xhigh": 24_576,
        "max": 24_576,
    }
)

_Part = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeminiQuirks:
    """One provider's ways with generateContent. Models are named by the start of their id."""

    efforts: tuple[Effort, ...] = ("low", "medium", "high")
    """What `thinkingLevel` usually takes (`Model.efforts` outranks it)."""
    budget_models: tuple[str, ...] = ()
    """Models that think by `thinkingBudget`, in tokens; all others take a level."""
    budgets: Mapping[Effort, int] = field(default_factory=lambda: _BUDGETS)
    """Effort -> thinking tokens, for `budget_models`; 0 is not thinking."""
    signature_models: tuple[str, ...] = ()
    """Models that answer 400 to a past function call without a thought signature."""
    signature_stand_in: str = "skip_thought_signature_validator"
    """What those get for a call that carries none of theirs."""
    no_image_urls: tuple[str, ...] = ()
    """Models for which Google fetches no addresses."""
    json_excludes_tools: tuple[str, ...] = ()
    """Models that answer 400 to a JSON response format together with tools."""
    stop_limit: int = 5
    """Most stop sequences it takes; the rest is dropped with a warning."""


def encode(call: Call, quirks: GeminiQuirks) -> Encoded:
    """The request as this format says it.

    Raises RequestError where it holds no message besides instructions, tools or an image that the
    model does not take, an image whose address Google would not fetch, or a result of a call that
    is not in the conversation.
    """
    request, notes = call.request, Concessions()
    tools = concessions.tools(call, notes)
    system, contents = _Conversation(call, quirks, notes).write()
    declarations = [_declaration(tool.function, notes) for tool in tools]
    body: dict[str, Any] = {
        "contents": contents,
        "systemInstruction": {"parts": system} if system else None,
        "tools": [{"functionDeclarations": declarations}] if tools else None,
        "toolConfig": _tool_config(request, notes) if tools else None,
        "generationConfig": _generation_config(call, quirks, notes) or None,
    }
    if request.user is not None:
        notes.dropped("user", "the Gemini API has none")
    return Encoded(
        path=f"/models/{quote(call.model.id, safe='')}:streamGenerateContent?alt=sse",
        body={name: value for name, value in body.items() if value is not None},
        warnings=notes.warnings,
    )


# --- The conversation -----------------------------------------------------------------------


class _Conversation:
    """Messages -> contents, one message at a time."""

    def __init__(self, call: Call, quirks: GeminiQuirks, notes: Concessions) -> None:
        self._call = call
        self._quirks = quirks
        self._notes = notes
        self._system: list[_Part] = []
        self._contents: list[dict[str, Any]] = []
        self._names: dict[str, str] = {}
        """Call id -> function name. A later call under an id that was used before replaces it."""

    def write(self) -> tuple[list[_Part], list[dict[str, Any]]]:
        """The parts of the instructions, and the contents."""
        for at, message in enumerate(self._call.request.messages):
            if message.name is not None and not isinstance(message, ToolMessage):
                self._notes.dropped("messages[].name", "the Gemini API has none")
            match message:
                case SystemMessage():
                    self._system += _text_parts(text_of(message.content))
                case UserMessage():
                    self._extend("user", self._user_parts(message, at))
                case AssistantMessage():
                    self._extend("model", self._model_parts(message, at))
                case ToolMessage():
                    self._extend("user", [self._result(message, at)])
                case _:
                    assert_never(message)
        if not self._contents:
            raise concessions.refusal(
                self._call, "messages", "the API needs one besides the instructions"
            )
        if self._contents[-1]["role"] == "model" and prefill.needs_turn(self._call, self._notes):
            self._extend("user", _text_parts(prefill.GO_ON))
        for content in self._contents:
            # A stable sort: results of function calls first, everything else as it stood.
            content["parts"].sort(key=lambda part: "functionResponse" not in part)
        return self._system, self._contents

    def _extend(self, role: str, parts: list[_Part]) -> None:
        if not parts:
            return
        if self._contents and self._contents[-1]["role"] == role:
            self._contents[-1]["parts"] += parts
        else:
            self._contents.append({"role": role, "parts": parts})

    def _user_parts(self, message: UserMessage, at: int) -> list[_Part]:
        if isinstance(message.content, str):
            return _text_parts(message.content)
        parts: list[_Part] = []
        for number, part in enumerate(message.content):
            if isinstance(part, TextPart):
                parts += _text_parts(part.text)
            else:
                parts.append(self._image(part, f"messages[{at}].content[{number}].image_url.url"))
        return parts

    def _image(self, part: ImagePart, param: str) -> _Part:
        if not self._call.model.images:
            raise concessions.refusal(self._call, param, "the model takes no images")
        image = part.image_url
        if image.detail not in (None, "auto"):
            self._notes.dropped("messages[].content[].image_url.detail", "the Gemini API has none")
        inline = image.data()
        if inline is not None:
            media_type, data = inline
            return {"inlineData": {"mimeType": media_type, "data": data}}
        address = urlsplit(image.url)
        if address.scheme != "https":
            raise concessions.refusal(self._call, param, "the API fetches images over https only")
        if self._call.model.id.startswith(self._quirks.no_image_urls):
            raise concessions.refusal(self._call, param, "the model takes images inline only")
        path = address.path.lower()
        kinds = (kind for ending, kind in _IMAGE_TYPES.items() if path.endswith(ending))
        return {"fileData": {"mimeType": next(kinds, _UNKNOWN_IMAGE), "fileUri": image.url}}

    def _model_parts(self, message: AssistantMessage, at: int) -> list[_Part]:
        """Thoughts, text, then what only a signature is left of, then calls."""
        signed = [
            (item, value)
            for item in message.reasoning or ()
            if (value := self._signature(item.signature)) is not None
        ]
        parts = [_thought(item, value) for item, value in signed if item.text]
        for text in (text_of(message.content), message.refusal):
            parts += _text_parts(text or "")
        # A signature that came on the answer's own text: it closes the text, on an empty part.
        parts += [
            {"text": "", "thoughtSignature": value} for item, value in signed if not item.text
        ]
        return parts + self._calls(message, at)

    def _calls(self, message: AssistantMessage, at: int) -> list[_Part]:
        parts: list[_Part] = []
        for number, past in enumerate(message.tool_calls or ()):
            param = f"messages[{at}].tool_calls[{number}].function.arguments"
            self._names[past.id] = past.function.name
            part: _Part = {
                "functionCall": {
                    **_sent_id(past.id),
                    "name": past.function.name,
                    "args": concessions.arguments(past, param, self._notes),
                }
            }
            signature = self._signature(past.signature)
            # Of parallel calls only the first carries a signature.
            if signature is None and number == 0:
                signature = self._stand_in()
            if signature is not None:
                part["thoughtSignature"] = signature
            parts.append(part)
        return parts

    def _stand_in(self) -> str | None:
        needed = self._call.model.id.startswith(self._quirks.signature_models)
        return self._quirks.signature_stand_in if needed else None

    def _signature(self, signature: Signature | None) -> str | None:
        """Its value, where this provider made it."""
        if signature is None or signature.format != SIGNATURE:
            return None
        return signature.value if signature.provider == self._call.provider.name else None

    def _result(self, message: ToolMessage, at: int) -> _Part:
        name = self._names.get(message.tool_call_id) or message.name
        if name is None:
            raise concessions.refusal(
                self._call,
                f"messages[{at}].tool_call_id",
                "no call of that id stands before it",
                ErrorCode.INVALID_REQUEST,
            )
        response = _response(text_of(message.content))
        call_id = _sent_id(message.tool_call_id)
        return {"functionResponse": {**call_id, "name": name, "response": response}}


def _text_parts(text: str) -> list[_Part]:
    """No part for no text: an empty part is a 400."""
    return [{"text": text}] if text else []


def _thought(item: Reasoning, signature: str) -> _Part:
    return {"text": item.text, "thought": True, "thoughtSignature": signature}


def _sent_id(call_id: str) -> dict[str, str]:
    """The id field of a call or a result; none where we made the id up."""
    return {} if call_id.startswith(MADE_ID) else {"id": call_id}


def _response(content: str) -> dict[str, Any]:
    """A result as the object the API wants: itself where it is one, else under `output`."""
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"output": content}


# --- Tools ----------------------------------------------------------------------------------


def _declaration(function: FunctionSpec, notes: Concessions) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": function.name}
    if function.description:
        declaration["description"] = function.description
    if function.parameters:
        declaration["parametersJsonSchema"] = function.parameters
    if function.strict:
        notes.dropped("tools[].function.strict", "the Gemini API has none")
    return declaration


_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}


def _tool_config(request: ChatRequest, notes: Concessions) -> dict[str, Any] | None:
    wanted = request.tool_choice
    if request.parallel_tool_calls is False:
        notes.dropped("parallel_tool_calls", "the Gemini API has none")
    if wanted is None:
        return None
    if isinstance(wanted, NamedToolChoice):
        config = {"mode": "ANY", "allowedFunctionNames": [wanted.function.name]}
    else:
        config = {"mode": _MODES[wanted]}
    return {"functionCallingConfig": config}


# --- generationConfig -----------------------------------------------------------------------


def _generation_config(call: Call, quirks: GeminiQuirks, notes: Concessions) -> dict[str, Any]:
    request, model = call.request, call.model
    config: dict[str, Any] = {
        "maxOutputTokens": concessions.max_tokens(request, model, notes),
        "temperature": concessions.temperature(request, model, notes),
        "topP": request.top_p if model.sampling else None,
        "stopSequences": _stop_sequences(call, quirks, notes) or None,
        "seed": _seed(request, notes),
        "thinkingConfig": _thinking_config(call, quirks, notes),
        **_response_format(call, quirks, notes),
    }
    if request.top_p is not None and not model.sampling:
        notes.dropped("top_p", "the model takes no sampling parameters")
    return {name: value for name, value in config.items() if value is not None}


def _seed(request: ChatRequest, notes: Concessions) -> int | None:
    if request.seed is not None and not -_MAX_SEED - 1 <= request.seed <= _MAX_SEED:
        notes.dropped("seed", "the Gemini API takes 32 bits")
        return None
    return request.seed


def _stop_sequences(call: Call, quirks: GeminiQuirks, notes: Concessions) -> list[str]:
    wanted = call.request.stop or []
    if wanted and not call.model.stop:
        notes.dropped("stop", "the model takes no stop sequences")
        return []
    if len(wanted) > quirks.stop_limit:
        notes.changed("stop", f"only the first {quirks.stop_limit} were sent")
    return wanted[: quirks.stop_limit]


def _response_format(call: Call, quirks: GeminiQuirks, notes: Concessions) -> dict[str, Any]:
    wanted = call.request.response_format
    if wanted is None or wanted.type == "text":
        return {}
    if call.request.tools and call.model.id.startswith(quirks.json_excludes_tools):
        notes.dropped("response_format", "the model takes no JSON format together with tools")
        return {}
    fields: dict[str, Any] = {"responseMimeType": "application/json"}
    if isinstance(wanted, JsonSchemaFormat):
        fields["responseJsonSchema"] = wanted.json_schema.body
    return fields


def _thinking_config(call: Call, quirks: GeminiQuirks, notes: Concessions) -> dict[str, Any] | None:
    """How much to think, and that thoughts are shown: they cost nothing more and show life.

    Nothing is said of its own accord to a model that may not think at all: that is a 400.
    """
    options, model = call.request.reasoning, call.model
    if model.reasoning == "none":
        if options is not None and options.effort != "none":
            notes.dropped("reasoning", "the model does not think")
        return None
    if options is None and model.reasoning != "always":
        return None
    if model.id.startswith(quirks.budget_models):
        return _by_budget(call, quirks, notes)
    return _by_level(call, quirks, notes)


def _by_budget(call: Call, quirks: GeminiQuirks, notes: Concessions) -> dict[str, Any]:
    options = call.request.reasoning
    effort = options.effort if options else None
    if effort == "none" and call.model.reasoning == "always":
        concessions.least_effort(("minimal",), notes)
        effort = "minimal"
    if effort == "none":
        return {"thinkingBudget": quirks.budgets["none"]}
    config: dict[str, Any] = {"includeThoughts": True}
    if options is not None and options.max_tokens is not None:
        config["thinkingBudget"] = options.max_tokens
    elif effort is not None:
        config["thinkingBudget"] = quirks.budgets[effort]
    return config


def _by_level(call: Call, quirks: GeminiQuirks, notes: Concessions) -> dict[str, Any]:
    options = call.request.reasoning
    taken = call.model.efforts or quirks.efforts
    effort = options.effort if options else None
    config: dict[str, Any] = {"includeThoughts": True}
    if options is not None and options.max_tokens is not None:
        notes.dropped("reasoning.max_tokens", "the model thinks by level, not by tokens")
    if effort == "none":
        # No level turns thinking off; the least one comes nearest.
        return {"thinkingLevel": concessions.least_effort(taken, notes).upper()}
    if effort is not None:
        config["thinkingLevel"] = concessions.effort(effort, taken, notes).upper()
    return config
