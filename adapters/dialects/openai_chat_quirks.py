"""What differs between the providers that speak chat completions, as data.

One `ChatQuirks` per provider says what its documents and its recorded answers show; the defaults
describe a plain OpenAI-compatible server such as vLLM or Ollama. `openai_chat_request` reads the
request half, `openai_chat` the answer half. Facts about single models are not here: they are
`contract.Model`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

from adapters.dialects.concessions import EFFORTS
from adapters.request import Effort

_EMPTY: Mapping[str, Any] = MappingProxyType({})

ToolChoice = Literal["none", "auto", "required", "function"]
ResponseFormat = Literal["text", "json_object", "json_schema"]

ALL_EFFORTS: tuple[Effort, ...] = ("none", *EFFORTS)
"""Every effort a caller can ask for, least first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatQuirks:
    """One provider's ways with the chat-completions format."""

    # --- The request: plain parameters ---

    stream_usage: bool = True
    """Send `stream_options.include_usage`; False where usage comes anyway or the field is a 400."""
    obfuscation_off: bool = False
    """Send `stream_options.include_obfuscation: false`: no random padding on every chunk."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Where the request's `max_tokens` goes."""
    seed_field: Literal["seed", "random_seed"] = "seed"
    """Where the request's `seed` goes."""
    temperature_range: tuple[float, float] = (0.0, 2.0)
    """Lowest and highest it takes; what lies outside is moved to the edge, with a warning."""
    sampling_unless_reasoning: bool = False
    """A model that takes no temperature and top_p (`Model.sampling`) does so at effort `none`."""
    stop_limit: int | None = None
    """Most stop sequences it takes; the rest is dropped with a warning."""
    unsupported: frozenset[str] = frozenset()
    """Request fields it answers 400 to, by their name in ChatRequest; dropped with a warning.

    Any of `temperature`, `top_p`, `stop`, `seed`, `user`, `parallel_tool_calls`.
    """

    # --- The request: messages ---

    instruction_role: Literal["system", "developer"] | None = "system"
    """The role of every system and developer message; None leaves each as the caller wrote it."""
    names: bool = True
    """Takes `messages[].name`."""
    refusals: bool = False
    """Takes `refusal` on an assistant message; elsewhere a past refusal is sent as its text."""
    reasoning_echo: Literal["reasoning_content", "reasoning_details"] | None = None
    """What past reasoning is sent back as.

    `reasoning_content`: its text. It is demanded on messages with tool calls, so a call without
    known reasoning carries a single space (DeepSeek V4 and Kimi answer 400 where the field is
    missing, and DeepSeek V4 where it is empty). `reasoning_details`: the list the provider gave
    out, unchanged, or the text where there is none (OpenRouter). None: never sent.
    """
    call_id_pattern: str | None = None
    """Regular expression of the tool-call ids it takes; ids that do not match are rewritten."""
    call_id_length: int = 9
    """Characters of a rewritten id (letters and digits)."""

    # --- The request: a conversation that ends with the assistant ---

    prefill: Literal["plain", "prefix", "partial"] = "plain"
    """How a model is told to go on with its last message (`Model.prefill`): by nothing more than
    its place, or by this field on it, set to true."""
    prefill_path: str = ""
    """What the path of such a request begins with (DeepSeek's `/beta`)."""
    prefill_while_reasoning: bool = True
    """Goes on with it while the model thinks; where not, thinking is turned off."""
    assistant_last: bool = True
    """Takes such a message to a model that does not go on with it; where that is a 400 (Mistral),
    a user turn is added."""

    # --- The request: tools and formats ---

    tool_choices: frozenset[ToolChoice] = frozenset({"none", "auto", "required", "function"})
    """What it takes; a forced choice it does not take becomes `auto`, with a warning.

    Where `none` is missing, the tools are not sent at all, which comes to the same.
    """
    required_word: Literal["required", "any"] = "required"
    """How it spells the tool choice `required`."""
    forced_tools_while_reasoning: bool = True
    """Takes `required` and a named function while the model thinks (Kimi: 400)."""
    tool_strict: bool = True
    """Takes `strict` on a function."""
    response_formats: frozenset[ResponseFormat] = frozenset({"text", "json_object", "json_schema"})
    """What it takes. Where only `json_schema` is missing, the schema is said in words instead."""

    # --- The request: reasoning ---

    effort_field: Literal["reasoning_effort", "reasoning"] | None = "reasoning_effort"
    """Where the effort goes; `reasoning` is OpenRouter's object. None: it takes no effort."""
    efforts: tuple[Effort, ...] = ALL_EFFORTS
    """What can be said here; a model that states its own (`Model.efforts`) takes the common ones.

    Another effort becomes the nearest of these, the higher of two, with a warning. Where `none` is
    missing and there is no switch, a model that always reasons is asked for the least of these.
    """
    thinking_switch: Literal["thinking", "enable_thinking"] | None = None
    """How thinking is turned on and off beside the effort, or instead of it.

    `thinking`: `{"type": "enabled" | "disabled"}`. `enable_thinking`: a boolean. With a switch,
    effort `none` is said by the switch alone.
    """
    budget_field: Literal["thinking_budget", "reasoning"] | None = None
    """Where `reasoning.max_tokens` goes; `reasoning` is OpenRouter's object."""

    # --- The request: what else to send ---

    extra: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    """Body fields of every request."""
    extra_with_tools: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    """Body fields where tools or a response format matter."""
    extra_of_model: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _EMPTY)
    """Model id -> body fields of requests to it."""

    # --- The answer ---

    reasoning_outside_completion: bool = False
    """`completion_tokens` leaves `reasoning_tokens` out (xAI)."""
    cost_path: tuple[str, ...] = ()
    """Where `usage` states the bill; empty where it does not."""
    cost_unit: Decimal = Decimal(1)
    """US dollars per unit of it; an xAI tick is 10^-10 (docs.x.ai, cost tracking)."""
