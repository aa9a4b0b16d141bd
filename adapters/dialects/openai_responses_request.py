"""A call -> the body of a Responses request.

Every request streams and none is stored: the whole conversation goes along as input items, so the
encrypted reasoning of reasoning models is asked for, and sent back where this provider gave it
out. What the provider or the model cannot take is left out or changed, with a warning; an image or
tools for a model that takes none are refused. The caller's `metadata` is a note on the stream and
stays here.

Each message becomes one item or several: an assistant message is its reasoning items, then its
text, then one `function_call` item for each tool call. Every message item says `type: "message"`,
which OpenAI lets one leave out and Perplexity does not. Source: openai 3.54.0,
types/responses/response_create_params.py; docs.perplexity.ai, Agent API (2026-11).
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapters.contract import Call, Encoded
from adapters.dialects import concessions, prefill
from adapters.dialects.blocks import is_json_object
from adapters.dialects.openai_responses_quirks import ResponsesQuirks
from adapters.request import (
    AssistantMessage,
    Effort,
    ImagePart,
    JsonSchemaFormat,
    Message,
    NamedToolChoice,
    Part,
    Reasoning,
    ResponseFormat,
    Signature,
    SystemMessage,
    TextPart,
    Tool,
    ToolCall,
    ToolMessage,
    UserMessage,
    text_of,
)

ENCRYPTED: Final = "openai.encrypted_content"
"""The `reasoning.signature` format of a reasoning item's `encrypted_content`."""
THOUGHT: Final = "responses.thought_signature"
"""The one of a function call's `thought_signature` (Perplexity, for the models behind it)."""

_NO_PARAMETERS: Final = {"type": "object", "properties": {}}
# "Expected a string with maximum length 64", answers OpenAI to a longer one.
_MAX_CALL_ID: Final = 64  # characters
_UNSAYABLE: Final = ("stop", "seed")


def encode(call: Call, quirks: ResponsesQuirks) -> Encoded:
    """Write the request.

    Raises RequestError (`unsupported_parameter`) for images or tools that the model cannot take.
    """
    return _Request(call, quirks).encoded()


class _Request:
    """One body as it is written, and the warnings on the way."""

    def __init__(self, call: Call, quirks: ResponsesQuirks) -> None:
        self._call = call
        self._model = call.model
        self._asked = call.request
        self._quirks = quirks
        self._notes = concessions.Concessions()
        self._body: dict[str, Any] = dict(quirks.extra)
        self._names = {
            made.id: made.function.name
            for message in call.request.messages
            if isinstance(message, AssistantMessage)
            for made in message.tool_calls or ()
        }
        """Tool-call id -> function name."""

    def encoded(self) -> Encoded:
        self._body["preset" if self._model.id in self._quirks.presets else "model"] = self._model.id
        self._conversation()
        prefill.note_ignored(self._call, self._notes)
        self._body["stream"] = True
        if self._quirks.obfuscation_off:
            self._body["stream_options"] = {"include_obfuscation": False}
        if self._quirks.store is not None:
            self._body["store"] = self._quirks.store
        self._limits()
        self._sampling()
        self._tools()
        self._format(self._asked.response_format)
        self._reasoning()
        return Encoded(path=self._quirks.path, body=self._body, warnings=self._notes.warnings)

    def _takes(self, field: str) -> bool:
        """Whether the provider takes a field that was asked for."""
        if field not in self._quirks.unsupported:
            return True
        self._notes.dropped(field, "the provider does not take it")
        return False

    # --- Plain parameters ---

    def _limits(self) -> None:
        for field in _UNSAYABLE:
            if getattr(self._asked, field) not in (None, []):
                self._notes.dropped(field, "the Responses API has no such field")
        limit = concessions.max_tokens(self._asked, self._model, self._notes)
        if limit is not None and self._takes("max_tokens"):
            least = self._quirks.min_output_tokens
            if limit < least:
                self._notes.changed("max_tokens", f"the provider takes no less than {least}")
            self._body["max_output_tokens"] = max(limit, least)
        if self._asked.user is not None and self._takes("user"):
            self._body[self._quirks.user_field] = self._asked.user

    def _sampling(self) -> None:
        if self._asked.temperature is not None and self._samples("temperature"):
            self._temperature(self._asked.temperature)
        if self._asked.top_p is not None and self._samples("top_p"):
            self._body["top_p"] = self._asked.top_p

    def _temperature(self, asked: float) -> None:
        only = self._model.temperature
        if only is None or asked == only:
            self._body["temperature"] = asked
        else:
            self._notes.dropped("temperature", f"the model takes only {only:g}")

    def _samples(self, field: str) -> bool:
        if not self._takes(field):
            return False
        thinks_not = (
            self._quirks.sampling_unless_reasoning
            and self._model.reasoning != "always"
            and self._effort_asked() == "none"
        )
        if not self._model.sampling and not thinks_not:
            self._notes.dropped(field, "the model takes no sampling parameters")
            return False
        return True

    # --- The conversation ---

    def _conversation(self) -> None:
        messages = list(enumerate(self._asked.messages))
        if self._quirks.instruction_role == "instructions":
            opening: list[str] = []
            while len(messages) > 1 and isinstance(messages[0][1], SystemMessage):
                opening.append(text_of(messages.pop(0)[1].content))
            if opening:
                self._body["instructions"] = "\n\n".join(opening)
        self._body["input"] = [
            item for at, message in messages for item in self._items(at, message)
        ]

    def _items(self, at: int, message: Message) -> Iterator[dict[str, Any]]:
        if message.name is not None and not isinstance(message, ToolMessage):
            self._notes.dropped("messages[].name", "the Responses API has no such field")
        match message:
            case SystemMessage():
                role = self._quirks.instruction_role
                fixed = role if role in ("system", "developer") else None
                yield _message(fixed or message.role, text_of(message.content))
            case UserMessage():
                yield _message("user", self._content(at, message.content))
            case AssistantMessage():
                yield from self._assistant(at, message)
            case ToolMessage():
                yield self._output(message)

    def _content(self, at: int, content: str | list[Part]) -> str | list[dict[str, Any]]:
        """Text alone is sent as a string, which everybody takes."""
        if isinstance(content, str) or all(isinstance(part, TextPart) for part in content):
            return text_of(content)
        if not self._model.images:
            param = f"messages[{at}].content"
            raise concessions.refusal(self._call, param, "the model takes no images")
        return [_part(part) for part in content]

    def _assistant(self, at: int, message: AssistantMessage) -> Iterator[dict[str, Any]]:
        for part in message.reasoning or ():
            signature = self._ours(part.signature, ENCRYPTED)
            if self._quirks.encrypted_reasoning and signature is not None:
                yield _reasoning_item(part, signature)
        # A refusal part needs the id of an answer that was not stored: its text says the same.
        text = text_of(message.content) or message.refusal or ""
        if text:
            yield _message("assistant", text)
        for number, made in enumerate(message.tool_calls or ()):
            yield self._tool_call(f"messages[{at}].tool_calls[{number}]", made)

    def _ours(self, signature: Signature | None, form: str) -> Signature | None:
        """The signature, if this provider gave it out: to another it is an error."""
        if signature is None or signature.provider != self._call.provider.name:
            return None
        return signature if signature.format == form else None

    def _tool_call(self, field: str, made: ToolCall) -> dict[str, Any]:
        arguments = made.function.arguments
        if not is_json_object(arguments):
            # A broken stream leaves such text; without the call its result would be an orphan.
            if arguments.strip():
                self._notes.changed(f"{field}.function.arguments", "not a JSON object, sent as {}")
            arguments = "{}"
        item = {
            "type": "function_call",
            "call_id": _call_id(made.id),
            "name": made.function.name,
            "arguments": arguments,
        }
        signature = self._ours(made.signature, THOUGHT)
        if signature is not None:
            item["thought_signature"] = signature.value
        return item

    def _output(self, message: ToolMessage) -> dict[str, Any]:
        item = {
            "type": "function_call_output",
            "call_id": _call_id(message.tool_call_id),
            "output": text_of(message.content),
        }
        name = message.name or self._names.get(message.tool_call_id)
        if self._quirks.named_outputs and name is not None:
            item["name"] = name
        return item

    # --- Tools and formats ---

    def _tools(self) -> None:
        asked = concessions.tools(self._call, self._notes)
        offered = [*map(dict, self._quirks.tools), *map(_tool, asked)]
        if offered:
            self._body["tools"] = offered
        if asked:
            self._choices()

    def _choices(self) -> None:
        choice, parallel = self._asked.tool_choice, self._asked.parallel_tool_calls
        if choice is not None and self._takes("tool_choice"):
            self._body["tool_choice"] = _choice(choice)
        if parallel is not None and self._takes("parallel_tool_calls"):
            self._body["parallel_tool_calls"] = parallel

    def _format(self, asked: ResponseFormat | None) -> None:
        if asked is None or asked.type == "text" or not self._takes("response_format"):
            return
        if asked.type not in self._quirks.response_formats:
            self._notes.dropped("response_format", f"the provider does not take {asked.type}")
        elif self._quirks.format_field == "response_format":
            self._body["response_format"] = asked.model_dump(exclude_none=True, by_alias=True)
        elif isinstance(asked, JsonSchemaFormat):
            schema = asked.json_schema.model_dump(exclude_none=True, by_alias=True)
            self._body["text"] = {"format": {"type": "json_schema", **schema}}
        else:
            self._body["text"] = {"format": {"type": asked.type}}

    # --- Reasoning ---

    def _effort_asked(self) -> Effort | None:
        return self._asked.reasoning.effort if self._asked.reasoning else None

    def _reasoning(self) -> None:
        asked = self._asked.reasoning
        if self._model.reasoning == "none":
            if asked is not None and asked.effort != "none":
                self._notes.dropped("reasoning", "the model does not reason")
            return
        if self._quirks.encrypted_reasoning:
            # Models that do not reason answer 400 to it.
            self._body["include"] = ["reasoning.encrypted_content"]
        if asked is None:
            return
        if asked.max_tokens is not None:
            self._notes.dropped("reasoning.max_tokens", "the Responses API has no such field")
        options: dict[str, str] = {}
        if asked.effort is not None:
            sent = self._effort(asked.effort)
            if sent is not None:
                options["effort"] = sent
        if self._quirks.summary is not None and asked.effort != "none":
            options["summary"] = self._quirks.summary
        if options:
            self._body["reasoning"] = options

    def _effort(self, asked: Effort) -> str | None:
        taken = self._quirks.efforts if self._model.efforts is None else self._model.efforts
        if asked in taken:
            return asked
        if not taken:
            self._notes.dropped("reasoning.effort", "the model does not take it")
            return None
        if asked != "none":
            return concessions.effort(asked, taken, self._notes)
        if self._model.reasoning == "always":
            return concessions.least_effort(taken, self._notes)
        self._notes.dropped("reasoning.effort", "the model cannot be told not to reason")
        return None


# --- Items ----------------------------------------------------------------------------------


def _message(role: str, content: str | list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        image = part.image_url
        return {"type": "input_image", "image_url": image.url, "detail": image.detail or "auto"}
    return {"type": "input_text", "text": part.text}


def _reasoning_item(part: Reasoning, signature: Signature) -> dict[str, Any]:
    item: dict[str, Any] = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": part.text}] if part.text else [],
        "encrypted_content": signature.value,
    }
    if signature.id is not None:
        # The id is encrypted as well, and OpenAI compares the two ("Encrypted content item_id did
        # not match the target item id", github.com/maximhq/bifrost/issues/5186).
        item["id"] = signature.id
    return item


def _call_id(given: str) -> str:
    """The id itself, or a shorter one that is the same for a call and its result."""
    if len(given) <= _MAX_CALL_ID:
        return given
    return f"call_{hashlib.sha256(given.encode()).hexdigest()[:32]}"


def _tool(tool: Tool) -> dict[str, Any]:
    spec = tool.function
    written: dict[str, Any] = {"type": "function", "name": spec.name}
    if spec.description is not None:
        written["description"] = spec.description
    written["parameters"] = _NO_PARAMETERS if spec.parameters is None else spec.parameters
    # Left out it means true here, unlike in chat completions.
    written["strict"] = bool(spec.strict)
    return written


def _choice(choice: NamedToolChoice | str) -> str | Mapping[str, str]:
    if isinstance(choice, NamedToolChoice):
        return {"type": "function", "name": choice.function.name}
    return choice
