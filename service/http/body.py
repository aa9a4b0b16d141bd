"""A request's body, bounded before it is read and validated once.

The Content-Type is not looked at: callers use plain `curl -d`; the Content-Encoding is
(`content_encoding`). A body is refused by its size before it is parsed; what is wrong inside is
named by its field.
"""

from typing import TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from adapters.errors import RequestError
from service import validation
from service.http import content_encoding

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
    limit = request.client_max_size
    try:
        data = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise content_encoding.too_large(limit) from None
    except (web.RequestPayloadError, HttpProcessingError):
        raise content_encoding.unreadable() from None
    return content_encoding.decoded(data, request.headers.get("Content-Encoding", ""), limit)
