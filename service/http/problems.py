"""Every failure as the typed error body, and nothing else.

`{"error": {code, message, retryable, retry_after_ms?, param?, provider?, causes?}}` with the
status of the error's code. A request that aiohttp itself refuses (no such route, a method that is
not allowed, a body too large) gets the same form; a fault of ours is logged whole and answered
with `internal` and no detail.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from adapters.errors import TailraceError, make
from adapters.events import Error, ErrorCode, Phase

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
