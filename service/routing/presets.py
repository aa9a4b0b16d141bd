"""A request with everything its `model` and its use case add: what is asked in effect.

Three things may speak, the first one that does wins: the request's own fields, then the preset it
names, then the configuration of its use case. Which fields a request sets itself is what pydantic
remembers of its parsing, so `"latency": "normal"` written out beats a preset that hedges, and the
same value as a default does not. `auto:<use_case>@<tier>` is the request's own word, too, and the
more deliberate one: it beats the two fields.

A preset's system prompt is for requests that bring none. Beside a caller's own instructions it
would contradict them, and nobody could see why.
"""

from dataclasses import dataclass
from typing import Any

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from adapters.request import ChatRequest, Latency, SystemMessage
from service.routing.table import Preset, Table
from service.routing.target import Auto, Wanted
from service.routing.target import Preset as Named

PREFIX = "preset:"


@dataclass(frozen=True, slots=True)
class Effective:
    """What is asked in effect."""

    request: ChatRequest
    route: str
    """`preset:<name>`, or the use case."""


def apply(request: ChatRequest, wanted: Wanted, table: Table) -> Effective:
    """Complete a request.

    Raises RequestError: `not_found` for a preset that is not configured.
    """
    changes: dict[str, Any] = {}
    route = None
    match wanted:
        case Named(name):
            changes = _of_preset(request, _preset(name, table))
            route = PREFIX + name
        case Auto(use_case, tier):
            if use_case is not None:
                changes["use_case"] = use_case
            if tier is not None:
                changes["budget_tier"] = tier
        case _:
            pass
    use_case = changes.get("use_case", request.use_case)
    usual = table.use_cases[use_case].latency
    if usual is not None and "latency" not in request.model_fields_set | changes.keys():
        changes["latency"] = Latency(strategy=usual)
    if changes:
        request = request.model_copy(update=changes)
    return Effective(request, route or use_case.value)


def _preset(name: str, table: Table) -> Preset:
    preset = table.presets.get(name)
    if preset is None:
        message = f"no preset is called {name[:64]!r}; there are {', '.join(table.presets)}"
        raise RequestError(
            make(ErrorCode.NOT_FOUND, message, param="model", phase=Phase.BEFORE_STREAM)
        )
    return preset


def _of_preset(request: ChatRequest, preset: Preset) -> dict[str, Any]:
    """What the preset adds to what the request sets itself."""
    offered: dict[str, Any] = {"use_case": preset.use_case, "budget_tier": preset.tier}
    if preset.latency is not None:
        offered["latency"] = Latency(strategy=preset.latency)
    changes = {
        name: value for name, value in offered.items() if name not in request.model_fields_set
    }
    if preset.system and not any(isinstance(m, SystemMessage) for m in request.messages):
        prompt = SystemMessage(role="system", content=preset.system)
        changes["messages"] = [prompt, *request.messages]
    return changes
