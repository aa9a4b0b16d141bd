"""What a request gives up to be said in one provider's words: a warning for each thing.

An encoder that cannot say a field drops it, or changes it to the nearest thing the model takes,
and notes that here; the notes become the `warning` events of the attempt. What a request cannot do
without is not given up: the encoder raises a RequestError, which names the field, and another
candidate is asked where that may help.

A `Concessions` lives for one `encode`.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from adapters import errors
from adapters.contract import Call, Model
from adapters.errors import RequestError
from adapters.events import ErrorCode, WarningEvent
from adapters.request import ChatRequest, Effort, Tool, ToolCall

EFFORTS: tuple[Effort, ...] = ("minimal", "low", "medium", "high", "xhigh", "max")
"""Least first. `none` is not among them: not thinking is no amount of thinking."""


class Concessions:
    """The notes of one encoding, in order; the same thing said of the same field counts once."""

    def __init__(self) -> None:
        """Start without any."""
        self._notes: dict[tuple[str, str], WarningEvent] = {}

    def dropped(self, field: str, why: str) -> None:
        """`field` of the request is not sent."""
        self._note("parameter_dropped", field, f"{field} was not sent: {why}")

    def changed(self, field: str, what: str) -> None:
        """`field` is sent with another value than the request's."""
        self._note("parameter_changed", field, f"{field} was changed: {what}")

    def ignored(self, field: str, what: str) -> None:
        """`field` is sent as it is, and the model does something else with it than was meant."""
        self._note("parameter_ignored", field, f"{field} has another effect here: {what}")

    def _note(self, code: str, field: str, message: str) -> None:
        warning = WarningEvent(code=code, message=message, field=field)
        self._notes.setdefault((code, field), warning)

    @property
    def warnings(self) -> tuple[WarningEvent, ...]:
        """All notes so far, as events."""
        return tuple(self._notes.values())


def effort(wanted: Effort, taken: Sequence[str], notes: Concessions) -> str:
    """The effort to ask for: `wanted`, or the nearest one in `taken`, the higher of two.

    `wanted` is not `none`, and `taken` is not empty.
    """
    if wanted in taken:
        return wanted
    at = EFFORTS.index(wanted)
    known = [one for one in EFFORTS if one in taken]
    nearest = min(
        known, key=lambda one: (abs(EFFORTS.index(one) - at), -EFFORTS.index(one)), default=taken[0]
    )
    notes.changed("reasoning.effort", f"the model takes {', '.join(taken)}; sent as {nearest}")
    return nearest


def least_effort(taken: Sequence[str], notes: Concessions) -> str:
    """The effort that comes nearest to `none`, for a model that always thinks."""
    least = next((one for one in EFFORTS if one in taken), taken[0])
    notes.changed("reasoning.effort", f"the model always thinks; sent as {least}")
    return least


def temperature(
    request: ChatRequest, model: Model, notes: Concessions, *, highest: float = 2.0
) -> float | None:
    """The temperature to send; None where there is none, or the model takes no such one."""
    wanted = request.temperature
    if wanted is None:
        return None
    if not model.sampling:
        notes.dropped("temperature", "the model takes no sampling parameters")
        return None
    if model.temperature is not None and wanted != model.temperature:
        notes.dropped("temperature", f"the model takes only {model.temperature:g}")
        return None
    if wanted > highest:
        notes.changed("temperature", f"the highest is {highest:g}")
        return highest
    return wanted


def max_tokens(request: ChatRequest, model: Model, notes: Concessions) -> int | None:
    """The output tokens to ask for: the request's, at most what the model is known to take."""
    wanted, limit = request.max_tokens, model.max_output
    if wanted is None or limit is None or wanted <= limit:
        return wanted
    notes.changed("max_tokens", f"the model takes at most {limit}")
    return limit


def arguments(call: ToolCall, param: str, notes: Concessions) -> dict[str, Any]:
    """A past call's arguments, for formats that want them as an object.

    What is no JSON object, as a broken stream leaves it, becomes an empty one: without its call,
    the call's result would be an orphan, and nobody takes those.
    """
    text = call.function.arguments
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        parsed = None
    if isinstance(parsed, dict):
        return parsed
    if text.strip():
        notes.changed(param, "not a JSON object, sent as {}")
    return {}


# --- What cannot be given up ----------------------------------------------------------------


def tools(call: Call, notes: Concessions) -> list[Tool]:
    """The tools to send; fields about tools that are not there are dropped.

    Raises RequestError where the request is to use tools and the model takes none.
    """
    request = call.request
    if request.tools and call.model.tools:
        return request.tools
    if request.tools and request.tool_choice != "none":
        raise refusal(call, "tools", "the model takes no tools")
    for field in ("tool_choice", "parallel_tool_calls"):
        if not request.tools and getattr(request, field) is not None:
            notes.dropped(field, "there are no tools")
    return []


def refusal(
    call: Call,
    param: str,
    why: str,
    code: ErrorCode = ErrorCode.UNSUPPORTED_PARAMETER,
) -> RequestError:
    """The error to raise where the request cannot be said at all."""
    return RequestError(
        errors.make(code, f"{param}: {why}", param=param, provider=call.provider.name)
    )
