"""Writes a Messages API request: the encoding half of `anthropic_messages`.

The format's own rules, each kept here (platform.claude.com, Messages API; the types of anthropic
2.12):

- Instructions are a top-level field, so every system and developer message, wherever it stood, is
  joined into `system`, in order. The API also takes system messages inside the conversation, but
  only on some models and in some places; joining them works everywhere.
- Turns alternate and the first one is the user's: neighbours of one role become one turn, and a
  conversation that the assistant opens gets a user turn before it, with a warning.
- A turn that answers tool calls starts with all their results.
- Thinking goes back unchanged, signature included, and only to the provider that signed it.
- No text block is empty, and an assistant's text at the very end does not end in white space.
- Such a text is a beginning that older models go on with, and a 400 to the others: those are asked
  to go on by a user turn.
- Thinking excludes forced tools, going on with a beginning, and most sampling: the first two win
  over thinking, thinking wins over sampling, and the loser is dropped with a warning.

Left out: `messages[].name`, `seed` and an image's `detail`, which have no place in the format.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, assert_never

from adapters.contract import Call, Encoded, Model
from adapters.dialects import concessions, prefill
from adapters.dialects.concessions import Concessions
from adapters.request import (
    AssistantMessage,
    ChatRequest,
    Effort,
    FunctionSpec,
    ImagePart,
    JsonSchemaFormat,
    NamedToolChoice,
    Reasoning,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
    text_of,
)

PATH = "/v1/messages"
SIGNATURE = "anthropic.signature"
REDACTED = "anthropic.redacted"

OPENING = "(The conversation starts with the assistant.)"
"""The user turn put before a conversation that the assistant opens."""

MIN_BUDGET = 1_024  # tokens; the API's lower bound of thinking.budget_tokens
MIN_TOP_P_THINKING = 0.95  # the API's lower bound of top_p while thinking

_BUDGETS: Mapping[Effort, int] = MappingProxyType(
    {
        "minimal": 1_024,
        "low": 2_048,
        "medium": 8_192,
        "high": 16_384,
        "xhigh": 24_576,
        "max": 32_000,
    }
)

_Block = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicQuirks:
    """One provider's ways with the Messages API. Models are named by the start of their id."""

    max_tokens: int = 8_192
    """Asked for where neither the request nor the model's data name a number: it is mandatory."""
    efforts: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")
    """What `output_config.effort` usually takes (`Model.efforts` outranks it)."""
    budget_models: tuple[str, ...] = ()
    """Models that think by `thinking.budget_tokens`; all others take `adaptive` and an effort."""
    budgets: Mapping[Effort, int] = field(default_factory=lambda: _BUDGETS)
    """Effort -> thinking tokens, for `budget_models`."""
    off_types: Mapping[str, Literal["disabled", "between_tools"]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """The thinking type that turns thinking off, for models where it is not `disabled`."""
    no_forced_tools: tuple[str, ...] = ()
    """Models that answer 400 to a forced tool; the choice becomes `auto`, with a warning."""


def encode(call: Call, quirks: AnthropicQuirks) -> Encoded:
    """The request as this format says it.

    Raises RequestError where it holds no message besides instructions, or tools or an image that
    the model does not take.
    """
    request, model, notes = call.request, call.model, Concessions()
    tools = concessions.tools(call, notes)
    system, turns = _Conversation(call, notes).write()
    limit = concessions.max_tokens(request, model, notes) or model.max_output or quirks.max_tokens
    choice = _tool_choice(call, quirks, notes) if tools else None
    excluded = _excludes_thinking(call, choice)
    thinking, effort = _thinking(call, quirks, notes, limit=limit, excluded=excluded)
    body: dict[str, Any] = {
        "model": model.id,
        "max_tokens": limit,
        "messages": turns,
        "system": system or None,
        "thinking": thinking,
        "output_config": _output_config(request, effort, notes) or None,
        "tools": [_tool(tool.function) for tool in tools] or None,
        "tool_choice": choice,
        "stop_sequences": _stop_sequences(request, model, notes) or None,
        "metadata": {"user_id": request.user} if request.user else None,
        "stream": True,
        **_sampling(request, model, notes, thinks=_thinks(thinking)),
    }
    if request.seed is not None:
        notes.dropped("seed", "the Messages API has none")
    sent = {name: value for name, value in body.items() if value is not None}
    return Encoded(path=PATH, body=sent, warnings=notes.warnings)


# --- The conversation -----------------------------------------------------------------------


class _Conversation:
    """Messages -> turns, one message at a time."""

    def __init__(self, call: Call, notes: Concessions) -> None:
        self._call = call
        self._notes = notes
        self._system: list[str] = []
        self._turns: list[dict[str, Any]] = []

    def write(self) -> tuple[str, list[dict[str, Any]]]:
        """The joined instructions, and the turns."""
        for at, message in enumerate(self._call.request.messages):
            if message.name is not None and not isinstance(message, ToolMessage):
                self._notes.dropped("messages[].name", "the Messages API has none")
            match message:
                case SystemMessage():
                    self._system.append(text_of(message.content))
                case UserMessage():
                    self._extend("user", self._user_blocks(message, at))
                case AssistantMessage():
                    self._extend("assistant", self._assistant_blocks(message, at))
                case ToolMessage():
                    self._extend("user", [_tool_result(message)])
                case _:
                    assert_never(message)
        self._open()
        for turn in self._turns:
            # A stable sort: results of tool calls first, everything else as it stood.
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
        _trim_end(self._turns)
        if self._turns[-1]["role"] == "assistant" and prefill.needs_turn(self._call, self._notes):
            self._extend("user", [_text(prefill.GO_ON)])
        return "\n\n".join(part for part in self._system if part), self._turns

    def _extend(self, role: str, blocks: list[_Block]) -> None:
        """Add blocks to the last turn, or as a new one where the role changes."""
        if not blocks:
            return
        if self._turns and self._turns[-1]["role"] == role:
            self._turns[-1]["content"] += blocks
        else:
            self._turns.append({"role": role, "content": blocks})

    def _open(self) -> None:
        """See to it that the user speaks first."""
        if not self._turns:
            raise concessions.refusal(
                self._call, "messages", "the API needs one besides the instructions"
            )
        if self._turns[0]["role"] == "assistant":
            self._notes.changed("messages", "the API wants the user to open, so a turn was added")
            self._turns.insert(0, {"role": "user", "content": [_text(OPENING)]})

    def _user_blocks(self, message: UserMessage, at: int) -> list[_Block]:
        if isinstance(message.content, str):
            return _texts(message.content)
        blocks: list[_Block] = []
        for number, part in enumerate(message.content):
            if isinstance(part, TextPart):
                blocks += _texts(part.text)
            else:
                blocks.append(self._image(part, f"messages[{at}].content[{number}].image_url.url"))
        return blocks

    def _image(self, part: ImagePart, param: str) -> _Block:
        if not self._call.model.images:
            raise concessions.refusal(self._call, param, "the model takes no images")
        image = part.image_url
        if image.detail not in (None, "auto"):
            self._notes.dropped(
                "messages[].content[].image_url.detail", "the Messages API has none"
            )
        inline = image.data()
        if inline is None:
            return {"type": "image", "source": {"type": "url", "url": image.url}}
        media_type, data = inline
        source = {"type": "base64", "media_type": media_type, "data": data}
        return {"type": "image", "source": source}

    def _assistant_blocks(self, message: AssistantMessage, at: int) -> list[_Block]:
        """Thinking first, then text, then calls: the order the model writes them in."""
        blocks: list[_Block] = []
        for item in message.reasoning or ():
            blocks += self._thinking(item)
        blocks += _texts(text_of(message.content)) + _texts(message.refusal or "")
        for number, made in enumerate(message.tool_calls or ()):
            param = f"messages[{at}].tool_calls[{number}].function.arguments"
            blocks.append(
                {
                    "type": "tool_use",
                    "id": _call_id(made.id),
                    "name": made.function.name,
                    "input": concessions.arguments(made, param, self._notes),
                }
            )
        return blocks

    def _thinking(self, item: Reasoning) -> list[_Block]:
        """A thinking block as it came; none for reasoning that this provider did not sign."""
        signature = item.signature
        if signature is None or signature.provider != self._call.provider.name:
            return []
        if signature.format == SIGNATURE:
            return [{"type": "thinking", "thinking": item.text, "signature": signature.value}]
        if signature.format == REDACTED:
            return [{"type": "redacted_thinking", "data": signature.value}]
        return []


def _trim_end(turns: list[dict[str, Any]]) -> None:
    """An assistant's text at the end is a prefill, and may not end in white space (400)."""
    last = turns[-1]
    while last["role"] == "assistant" and last["content"]:
        block = last["content"][-1]
        if block["type"] != "text":
            return
        block["text"] = block["text"].rstrip()
        if block["text"]:
            return
        last["content"].pop()
    if not last["content"]:
        turns.pop()


def _text(text: str) -> _Block:
    return {"type": "text", "text": text}


def _texts(text: str) -> list[_Block]:
    """No block for no text: an empty one is a 400."""
    return [_text(text)] if text else []


_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def _call_id(call_id: str) -> str:
    """A call's id in the letters this API takes; other providers' ids may hold dots or colons."""
    return _NOT_IN_ID.sub("_", call_id)


def _tool_result(message: ToolMessage) -> _Block:
    block: _Block = {"type": "tool_result", "tool_use_id": _call_id(message.tool_call_id)}
    content = text_of(message.content)
    if content:
        block["content"] = content
    return block


# --- Tools ----------------------------------------------------------------------------------


def _tool(function: FunctionSpec) -> dict[str, Any]:
    tool: dict[str, Any] = {
        "name": function.name,
        "input_schema": function.parameters or {"type": "object", "properties": {}},
    }
    if function.description:
        tool["description"] = function.description
    if function.strict:
        tool["strict"] = True
    return tool


_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


def _tool_choice(call: Call, quirks: AnthropicQuirks, notes: Concessions) -> dict[str, Any] | None:
    """How to use the tools there are; None where `auto` is meant, which is what the API does."""
    wanted = call.request.tool_choice
    choice: dict[str, Any]
    if isinstance(wanted, NamedToolChoice):
        choice = {"type": "tool", "name": wanted.function.name}
    else:
        choice = {"type": _CHOICES[wanted or "auto"]}
    if _forces(choice) and call.model.id.startswith(quirks.no_forced_tools):
        notes.changed("tool_choice", "the model takes no forced tool; sent as auto")
        choice = {"type": "auto"}
    if call.request.parallel_tool_calls is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return None if choice == {"type": "auto"} else choice


def _forces(choice: dict[str, Any] | None) -> bool:
    return choice is not None and choice["type"] in ("any", "tool")


# --- Thinking and sampling ------------------------------------------------------------------


def _excludes_thinking(call: Call, choice: dict[str, Any] | None) -> str | None:
    """When the model does not think, if the request is such a one."""
    if _forces(choice):
        return "when a tool is forced"
    return "when it goes on with a message" if prefill.is_prefill(call) else None


def _thinking(
    call: Call, quirks: AnthropicQuirks, notes: Concessions, *, limit: int, excluded: str | None
) -> tuple[dict[str, Any] | None, str | None]:
    """The `thinking` field and the effort; None leaves each to the model's default."""
    options, model = call.request.reasoning, call.model
    if options is None and excluded is None:
        return None, None
    if model.reasoning == "none":
        if options is not None and options.effort != "none":
            notes.dropped("reasoning", "the model does not think")
        return None, None
    wants = options is not None and options.effort != "none"
    if not wants or excluded:
        if wants:
            notes.dropped("reasoning", f"the model does not think {excluded}")
        return _off(model, quirks, notes, asked=options is not None)
    if model.id.startswith(quirks.budget_models):
        return _budget(call.request, quirks, limit, notes), None
    return _adaptive(call.request, model, quirks, notes)


def _off(
    model: Model, quirks: AnthropicQuirks, notes: Concessions, *, asked: bool
) -> tuple[dict[str, Any] | None, str | None]:
    """Not thinking, or as little as there is. `asked` is true where the request itself said so."""
    budgeted = model.id.startswith(quirks.budget_models)
    if model.reasoning == "always" and asked and not budgeted:
        return None, concessions.least_effort(model.efforts or quirks.efforts, notes)
    if model.reasoning == "always" or budgeted:
        return None, None  # nothing to say: budgeted models think only when given a budget
    for prefix, off_type in quirks.off_types.items():
        if model.id.startswith(prefix):
            return {"type": off_type}, None
    return {"type": "disabled"}, None


def _budget(
    request: ChatRequest, quirks: AnthropicQuirks, limit: int, notes: Concessions
) -> dict[str, Any] | None:
    """A budget below the answer's own limit, which it counts towards."""
    options = request.reasoning
    wanted = options.max_tokens if options else None
    if wanted is None:
        wanted = quirks.budgets[(options.effort if options else None) or "medium"]
    if limit <= MIN_BUDGET:
        notes.dropped("reasoning", f"thinking needs max_tokens above {MIN_BUDGET}")
        return None
    budget = max(MIN_BUDGET, min(wanted, limit - 1))
    if options is not None and options.max_tokens not in (None, budget):
        notes.changed("reasoning.max_tokens", f"sent as {budget}, within the bounds")
    return {"type": "enabled", "budget_tokens": budget}


def _adaptive(
    request: ChatRequest, model: Model, quirks: AnthropicQuirks, notes: Concessions
) -> tuple[dict[str, Any], str | None]:
    """As much as the model sees fit, steered by an effort.

    The display is asked for: whoever asks for reasoning wants to read it, and newer models leave
    the text of their thinking out unless told otherwise.
    """
    options = request.reasoning
    if options is not None and options.max_tokens is not None:
        notes.dropped("reasoning.max_tokens", "the model thinks by effort, not by tokens")
    wanted = options.effort if options else None
    effort = concessions.effort(wanted, model.efforts or quirks.efforts, notes) if wanted else None
    return {"type": "adaptive", "display": "summarized"}, effort


def _thinks(thinking: dict[str, Any] | None) -> bool:
    return thinking is not None and thinking["type"] in ("enabled", "adaptive")


def _sampling(
    request: ChatRequest, model: Model, notes: Concessions, *, thinks: bool
) -> dict[str, float | None]:
    temperature = concessions.temperature(request, model, notes, highest=1.0)
    if thinks and temperature not in (None, 1.0):
        notes.dropped("temperature", "the model takes none while it thinks")
        temperature = None
    top_p = request.top_p
    if top_p is None:
        return {"temperature": temperature}
    if not model.sampling:
        notes.dropped("top_p", "the model takes no sampling parameters")
    elif temperature is not None:
        # Opus 4.1 and later answer 400 to the two together.
        notes.dropped("top_p", "the Messages API takes temperature or top_p, not both")
    elif thinks and top_p < MIN_TOP_P_THINKING:
        notes.dropped("top_p", f"while it thinks the model takes {MIN_TOP_P_THINKING} to 1")
    else:
        return {"temperature": None, "top_p": top_p}
    return {"temperature": temperature}


# --- The rest -------------------------------------------------------------------------------


def _output_config(request: ChatRequest, effort: str | None, notes: Concessions) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if effort is not None:
        config["effort"] = effort
    wanted = request.response_format
    if isinstance(wanted, JsonSchemaFormat):
        config["format"] = {"type": "json_schema", "schema": wanted.json_schema.body}
    elif wanted is not None and wanted.type == "json_object":
        notes.dropped("response_format", "the Messages API takes a json_schema only")
    return config


def _stop_sequences(request: ChatRequest, model: Model, notes: Concessions) -> list[str]:
    wanted = request.stop or []
    if wanted and not model.stop:
        notes.dropped("stop", "the model takes no stop sequences")
        return []
    sent = [sequence for sequence in wanted if sequence.strip()]
    if len(sent) < len(wanted):
        notes.dropped("stop", "the Messages API takes no stop sequence of white space alone")
    return sent
