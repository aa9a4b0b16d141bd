"""The words of the WebSocket sub-protocol: every message either side may send, as a struct.

One JSON object to a text frame; `t` says which message it is. What a client sends is decoded here
and nowhere else, strictly in its types and forgiving towards fields it does not know, so that a
newer client can talk to an older server. `ev` and `evs` have no struct: their events are bytes that
the stream log already holds, spliced into the frame by `ws_delivery`.

The full protocol with examples is docs/websocket.md.
"""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from adapters.errors import make
from adapters.events import Error, ErrorCode, Phase

SUBPROTOCOL = "tailrace.stream.v1"

Id = Annotated[str, Meta(min_length=1, max_length=128)]
"""A client's name for a stream on this socket."""

Window = Annotated[int, Meta(ge=1)]
OnDisconnect = Annotated[str, Meta(pattern=r"^(continue|cancel_after:\d{1,6}(\.\d{1,3})?)$")]
Clock = int | float | None
"""A time of the sender's own, echoed."""


# --- Client to server -----------------------------------------------------------------------


class Accept(msgspec.Struct, frozen=True):
    """What the client can deal with."""

    coalesce: bool = False
    """Adjacent deltas of a block may come joined when it lags: `{seq: last, seq_first: first}`."""
    binary: bool = False
    """No binary frames are sent, whatever it says."""
    dialect: Literal["native"] = "native"


class _ClientMessage(msgspec.Struct, frozen=True, tag_field="t"):
    """Base of what a client sends."""


class Init(_ClientMessage, frozen=True, tag="init"):
    """The first message, exactly once. Credentials and the client's name are not looked at yet."""

    accept: Accept = Accept()


class Start(_ClientMessage, frozen=True, tag="start"):
    """Start a stream: `request` is the body of `POST /v1/streams`."""

    id: Id
    request: msgspec.Raw
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    window: Window | None = None
    """Bytes of event JSON that may be on their way unacknowledged."""
    on_disconnect: OnDisconnect | None = None
    """Outranks the request's own."""


class Attach(_ClientMessage, frozen=True, tag="attach"):
    """Follow a stream that exists, from after a sequence number on; -1 is all of it."""

    id: Id
    stream: Annotated[str, Meta(max_length=128)]
    after: Annotated[int, Meta(ge=-1)]
    window: Window | None = None


class Ack(_ClientMessage, frozen=True, tag="ack"):
    """Everything up to `seq` has been dealt with: its bytes no longer count against the window."""

    id: Id
    seq: int


class Cancel(_ClientMessage, frozen=True, tag="cancel"):
    """End the generation."""

    id: Id
    reason: Annotated[str, Meta(max_length=256)] | None = None


class Detach(_ClientMessage, frozen=True, tag="detach"):
    """Stop receiving; the generation goes on, as far as its `on_disconnect` lets it."""

    id: Id


class Ping(_ClientMessage, frozen=True, tag="ping"):
    """Asks for a pong: browsers can neither send nor see the protocol's own pings."""

    ts: Clock = None


class Pong(_ClientMessage, frozen=True, tag="pong"):
    """Answers a ping; needs no answer."""

    ts: Clock = None


ClientMessage = Init | Start | Attach | Ack | Cancel | Detach | Ping | Pong

_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)


class MalformedError(Exception):
    """A frame that is no message of this protocol."""

    def __init__(self, error: Error, *, kind: str | None, id: str | None) -> None:  # noqa: A002 - the message's own word
        """`kind` and `id` are what it has in `t` and `id`, where they are strings."""
        super().__init__(error.message)
        self.error = error
        self.kind = kind
        self.id = id


class _Label(msgspec.Struct):
    t: object = None
    id: object = None


def decode(text: str) -> ClientMessage:
    """A client's message.

    Raises MalformedError for what is not JSON, not a known message or not of the right types.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as failure:
        raise _malformed(text, failure) from None


def _malformed(text: str, failure: Exception) -> MalformedError:
    try:
        label = msgspec.json.decode(text, type=_Label)
    except (msgspec.DecodeError, RecursionError):
        label = _Label()
    kind = label.t if isinstance(label.t, str) else None
    id_ = label.id if isinstance(label.id, str) and 0 < len(label.id) <= _MAX_ID else None
    words, param = _words(failure)
    error = make(ErrorCode.INVALID_MESSAGE, words, param=param, phase=Phase.BEFORE_STREAM)
    return MalformedError(error, kind=kind, id=id_)


_MAX_ID = 128


_MISSING = re.compile(r"missing required field `(\w+)`")


def _words(failure: Exception) -> tuple[str, str | None]:
    """What msgspec says, `Expected ... - at `$.field``, as words and the field's path."""
    if isinstance(failure, RecursionError):
        return "the message is nested too deeply", None
    words, _, path = str(failure).partition(" - at `$")
    param = path.rstrip("`").removeprefix(".")
    missing = _MISSING.search(words)
    if missing is not None:
        param, words = f"{param}.{missing[1]}".removeprefix("."), "is missing"
    return (f"{param}: {words}" if param else words), param or None


# --- Server to client -----------------------------------------------------------------------


class ServerMessage(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True, kw_only=True):
    """Base of what the server sends, but for `ev` and `evs`."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What this server allows one socket."""

    max_frame_bytes: int
    """A larger frame from the client closes the socket with 1009."""
    max_streams: int
    max_generating: int
    starts_per_s: float
    window: int
    """Bytes, where `start` and `attach` name none."""
    max_window: int
    slow_ms: int
    """How long a stream may wait for credit before it is detached."""
    idle_ms: int
    """How long the socket may stay without a stream."""


class Ready(ServerMessage, frozen=True, tag="ready", kw_only=True):
    """The answer to `init`."""

    conn: str
    """This connection's name in the server's logs."""
    limits: Limits
    heartbeat_ms: int
    """Something is sent at least this often, a ping if need be."""
    session_expires_at: int
    """Unix milliseconds: the socket is closed then, with a goaway before."""


class Started(ServerMessage, frozen=True, tag="started", kw_only=True):
    """The answer to `start` and `attach`."""

    id: str
    stream: str
    next: int
    """Sequence number of the first event to come; after a snapshot it may be past `after` + 1."""
    live: bool
    """Whether the answer is still being made."""


class End(ServerMessage, frozen=True, tag="end", kw_only=True):
    """Nothing more comes under this id; it is free again."""

    id: str
    reason: Literal["stream_end", "detached", "slow_consumer"]


class Err(ServerMessage, frozen=True, tag="err", kw_only=True):
    """What was asked cannot be done."""

    id: str | None = None
    error: Error


class Goaway(ServerMessage, frozen=True, tag="goaway", kw_only=True):
    """The socket will be closed: no new streams; running ones may finish until the deadline."""

    reason: Literal["draining", "max_age"]
    deadline_ms: int
    """Milliseconds from now."""
    reconnect_after_ms: int


class ServerPing(ServerMessage, frozen=True, tag="ping", kw_only=True):
    """Alive: sent where nothing else was for `heartbeat_ms`."""

    ts: int


class ServerPong(ServerMessage, frozen=True, tag="pong", kw_only=True):
    """The answer to a ping, with its `ts`."""

    ts: Clock = None


encode = msgspec.json.Encoder().encode
