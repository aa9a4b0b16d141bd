"""Schemas by name, as a document's components: made of structs, of models and of the events.

What a client is sent is described by msgspec structs, what it sends by the pydantic models that
read it. Both give JSON Schema, draft 2020-12, with definitions beside it; here the definitions get
their place among the components, and references point there. Two schemas of one name that differ
are a mistake of ours, and raise.
"""

from collections.abc import Iterable, Mapping
from inspect import cleandoc
from types import MappingProxyType
from typing import Any, Final, get_args

import msgspec
from pydantic import BaseModel

from adapters import schema as events
from adapters.events import ControlEvent, SequencedEvent

Schema = dict[str, Any]

_DEFS: Final = "#/$defs/"
_COMPONENTS: Final = "#/components/schemas/"

_AS_THEY_ARE: Final[Mapping[str, str]] = MappingProxyType({})

EVENT: Final = "StreamEvent"
"""The component that is any event of a stream."""


def ref(of: type | str) -> Schema:
    """A reference to the component of a type, or of a name."""
    return {"$ref": _COMPONENTS + (of if isinstance(of, str) else of.__name__)}


def of_structs(*structs: Any, names: Mapping[str, str] = _AS_THEY_ARE) -> dict[str, Schema]:  # noqa: ANN401 - a union of structs is no type
    """The components of msgspec structs, or of unions of them, and of all that they hold.

    `names`: what those are called whose own name is another's already.
    """
    _, parts = msgspec.json.schema_components(structs, ref_template=f"{_DEFS}{{name}}")
    return _named(parts, {name: names.get(name, name) for name in parts})


def of_model(model: type[BaseModel], prefix: str = "") -> dict[str, Schema]:
    """The components of a pydantic model and of all that it holds; `prefix`: before their names."""
    whole = model.model_json_schema()
    parts = whole.pop("$defs", {}) | {model.__name__: whole}
    return _named(parts, {name: prefix + name.lstrip("_") for name in parts})


def of_events() -> dict[str, Schema]:
    """The components of the native stream's events, each named after its type: `EventTextDelta`."""
    whole = events.document()
    parts = whole.pop("$defs")
    names = {name: _event_name(part) or name for name, part in parts.items()}
    del whole["$schema"], whole["$id"]
    return _named(parts, names) | {EVENT: _pointed(whole, names)}


def event_types() -> list[str]:
    """The types that an event may have."""
    every = (*get_args(SequencedEvent), *get_args(ControlEvent))
    return [event.__struct_config__.tag for event in every]


def merged(*several: Mapping[str, Schema]) -> dict[str, Schema]:
    """All components in one; raises ValueError where two of a name differ."""
    components: dict[str, Schema] = {}
    for name, part in _each(several):
        if components.setdefault(name, part) != part:
            raise ValueError(f"two components are called {name}, and they differ")
    return components


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def one_of(*schemas: Schema) -> Schema:
    """Any of the schemas; a single one is itself."""
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def _named(parts: Mapping[str, Schema], names: Mapping[str, str]) -> dict[str, Schema]:
    """Definitions as components, each under its new name."""
    return {names[name]: _worded(_pointed(part, names)) for name, part in parts.items()}


def _worded(part: Schema) -> Schema:
    """A component in one form, whoever made it: the two makers write enums differently."""
    worded = dict(part)
    if "description" in worded:
        worded["description"] = cleandoc(worded["description"])
    if "enum" in worded:
        worded |= {"type": "string", "enum": sorted(worded["enum"])}
    return worded


def _each(several: Iterable[Mapping[str, Schema]]) -> Iterable[tuple[str, Schema]]:
    return (named for components in several for named in components.items())


def _event_name(part: Schema) -> str | None:
    """What an event's component is called; None for a part that is no event."""
    if "v" not in part["properties"] if "properties" in part else True:
        return None
    words = part["properties"]["type"]["enum"][0].replace(".", "_").split("_")
    return "Event" + "".join(map(str.capitalize, words))


def _pointed(part: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
    """A schema with its references to definitions turned into such to components."""
    if isinstance(part, dict):
        return {key: _pointed(value, names) for key, value in part.items()}
    if isinstance(part, list):
        return [_pointed(value, names) for value in part]
    if isinstance(part, str) and part.startswith(_DEFS):
        return _COMPONENTS + names[part.removeprefix(_DEFS)]
    return part
