"""An answer that is one JSON document: the same bytes and headers, whichever route gives it."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web


def json_answer(
    document: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """The document with its status; `headers` beside the Content-Type.

    Raises what msgspec raises for what is no JSON: a lone surrogate, an object of a type unknown.
    """
    # Not orjson: it refuses the integers beyond 64 bits that a provider's own citation may hold,
    # and the enums that are keys where attempts are counted by their outcome.
    encoded = msgspec.json.encode(document)
    return web.Response(
        status=status, body=encoded, content_type="application/json", headers=headers
    )
