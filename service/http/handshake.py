"""How a connection becomes a WebSocket: alike on every route that is one.

Frames are not compressed: tokens are too small to gain by it, and texts that share one compression
window give each other away. aiohttp answers the peer's pings, and pings one that is silent; what a
peer may send at once and how long it may take to close are the settings'.

A page of a foreign origin gets its handshake and is closed with 4403 after it, because a page sees
close codes and never a status (`service.http.origins`).
"""

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


def websocket(limits: Websocket, streams: Streams, *protocols: str) -> web.WebSocketResponse:
    """The answer to a handshake, not sent yet. `protocols`: what is spoken, where it has a name."""
    return web.WebSocketResponse(
        protocols=protocols,
        heartbeat=limits.heartbeat_s,
        max_msg_size=limits.max_frame_bytes,
        compress=False,
        writer_limit=WRITER_LIMIT,
        timeout=min(CLOSE_WAIT, streams.stalled_socket_s),
    )


async def shaken(request: web.Request, ws: web.WebSocketResponse) -> AbstractStreamWriter:
    """Shake hands; from here on the connection speaks WebSocket.

    Raises RequestError for a handshake that is none.
    """
    try:
        return await ws.prepare(request)
    except web.HTTPBadRequest:
        refusal = make(ErrorCode.INVALID_REQUEST, _WRONG, phase=Phase.BEFORE_STREAM)
        raise RequestError(refusal) from None
