"""A body as it was before its sender compressed it: whole and within the limit, or refused.

aiohttp would undo it while it reads (`service.http.server` tells it not to): it takes a stream that
stops in the middle as whole and an encoding that it does not know as none, and one that it knows
but cannot undo never reaches the route. Here the encoding is looked at first, and what comes out is
bounded while it comes, so a small body cannot become a large one.

Left out: `br` and `zstd`, which would each need a library; several encodings on top of each other;
a second gzip member after the first.
"""

import zlib
from typing import Final

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase

TAKEN: Final = ("identity", "gzip", "deflate")

_GZIP: Final = 31
_ZLIB: Final = 15
_RAW: Final = -15
"""Window bits, as zlib is told which format it reads."""

_LONGEST: Final = 64
"""Characters of an encoding that are repeated."""


def decoded(data: bytes, encoding: str, limit: int) -> bytes:
    """`data` with its Content-Encoding undone; an empty `encoding` is none.

    `limit`: bytes that may come out. Raises RequestError: `invalid_request` for an encoding that is
    not taken and for data that are not whole in it, `payload_too_large`.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return data
        case "gzip":
            bits = _GZIP
        case "deflate":
            bits = _ZLIB if _has_a_head(data) else _RAW
        case _:
            raise _refused(
                "Content-Encoding",
                f"Content-Encoding: {encoding[:_LONGEST]!r} is not taken; "
                f"must be {', '.join(TAKEN)}",
            )
    return _inflated(data, bits, limit)


def too_large(limit: int) -> RequestError:
    """The refusal of a body that has more than `limit` bytes."""
    return _refused(
        "body", f"the body is larger than {limit} bytes", code=ErrorCode.PAYLOAD_TOO_LARGE
    )


def unreadable() -> RequestError:
    """The refusal of a body that is not what its headers say."""
    return _refused("body", "body: it could not be read: its compression or its length is wrong")


def _inflated(data: bytes, bits: int, limit: int) -> bytes:
    stream = zlib.decompressobj(bits)
    try:
        plain = stream.decompress(data, limit + 1)
    except zlib.error:
        raise unreadable() from None
    if len(plain) > limit:
        raise too_large(limit)
    if not stream.eof or stream.unused_data:
        raise unreadable()
    return plain


def _has_a_head(data: bytes) -> bool:
    """Whether it is zlib's format, as RFC 9110 has it; many send the bare stream instead."""
    return data[:1] != b"" and data[0] & 0x0F == zlib.DEFLATED


def _refused(
    param: str, message: str, *, code: ErrorCode = ErrorCode.INVALID_REQUEST
) -> RequestError:
    return RequestError(make(code, message, param=param, phase=Phase.BEFORE_STREAM))
