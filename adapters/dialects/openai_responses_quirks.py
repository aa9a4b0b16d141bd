"""What differs between the providers that speak the Responses API, as data.

One `ResponsesQuirks` per provider says what its documents and its recorded answers show; the
defaults are what OpenAI's own reference says. `openai_responses_request` reads the request half,
`openai_responses` the answer half. Facts about single models are not here: they are
`contract.Model`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

from adapters.request import Effort

_EMPTY: Mapping[str, Any] = MappingProxyType({})

ResponseFormat = Literal["text", "json_object", "json_schema"]

ALL_EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesQuirks:
    """One provider's ways with the Responses format."""

    # --- The request ---

    path: str = "/responses"
    """Where it is posted, below the base URL."""
    store: bool | None = False
    """Whether the provider keeps the answer; it would unless told not to. None: not sent."""
    obfuscation_off: bool = False
    """Send `stream_options.include_obfuscation: false`: no random padding on every delta."""
    encrypted_reasoning: bool = True
    """Ask reasoning models for `reasoning.encrypted_content`, and send it back.

    Without it a stateless conversation loses the model's reasoning between tool calls.
    """
    summary: Literal["auto", "concise", "detailed"] | None = "auto"
    """Which summary of its reasoning is asked for where the request asks for reasoning.

    None where the provider knows no such field.
    """
    instruction_role: Literal["system", "developer", "instructions"] | None = "developer"
    """The role of every system and developer message; None leaves each as the caller wrote it.

    `instructions`: those that open the conversation go into the field of that name.
    """
    efforts: tuple[Effort, ...] = ALL_EFFORTS
    """What its models usually take (`Model.efforts` outranks it).

    Another effort becomes the nearest of these, the higher of two, with a warning; `none` is never
    a stand-in and never stood in for.
    """
    sampling_unless_reasoning: bool = False
    """A model that takes no temperature and top_p (`Model.sampling`) does so at effort `none`."""
    min_output_tokens: int = 1
    """Least `max_output_tokens` it takes; less is raised to it, with a warning."""
    user_field: Literal["user", "safety_identifier"] = "user"
    """Where the request's `user` goes."""
    unsupported: frozenset[str] = frozenset()
    """Request fields it answers 400 to, by their name in ChatRequest; dropped with a warning.

    Any of `max_tokens`, `temperature`, `top_p`, `user`, `tool_choice`, `parallel_tool_calls`,
    `response_format`. The format itself has no `stop` and no `seed`.
    """
    format_field: Literal["text", "response_format"] = "text"
    """Where a response format goes: `text.format`, or the field chat completions has for it."""
    response_formats: frozenset[ResponseFormat] = frozenset({"text", "json_object", "json_schema"})
    """What it takes; another one is dropped with a warning."""
    named_outputs: bool = False
    """Send a tool's name with its result, as some models behind Perplexity want it."""
    presets: frozenset[str] = frozenset()
    """Model ids that are sent as `preset` instead of `model`."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """Tools of the provider's own that every request offers, as they go on the wire."""
    extra: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    """Body fields of every request."""

    # --- The answer ---

    runs_own_tools: bool = False
    """A `function_call` of a name the caller did not offer is the provider's own, and done by it.

    Perplexity writes its searches so (agent-web-search.json).
    """
    cost_path: tuple[str, ...] = ()
    """Where `usage` states the bill; empty where it does not."""
    cost_unit: Decimal = Decimal(1)
    """US dollars per unit of it; an xAI tick is 10^-10 (docs.x.ai, cost tracking)."""
