"""The AsyncAPI document: what is said over the WebSockets, in both directions.

It is made of `sockets`: a channel is one of them, and its messages are the frames. The document
speaks for the service, which receives what a client sends.

AsyncAPI has no word for close codes: they are in each channel, as `x-close-codes`. Its schemas are
of JSON Schema draft 07, of which those here use nothing that a newer draft has changed.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, Literal

from service.description.components import Schema, ref
from service.description.sockets import CHANNELS, Channel, schemas

VERSION: Final = "3.1.0"

SERVER: Final = "local"

_REF: Final = "#/components/schemas/"


def document() -> dict[str, Any]:
    """The whole document, made anew."""
    parts = {name: _plain(part) for name, part in schemas().items()}
    frames = [name for each in CHANNELS for name in (*each.received.values(), *each.sent.values())]
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Tailrace",
            "version": "1",
            "description": "LLM answers as streams, over WebSockets; over HTTP: /openapi.json.",
        },
        "defaultContentType": "application/json",
        "servers": {
            SERVER: {
                "host": "127.0.0.1:8180",
                "protocol": "ws",
                "description": "Where `make run` serves.",
            }
        },
        "channels": {channel.name: _channel(channel, parts) for channel in CHANNELS},
        "operations": dict(chain.from_iterable(map(_operations, CHANNELS))),
        "components": {"schemas": _reached(frames, parts)},
    }


def _channel(channel: Channel, parts: Mapping[str, Schema]) -> dict[str, Any]:
    frames = [*_keyed("client", channel.received), *_keyed("server", channel.sent)]
    websocket: dict[str, Any] = {"method": "GET", "bindingVersion": "0.1.0"}
    if channel.headers:
        websocket["headers"] = {
            "type": "object",
            "properties": {
                header.name: {"description": header.said, **header.schema}
                for header in channel.headers
            },
        }
    return {
        "address": channel.address,
        "title": channel.title,
        "description": channel.said,
        "servers": [{"$ref": f"#/servers/{SERVER}"}],
        "messages": {
            key: {
                "name": name,
                "summary": parts[component]["description"].partition("\n")[0],
                "payload": ref(component),
            }
            for key, name, component in frames
        },
        "bindings": {"ws": websocket},
        "x-close-codes": {str(code): channel.closes[code] for code in sorted(channel.closes)},
    }


def _operations(channel: Channel) -> Iterator[tuple[str, dict[str, Any]]]:
    """One for each frame of the client's, and one for all that the service says."""
    at = {"$ref": f"#/channels/{channel.name}"}
    for key, name, _ in _keyed("client", channel.received):
        operation: dict[str, Any] = {"action": "receive", "channel": at}
        operation["messages"] = [_message(channel, key)]
        if name in channel.replies:
            told = [_message(channel, f"server.{reply}") for reply in channel.replies[name]]
            operation["reply"] = {"channel": at, "messages": told}
        yield f"{channel.name}.{key}", operation
    yield (
        f"{channel.name}.server",
        {
            "action": "send",
            "channel": at,
            "messages": [_message(channel, key) for key, _, _ in _keyed("server", channel.sent)],
        },
    )


def _keyed(
    side: Literal["client", "server"], frames: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Frames by a name of their own in the channel, since both sides may say `ping`."""
    for name, component in frames.items():
        yield f"{side}.{name}", name, component


def _message(channel: Channel, key: str) -> Schema:
    return {"$ref": f"#/channels/{channel.name}/messages/{key}"}


# --- Schemas --------------------------------------------------------------------------------


def _reached(names: Iterable[str], parts: Mapping[str, Schema]) -> dict[str, Schema]:
    """The components of these names, and all that they refer to."""
    reached: dict[str, Schema] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached[name] = parts[name]
            waiting += _named_in(parts[name])
    return dict(sorted(reached.items()))


def _named_in(part: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"].removeprefix(_REF)
        part = list(part.values())
    if isinstance(part, list):
        for value in part:
            yield from _named_in(value)


def _plain(part: Any) -> Any:  # noqa: ANN401 - any JSON
    """A schema without OpenAPI's discriminators, for which AsyncAPI has another form.

    Nothing is lost: every part says itself which tag it has.
    """
    if isinstance(part, dict):
        return {
            key: _plain(value)
            for key, value in part.items()
            if key != "discriminator" or "propertyName" not in value
        }
    return [_plain(value) for value in part] if isinstance(part, list) else part
