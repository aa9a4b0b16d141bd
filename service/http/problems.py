"""Every failure as the typed error body, and nothing else.

`{"error": {code, message, retryable, retry_after_ms?, param?, provider?, causes?}}` with the
status of the error's code. A request that aiohttp itself refuses (no such route, a method that is
not allowed, a body too large) gets the same form; a fault of ours is logged whole and answered
with `internal` and no detail.

A borrowed API has its errors in a shape of its own, below its own path: also for an address that
is not there, since its clients read nothing else.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from adapters.errors import TailraceError, make
from adapters.events import Error, ErrorCode, Phase
from service.http.json_answer import json_answer

_log = logging.getLogger(__name__)

_SHOWN = ("code", "message", "retryable", "retry_after_ms", "param", "provider")

_CODE_OF_STATUS = {
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.INVALID_REQUEST,
    413: ErrorCode.PAYLOAD_TOO_LARGE,
}

_LONGEST = 128
"""Of what is repeated of a request."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Shape = Callable[[Error], web.Response]
"""An error as one API answers it, status and headers included."""

NATIVE: Final[Mapping[str, Shape]] = MappingProxyType({})
"""No other shape than our own."""


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
    answer = json_answer({"error": body(error)}, status=error.http, headers=headers)
    answer.headers.update(retry_after(error))
    return answer


def retry_after(error: Error) -> dict[str, str]:
    """The header that says when to come back, in seconds; none where that would not help.

    A provider may well say when it is there again with an error that will be the same then.
    """
    if error.retry_after_ms is None or not error.retryable:
        return {}
    return {"Retry-After": str(-(-error.retry_after_ms // 1000))}


def status(error: Error) -> int:
    """An error's status; 502 for what was made of an answer that had begun, and has none."""
    has_one = error.http >= web.HTTPBadRequest.status_code
    return error.http if has_one else web.HTTPBadGateway.status_code


def typed_errors(shapes: Mapping[str, Shape] = NATIVE) -> Middleware:
    """A middleware that turns whatever a handler raises into the typed form.

    `shapes`: by the path where another API begins.
    """

    def answered(request: web.Request, error: Error) -> web.Response:
        return _shape(request.path, shapes)(error)

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except TailraceError as failure:
            return answered(request, failure.error)
        except web.HTTPException as refusal:
            response = answered(request, _refused(request, refusal))
            if isinstance(refusal, web.HTTPMethodNotAllowed):
                response.headers["Allow"] = refusal.headers["Allow"]
            return response
        except ConnectionError:
            # The client left before its headers could be written: nobody is there to be answered.
            return web.Response(status=499)
        except Exception:  # noqa: BLE001 - the last door: nothing of it may reach the client
            _log.exception("%s %s failed", request.method, request.rel_url.path)
            fault = make(ErrorCode.INTERNAL, "the router failed", phase=Phase.BEFORE_STREAM)
            return answered(request, fault)

    return answer


def _shape(path: str, shapes: Mapping[str, Shape]) -> Shape:
    for root, shape in shapes.items():
        if path == root or path.startswith(f"{root}/"):
            return shape
    return response


def _refused(request: web.Request, refusal: web.HTTPException) -> Error:
    code = _CODE_OF_STATUS.get(refusal.status, ErrorCode.INVALID_REQUEST)
    match refusal:
        case web.HTTPNotFound():
            message = f"{request.path[:_LONGEST]}: no such path"
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(refusal.allowed_methods))
            message = f"{request.method[:_LONGEST]} is not allowed here, {allowed} is"
        case _:
            message = refusal.reason
    return make(code, message, http=refusal.status, phase=Phase.BEFORE_STREAM)
