"""What every dialect does alike when it reads a request: its routing, and the one validation.

Routing rides in headers or in `metadata`, because SDKs refuse fields they do not know; headers win.
It is taken out of `metadata`, whose rest is the client's own and goes to the provider. The object
form of `latency` is a JSON string in both.

A dialect hands its fields over in their native form; `ChatRequest` checks them, and a refusal is
told with the name that the client knows.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson
from pydantic import ValidationError

from adapters.errors import RequestError, make
from adapters.events import Error, ErrorCode, Phase
from adapters.request import ChatRequest, ImageUrl
from service import complaints, validation

ROUTING: Final = ("use_case", "budget_tier", "latency")
"""Fields that the borrowed dialects have no place for."""

_HEADERS: Final = {name: f"tailrace-{name.replace('_', '-')}" for name in ROUTING}

_PREFIX: Final = "tailrace_"


def chat_request(
    fields: Mapping[str, Any],
    routing: Mapping[str, Any],
    names: Mapping[str, str] | None = None,
) -> ChatRequest:
    """The request that `fields` make; None in them is as good as left out.

    `routing`: as `Dialect.read` gets it. `names`: native names -> the client's, where they differ,
    inner ones first; `[]` in both is any item's number. Raises RequestError naming the field.
    """
    metadata = fields.get("metadata")
    names = dict(names or {})
    given = {name: value for name, value in fields.items() if value is not None}
    if isinstance(metadata, dict):
        own = {name: value for name, value in metadata.items() if name not in _ROUTED}
        given["metadata"] = own
        for name in ROUTING:
            key = _PREFIX + name
            if metadata.get(key) is not None:
                names[name] = f"metadata.{key}"
                given[name] = _parsed(name, metadata[key], names[name])
    for name, value in routing.items():
        names[name] = _HEADERS[name].title()
        given[name] = _parsed(name, value, names[name])
    try:
        return ChatRequest.model_validate(given, extra="ignore")
    except ValidationError as failure:
        raise RequestError(_renamed(validation.of_validation(failure), names)) from None


def routing_in(headers: Mapping[str, str]) -> dict[str, str]:
    """The routing that headers name, for `Dialect.read`.

    `headers` tell no case apart, or are all in lower case.
    """
    return {name: headers[header] for name, header in _HEADERS.items() if header in headers}


def refused(param: str, message: str) -> RequestError:
    """The refusal of a field; `message` says what is wrong with it."""
    return RequestError(
        make(
            ErrorCode.INVALID_REQUEST, f"{param}: {message}", param=param, phase=Phase.BEFORE_STREAM
        )
    )


def flag(body: Mapping[str, Any], name: str, *, unset: bool = False) -> bool:
    """A field that is true, false, null or missing; `unset`: what it is in the last two cases.

    Raises RequestError where it is anything else.
    """
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return unset if value is None else value
    raise refused(name, f"{complaints.shown(value)} is not allowed; must be true or false")


def picture(url: str, place: str) -> str:
    """The address of an image, or its data URL. Raises RequestError naming `place`."""
    try:
        return ImageUrl(url=url).url
    except ValidationError as failure:
        allowed = failure.errors()[0]["ctx"]["error"]
        raise refused(place, f"that string is not allowed; must be {allowed}") from None


_ROUTED: Final = frozenset(_PREFIX + name for name in ROUTING)


def _parsed(name: str, value: object, place: str) -> object:
    """A routing value as the native field has it."""
    if name != "latency" or not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise refused(place, "the object form must be JSON") from None


def _renamed(error: Error, names: Mapping[str, str]) -> Error:
    param = error.param or ""
    for native, own in names.items():
        item = re.escape(native).replace(r"\[\]", r"(\[\d+\])")
        found = re.match(rf"{item}(?![^.\[])", param)
        if found is not None:
            number = found[1] if found.groups() else ""
            renamed = own.replace("[]", number) + param[found.end() :]
            message = renamed + error.message.removeprefix(param)
            return msgspec.structs.replace(error, param=renamed, message=message)
    return error
