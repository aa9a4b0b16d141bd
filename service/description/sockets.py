"""The three WebSockets: their frames in both directions, their close codes, and what they are for.

A frame is one JSON object, described by the struct that reads or writes it
(`service.http.ws_messages`, the events) or that stands for it in the document's other half
(`responses`, `ui_chat`); frames that are put together as bytes have theirs here. `asyncapi` makes a
document of it.

Left out: binary and compressed frames, which no socket takes, and WebSocket's own pings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from msgspec import UNSET, Struct, UnsetType

from adapters.request import ChatRequest
from service.description import responses, sent, ui_chat
from service.description.chat_completions import OpenAIProblem
from service.description.components import (
    EVENT,
    Schema,
    merged,
    of_events,
    of_model,
    of_structs,
    ref,
)
from service.description.operations import Parameter
from service.dialects.responses_request import LONGEST_LANE
from service.http.ws_messages import SUBPROTOCOL, ClientMessage, ServerMessage
from service.http.ws_protocol import Code

# --- Frames that have no struct where they are written --------------------------------------


class Event(Struct, tag_field="t", tag="ev"):
    """One event."""

    id: str
    e: Any


class Events(Struct, tag_field="t", tag="evs"):
    """Events in a batch, because more than a few wait for the client."""

    id: str
    e: list[Any]


class ResponseRefused(Struct, tag_field="type", tag="error"):
    """What was asked cannot be done, or fails before there is a response; the socket stays open."""

    status: int
    """As HTTP has it."""
    error: OpenAIProblem
    stream_id: str | UnsetType = UNSET


class _UiFrame(Struct, tag_field="type", rename="camel", kw_only=True):
    request_id: str
    """The client's name for a request."""


class UiSend(_UiFrame, tag="send"):
    """Ask for a chat's next turn."""

    id: str
    """The chat's."""
    messages: list[Any]
    trigger: str | UnsetType = UNSET
    message_id: str | UnsetType | None = UNSET
    headers: dict[str, Any] | UnsetType | None = UNSET
    """The application's own; those that are called `Tailrace-...` route."""
    body: dict[str, Any] | UnsetType | None = UNSET
    """Further fields of `POST /api/chat`."""
    metadata: Any | UnsetType = UNSET


class UiResume(_UiFrame, tag="resume"):
    """Follow the turn that runs, from its start."""

    id: str
    """The chat's."""


class UiAbortRequest(_UiFrame, tag="abort"):
    """The user stopped it; it has no answer."""


class UiStarted(_UiFrame, tag="start"):
    """Chunks follow."""


class UiChunkFrame(_UiFrame, tag="chunk"):
    """A chunk."""

    sequence: int
    """0, 1, 2, ... within the request."""
    chunk: Any


class UiEnded(_UiFrame, tag="end"):
    """That was all."""


class UiFailed(_UiFrame, tag="error"):
    """The request is refused, or was read too slowly; nothing more comes of it."""

    error_text: str


class UiNoActive(_UiFrame, tag="no-active"):
    """There is no turn to be resumed."""


_CREATE, _TOLD_WITH_LANE = "ResponseCreate", "ResponseFrame"
_RESPONSE_REQUEST, _UI_BODY = "ResponseRequest", "UiSentBody"
"""What the other half calls the bodies of `POST /v1/responses` and `POST /api/chat`."""


# --- What a channel is ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Channel:
    """One WebSocket."""

    name: str
    address: str
    title: str
    said: str
    received: Mapping[str, str]
    """The components of a client's frames, by what their `t` or `type` says."""
    sent: Mapping[str, str]
    """Of the service's; `event` stands for every one of a response's events."""
    replies: Mapping[str, tuple[str, ...]]
    """The frames that answer one of a client's."""
    closes: Mapping[int, str]
    headers: tuple[Parameter, ...] = ()
    """Of the handshake, beside those that every one has."""


_ANY_CLOSE: Final = {
    1002: "a frame that RFC 6455 forbids, such as one without a mask",
    1007: "text that is not UTF-8",
    1009: "a frame over the limit, 1 MiB unless configured otherwise",
    4403: "the page's origin is not allowed",
}

NATIVE_CLOSES: Final[Mapping[Code, str]] = {
    Code.NORMAL: "either side is done, or no stream was followed for 5 minutes",
    Code.BINARY: "a binary frame",
    Code.FAULT: "a fault of the service: connect again, more slowly each time",
    Code.RESTART: "the service restarts: connect again, and attach",
    Code.VIOLATION: "a malformed init, or three malformed frames in a row",
    Code.UNAUTHENTICATED: "something else than init came first",
    Code.FORBIDDEN: _ANY_CLOSE[4403],
    Code.SUBPROTOCOL: "no sub-protocol in common",
    Code.INIT_TIMEOUT: "no init in time",
    Code.TOO_MANY: "too many sockets, a second init, or a limit that was ignored",
    Code.STALLED: "nothing was taken for 30 s: connect again, and attach",
    Code.MAX_AGE: "the socket was old: connect again at once, and attach",
}

_FROM, _TO = "WsClient", "WsServer"
"""Before the names of the native frames' components: both sides have a Ping."""


Structs = tuple[type[Struct], ...]

_CLIENT: Final[Structs] = get_args(ClientMessage)
_SERVER: Final[Structs] = (*ServerMessage.__subclasses__(), Event, Events)
_ASKED: Final[Structs] = (UiSend, UiResume, UiAbortRequest)
_TOLD: Final[Structs] = (UiStarted, UiChunkFrame, UiEnded, UiFailed, UiNoActive)


def _called(structs: Structs, prefix: str = "") -> dict[str, str]:
    """The names of their components, by their tags."""
    names = _named(structs, prefix)
    return {str(struct.__struct_config__.tag): names[struct.__name__] for struct in structs}


def _named(structs: Structs, prefix: str) -> dict[str, str]:
    """The names of their components, by their own."""
    own = (struct.__name__ for struct in structs)
    return {name: prefix + name.removeprefix("Server") for name in own}


_STREAMS: Final = Channel(
    name="streams",
    address="/v1/ws",
    title="Streams",
    said="Many streams over one connection, with acknowledgements, resuming and cancelling. "
    "Fields that nobody knows are passed over, in both directions.",
    received=_called(_CLIENT, _FROM),
    sent=_called(_SERVER, _TO),
    replies={
        "init": ("ready",),
        "start": ("started", "err"),
        "attach": ("started", "err"),
        "detach": ("end",),
        "ping": ("pong",),
    },
    closes=_ANY_CLOSE | {int(code): said for code, said in NATIVE_CLOSES.items()},
    headers=(
        Parameter(
            name="Sec-WebSocket-Protocol",
            where="header",
            said="This, beside others if need be, or no such header.",
            schema={"type": "string", "examples": [SUBPROTOCOL]},
        ),
    ),
)

_RESPONSES: Final = Channel(
    name="responses",
    address="/v1/responses",
    title="Responses",
    said="The Responses API's WebSocket mode. Requests of one `stream_id` are answered one after "
    "the other, those of several side by side.",
    received={"response.create": _CREATE},
    sent={"event": _TOLD_WITH_LANE, "error": ResponseRefused.__name__},
    replies={"response.create": ("event", "error")},
    closes=_ANY_CLOSE
    | {
        1000: "either side is done",
        1012: "the service restarts: connect again",
        1013: "too many sockets, or this one was old: connect again",
    },
    headers=sent.HEADERS,
)

_CHAT: Final = Channel(
    name="chat",
    address="/api/chat/ws",
    title="UI chat",
    said="The AI SDK's `WebSocketChatTransport`. A client that gets a frame of a type it does not "
    "know gives the socket up, so there are no others.",
    received=_called(_ASKED),
    sent=_called(_TOLD),
    replies={"send": ("start", "error"), "resume": ("start", "no-active", "error")},
    closes=_ANY_CLOSE
    | {
        1000: "either side is done",
        1003: "a binary frame",
        1012: "the service restarts: connect again, and resume",
        4400: "a frame that is not JSON with a type and a requestId, or whose requestId is in use",
        4429: "too many sockets",
    },
)

CHANNELS: Final[tuple[Channel, ...]] = (_STREAMS, _RESPONSES, _CHAT)


# --- Schemas --------------------------------------------------------------------------------


def schemas() -> dict[str, Schema]:
    """Every component that a frame may be made of."""
    parts = merged(
        _native(),
        of_structs(ResponseRefused, *_ASKED, *_TOLD),
        responses.schemas(),
        ui_chat.schemas(),
    )
    asked = parts[_UI_BODY]["properties"]["messages"]
    held = {
        UiSend.__name__: _holding(parts[UiSend.__name__], messages=asked),
        UiChunkFrame.__name__: _holding(parts[UiChunkFrame.__name__], chunk=ref(ui_chat.CHUNK)),
    }
    return parts | held | _of_responses()


def _native() -> dict[str, Schema]:
    client = of_structs(*_CLIENT, names=_named(_CLIENT, _FROM))
    server = of_structs(*_SERVER, names=_named(_SERVER, _TO))
    start, one, many = f"{_FROM}Start", f"{_TO}Event", f"{_TO}Events"
    held = {
        start: _holding(client[start], request=ref(ChatRequest)),
        one: _holding(server[one], e=ref(EVENT)),
        many: _holding(server[many], e={"type": "array", "items": ref(EVENT), "minItems": 1}),
    }
    return merged(client | server | held, of_events(), of_model(ChatRequest))


def _of_responses() -> dict[str, Schema]:
    """A request and an event as a socket has them: with their lane."""
    lane = {
        "type": "string",
        "maxLength": LONGEST_LANE,
        "description": "The lane; none is a lane of its own.",
    }
    create = {
        "type": {"const": "response.create"},
        "stream_id": lane,
        "generate": {
            "type": "boolean",
            "description": "False: nobody is asked, and what follows goes on from the input.",
        },
    }
    return {
        _CREATE: {
            "description": "Ask for a response.",
            "allOf": [
                ref(_RESPONSE_REQUEST),
                {"type": "object", "properties": create, "required": ["type"]},
            ],
        },
        _TOLD_WITH_LANE: {
            "description": "An event of a response.",
            "allOf": [
                ref(responses.EVENT),
                {"type": "object", "properties": {"stream_id": lane}},
            ],
        },
    }


def _holding(part: Schema, **properties: Schema) -> Schema:
    """The component with these properties described, of which its struct says nothing."""
    return part | {"properties": part["properties"] | properties}
