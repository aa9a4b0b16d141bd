"""Every failure as the typed error body, and nothing else.

`{"error": {code, message, retryable, retry_after_ms?, param?, provider?, causes?}}` with the
status of the error's code. A request that aiohttp itself refuses (no such route, a method that is
not allowed, a body too large) gets the same form; a fault of ours is logged whole and answered
with `internal` and no detail.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from aiohttp import web
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adapters.errors import TailraceError, make
from adapters.events import Error, ErrorCode, Phase
from service import complaints
from service.complaints import LONGEST, Place

_log = logging.getLogger(__name__)

_SHOWN = ("code", "message", "retryable", "retry_after_ms", "param", "provider")

_CODE_OF_STATUS = {
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.INVALID_REQUEST,
    413: ErrorCode.PAYLOAD_TOO_LARGE,
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def body(error: Error) -> dict[str, Any]:
    """The public form of an error, without its `error` wrapper."""
    shown = {name: getattr(error, name) for name in _SHOWN if getattr(error, name) is not None}
    if not error.retryable:
        shown.pop("retry_after_ms", None)
    if error.causes:
        shown["causes"] = [body(cause) for cause in error.causes]
    return shown


def response(error: Error, *, headers: dict[str, str] | None = None) -> web.Response:
    """The HTTP answer of an error."""
    answer = web.Response(
        status=error.http,
        body=orjson.dumps({"error": body(error)}),
        content_type="application/json",
        headers=headers,
    )
    answer.headers.update(retry_after(error))
    return answer


def retry_after(error: Error) -> dict[str, str]:
    """The header that says when to come back, in seconds; none where that would not help.

    A provider may well say when it is there again with an error that will be the same then.
    """
    if error.retry_after_ms is None or not error.retryable:
        return {}
    return {"Retry-After": str(-(-error.retry_after_ms // 1000))}


@web.middleware
async def typed_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into the typed form."""
    try:
        return await handler(request)
    except TailraceError as failure:
        return response(failure.error)
    except web.HTTPException as refusal:
        return _refused(refusal)
    except ConnectionError:
        # The client left before its headers could be written: nobody is there to be answered.
        return web.Response(status=499)
    except Exception:  # noqa: BLE001 - the last door: nothing of it may reach the client
        _log.exception("%s %s failed", request.method, request.rel_url.path)
        return response(make(ErrorCode.INTERNAL, "the router failed", phase=Phase.BEFORE_STREAM))


def _refused(refusal: web.HTTPException) -> web.Response:
    code = _CODE_OF_STATUS.get(refusal.status, ErrorCode.INVALID_REQUEST)
    error = make(code, refusal.reason, http=refusal.status, phase=Phase.BEFORE_STREAM)
    answer = response(error)
    if isinstance(refusal, web.HTTPMethodNotAllowed):
        answer.headers["Allow"] = refusal.headers["Allow"]
    return answer


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
            return f"not JSON: {first['ctx']['error']}"
        case "union_tag_invalid":
            value = first["ctx"]["tag"]
        case _:
            value = first["input"]
    hidden = place[:1] in _HIDDEN
    forms = ", or ".join(dict.fromkeys(map(complaints.allowed, problems)))
    return f"{complaints.shown(value, hidden=hidden)} is not allowed; must be {forms}"


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
