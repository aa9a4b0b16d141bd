"""A request's body, bounded before it is read and validated once.

The Content-Type is not looked at: callers use plain `curl -d`. A body is refused by its size before
it is parsed; what is wrong inside is named by its field.
"""

from typing import TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from service import validation

T = TypeVar("T", bound=BaseModel)


async def read(request: web.Request, model: type[T]) -> T:
    """The body as `model`.

    Raises RequestError: `payload_too_large`, or `invalid_request` naming the field.
    """
    return parse(await _bytes(request), model)


def parse(data: bytes, model: type[T]) -> T:
    """Validate JSON bytes as `model`; raises RequestError naming the field."""
    try:
        return model.model_validate_json(data)
    except ValidationError as failure:
        raise RequestError(validation.of_validation(failure)) from None


async def _bytes(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        limit = request.client_max_size
        raise RequestError(
            make(
                ErrorCode.PAYLOAD_TOO_LARGE,
                f"the body is larger than {limit} bytes",
                param="body",
                phase=Phase.BEFORE_STREAM,
            )
        ) from None
    except (web.RequestPayloadError, HttpProcessingError):
        raise RequestError(
            make(
                ErrorCode.INVALID_REQUEST,
                "body: it could not be read: its compression or its length is wrong",
                param="body",
                phase=Phase.BEFORE_STREAM,
            )
        ) from None
