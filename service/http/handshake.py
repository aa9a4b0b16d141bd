"""How a connection becomes a WebSocket: alike on every route that is one.

Frames are not compressed: tokens are too small to gain by it, and texts that share one compression
window give each other away. aiohttp answers the peer's pings, and pings one that is silent; what a
peer may send at once and how long it may take to close are the settings'.

A page of a foreign origin gets its handshake and is closed with 4403 after it, because a page sees
close codes and never a status (`service.http.origins`).
"""

import random
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from service.settings import Streams, Websocket

WRITER_LIMIT: Final = 64 * 1024
"""Bytes that may wait in the transport before it counts as full; credit is the finer limit."""

CLOSE_WAIT: Final = 5.0
"""Seconds that a peer has to answer a close frame, or to take what is written before it."""

AGE_JITTER: Final = 0.1

FORBIDDEN: Final = 4403
"""The close code for a page whose origin is not allowed."""

FOREIGN: Final = b"origin not allowed"

_WRONG = (
    "the WebSocket handshake is incomplete: it needs Connection: Upgrade, "
    "Sec-WebSocket-Version: 13 and a Sec-WebSocket-Key of 16 bytes in base64"
)


def is_asked_for(request: web.Request) -> bool:
    """Whether a request wants to become a WebSocket."""
    return request.headers.get("Upgrade", "").strip().lower() == "websocket"


def wanted(message: str) -> RequestError:
    """The refusal of a request that does not want to: 426."""
    status = web.HTTPUpgradeRequired.status_code
    return RequestError(
        make(ErrorCode.INVALID_REQUEST, message, http=status, phase=Phase.BEFORE_STREAM)
    )


def offered(request: web.Request) -> list[str]:
    """The sub-protocols that a client would speak."""
    lines = request.headers.getall("Sec-WebSocket-Protocol", [])
    return [name for line in lines for part in line.split(",") if (name := part.strip())]


async def shaken(
    request: web.Request,
    limits: Websocket,
    streams: Streams,
    *protocols: str,
    own_pings: bool = False,
) -> tuple[web.WebSocketResponse, AbstractStreamWriter]:
    """Shake hands; from here on the connection speaks WebSocket.

    `protocols`: what is spoken here, where that has a name; one that is offered is echoed.
    `own_pings`: the peer's pings and pongs are messages, for the caller to answer and to read.
    Raises RequestError for a handshake that is none.
    """
    ws = web.WebSocketResponse(
        protocols=protocols,
        heartbeat=limits.heartbeat_s,
        max_msg_size=limits.max_frame_bytes,
        compress=False,
        writer_limit=WRITER_LIMIT,
        autoping=not own_pings,
        timeout=min(CLOSE_WAIT, streams.stalled_socket_s),
    )
    offers = offered(request)
    unknown = bool(offers) and set(protocols).isdisjoint(offers)
    try:
        return ws, await ws.prepare(_without_offer(request) if unknown else request)
    except web.HTTPBadRequest:
        refusal = make(ErrorCode.INVALID_REQUEST, _WRONG, phase=Phase.BEFORE_STREAM)
        raise RequestError(refusal) from None


def lifetime(limits: Websocket) -> float:
    """Seconds that a socket may live: not the same for all, or all would connect anew at once."""
    spread = random.uniform(1 - AGE_JITTER, 1 + AGE_JITTER)  # noqa: S311 - jitter, no secret
    return limits.max_age_s * spread


def _without_offer(request: web.Request) -> web.Request:
    """The request without its sub-protocols: aiohttp would log them, and one may be a token."""
    headers = request.headers.copy()
    headers.popall("Sec-WebSocket-Protocol")
    return request.clone(headers=headers)
