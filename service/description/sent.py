"""What clients of the borrowed APIs send in the native request's own parts, and how they route.

Those APIs share tools, formats and most of a conversation with the native request, so these parts
are described by the model that reads them all (`ChatRequest`), under names that begin with `Sent`.
They differ in that fields nobody knows are passed over, and null is as good as left out.
"""

from functools import cache
from typing import Any, Final

from adapters.request import ChatRequest, Tier, UseCase
from service.description.components import Schema, nullable, of_model
from service.description.operations import Parameter

PREFIX: Final = "Sent"

HEADERS: Final = (
    Parameter(
        name="Tailrace-Use-Case",
        where="header",
        said="What the answer is for; `metadata.tailrace_use_case` says the same.",
        schema={"enum": [str(use_case) for use_case in UseCase]},
    ),
    Parameter(
        name="Tailrace-Budget-Tier",
        where="header",
        said="What the answer may cost; `metadata.tailrace_budget_tier` says the same.",
        schema={"enum": [str(tier) for tier in Tier]},
    ),
    Parameter(
        name="Tailrace-Latency",
        where="header",
        said="`normal`, `hedge`, `race`, or the native object as JSON; "
        "`metadata.tailrace_latency` says the same.",
        schema={"type": "string", "examples": ["normal", "hedge", "race"]},
    ),
)
"""The routing of a request whose body has no place for it; headers win."""


def components() -> dict[str, Schema]:
    """The native request's parts."""
    parts = _parts()
    return {name: part for name, part in parts.items() if name != _WHOLE}


def field(name: str) -> Schema:
    """A field of the native request, or null."""
    schema = required(name)
    return schema if {"type": "null"} in schema.get("anyOf", ()) else nullable(schema)


def required(name: str) -> Schema:
    """A field of the native request."""
    schema: Schema = dict(_parts()[_WHOLE]["properties"][name])
    schema.pop("default", None)
    return schema


_WHOLE: Final = f"{PREFIX}{ChatRequest.__name__}"


@cache
def _parts() -> dict[str, Schema]:
    return {name: _open(part) for name, part in of_model(ChatRequest, PREFIX).items()}


def _open(part: Any) -> Any:  # noqa: ANN401 - any JSON
    """A schema that lets fields pass that it does not know."""
    if isinstance(part, dict):
        shut = part.get("additionalProperties") is False
        return {
            key: _open(value)
            for key, value in part.items()
            if not (shut and key == "additionalProperties")
        }
    return [_open(value) for value in part] if isinstance(part, list) else part
