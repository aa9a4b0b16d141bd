"""The event schema as one JSON Schema, generated from the structs that are sent.

A document that validates is one event as a reader gets it: a sequenced event with its envelope
(`v`, `stream`, `seq`, `ts`), or a control event, which a transport adds for one reader and which
has no `seq`. The struct's own fields come from `msgspec.json.schema_components`, so the schema
cannot drift from the code; only the envelope, which is no struct's, is written here.

A reader must ignore fields and types it does not know. The schema says what this version sends: it
allows further fields, and knows no further types.
"""

from inspect import cleandoc
from typing import Any, get_args

import msgspec

from adapters.events import (
    SCHEMA_VERSION,
    ControlEvent,
    ReasoningDelta,
    RefusalDelta,
    SequencedEvent,
    TextDelta,
    ToolDelta,
)

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ID = f"urn:tailrace:events:{SCHEMA_VERSION}"
_REF = "#/$defs/{name}"

_VERSION: Schema = {"const": SCHEMA_VERSION, "description": "Version of this schema."}
_STREAM: Schema = {"type": "string", "description": "The stream's id."}
_SEQUENCED: Schema = {
    "v": _VERSION,
    "stream": _STREAM,
    "seq": {
        "type": "integer",
        "minimum": 0,
        "description": "0, 1, 2, ... within the stream; assigned once, the same for every reader.",
    },
    "ts": {"type": "integer", "description": "Unix time in milliseconds; informational."},
}
_CONTROL: Schema = {"v": _VERSION, "stream": _STREAM, "seq": False}
_JOINED: Schema = {
    "seq_first": {
        "type": "integer",
        "minimum": 0,
        "description": "Set where a lagging WebSocket reader that accepts it gets adjacent deltas "
        "joined into one: the first of them; `seq` is the last.",
    }
}

_JOINABLE = {TextDelta, ReasoningDelta, RefusalDelta, ToolDelta}


def document() -> Schema:
    """The schema of one event, draft 2020-12, self-contained."""
    _, defs = msgspec.json.schema_components([SequencedEvent, ControlEvent], ref_template=_REF)
    sequenced, control = get_args(SequencedEvent), get_args(ControlEvent)
    for event in sequenced:
        joined = _JOINED if event in _JOINABLE else {}
        _enveloped(defs[event.__name__], _SEQUENCED | joined, required=tuple(_SEQUENCED))
    for event in control:
        _enveloped(defs[event.__name__], _CONTROL, required=())
    for part in defs.values():
        part["description"] = cleandoc(part["description"])
    return {
        "$schema": _DIALECT,
        "$id": _ID,
        "title": f"Tailrace stream event, version {SCHEMA_VERSION}",
        "description": "One event of a stream. Readers ignore unknown fields, and unknown types "
        "unless must_understand is true.",
        "oneOf": [{"$ref": _REF.format(name=event.__name__)} for event in (*sequenced, *control)],
        "$defs": defs,
    }


def _enveloped(part: Schema, envelope: Schema, *, required: tuple[str, ...]) -> None:
    """Add the envelope's fields to an event's own, before them as on the wire."""
    part["properties"] = envelope | part["properties"]
    part["required"] = [*required, *part["required"]]
