"""What is wrong with a request's body, as one typed error.

The first problem is told by its field, with the value and what is allowed, and how many more there
are; never anything of a conversation. How values are worded: `service.complaints`.
"""

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adapters.errors import make
from adapters.events import Error, ErrorCode, Phase
from service import complaints
from service.complaints import LONGEST, Place


def of_validation(failure: ValidationError) -> Error:
    """The first thing that is wrong with a body, by its field, and how many more there are.

    The value is named with what is allowed, but never one of a conversation. pydantic reports a
    union's members one by one; the field's own path is what a caller knows, so the tags and type
    names that pydantic puts into it are left out.
    """
    every = failure.errors(include_url=False)
    problems = [(_place(problem), problem) for problem in every[:_LOOKED_AT]]
    told = complaints.innermost(place for place, _ in problems)
    problems = [(place, problem) for place, problem in problems if place in told]
    place = problems[0][0]
    param = _path(place)
    message = f"{param or 'the body'}: {_said(place, [p for at, p in problems if at == place])}"
    others = {_path(other) for other in told} - {param}
    if others:
        more = "more" if len(every) <= _LOOKED_AT else "or more"
        message += f" (and {len(others)} {more}: {', '.join(sorted(others)[:5])})"
    return make(ErrorCode.INVALID_REQUEST, message, param=param or None, phase=Phase.BEFORE_STREAM)


def _said(place: Place, problems: Sequence[ErrorDetails]) -> str:
    """What is wrong at one place; several problems are several forms it might have had."""
    first = problems[0]
    match first["type"]:
        case "extra_forbidden":
            return "no such field"
        case "missing" | "union_tag_not_found":
            return "missing"
        case "json_invalid":
            return f"not JSON: {_unreadable(first['ctx']['error'])}"
        case "union_tag_invalid":
            value = first["ctx"]["tag"]
        case _:
            value = first["input"]
    hidden = place[:1] in _HIDDEN
    forms = ", or ".join(dict.fromkeys(map(complaints.allowed, problems)))
    return f"{complaints.shown(value, hidden=hidden)} is not allowed; must be {forms}"


def _unreadable(fault: str) -> str:
    """Why it is no JSON. pydantic's words for half a surrogate pair tell nobody what to mend.

    It is refused and not replaced: whose text it is decides what becomes of it.
    """
    if "hex escape" not in fault:
        return fault
    place = fault[fault.rfind(" at line") :]
    return (
        r"one of the escapes \ud800 to \udfff stands without its other half"
        f"{place}, as in a text that was cut inside an emoji (JavaScript: text.toWellFormed())"
    )


_LOOKED_AT = 100
"""Problems of one body: a megabyte of empty parts has 300,000, whose paths alone took 3 s."""

_HIDDEN = frozenset({(), ("messages",)})
"""What may hold what somebody said: a body that is no object, and a conversation."""

_TAGS = frozenset({"system", "developer", "user", "assistant", "tool", "text", "image_url"})
_FORMATS = frozenset({"text", "json_object", "json_schema"})


def _place(problem: ErrorDetails) -> Place:
    """Where a problem is, as the caller wrote it."""
    loc = problem["loc"]
    own = len(loc) - 1 if problem["type"] == "extra_forbidden" else 0
    place = tuple(
        part for position, part in enumerate(loc) if position == own or not _is_tag(loc, position)
    )
    if problem["type"].startswith("union_tag"):
        return (*place, problem["ctx"]["discriminator"].strip("'"))
    return place


def _path(place: Place) -> str:
    path = ""
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part[:LONGEST]}" if path else part[:LONGEST]
    return path


def _is_tag(loc: tuple[int | str, ...], position: int) -> bool:
    """Whether a part of the path names a union's member rather than a field."""
    part = loc[position]
    if not isinstance(part, str) or position == 0:
        return False
    if loc[0] == "metadata":  # its names are the caller's own
        return part == "[key]"
    before = loc[position - 1]
    if isinstance(before, int) and part in _TAGS:
        return True
    if before == "response_format" and position == 1:
        return part in _FORMATS
    return "[" in part or part in {"str", "list", "dict"} or part[:1].isupper()
