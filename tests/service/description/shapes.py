"""Answers held to the document that describes them, to the letter.

The published schemas let further fields through, because readers are to pass over what they do not
know. Here every object is closed: a field that is told and not described is a failure, as is one
that is described and not told.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator

from service.description import openapi

Schema = dict[str, Any]


@cache
def published() -> Schema:
    """The document."""
    return openapi.document()


def checked(data: bytes, component: str) -> Any:  # noqa: ANN401 - any JSON
    """JSON that is what the component says."""
    document = orjson.loads(data)
    _validator(component).validate(document)
    return document


def streamed(body: bytes, path: str, method: str = "post") -> list[Any]:
    """The data of server-sent events, each what the operation says of its items.

    What ends a stream and is no JSON stays text.
    """
    item = _operation(path, method)["responses"]["200"]["content"]["text/event-stream"][
        "itemSchema"
    ]
    return [_event(event, item) for event in blocks(body)]


def answered(
    path: str, method: str, status: int, headers: Mapping[str, str], body: bytes
) -> list[Any]:
    """What an answer said, which is what the operation says that it may."""
    response = _operation(path, method)["responses"][str(status)]
    if not response.get("content"):
        assert body == b""
        return []
    kind = headers["Content-Type"].partition(";")[0]
    media = response["content"][kind]
    if "itemSchema" in media:
        return [_event(event, media["itemSchema"]) for event in blocks(body)]
    value = orjson.loads(body) if kind.endswith("json") else body.decode()
    _validator_of(media["schema"]).validate(value)
    return [value]


def blocks(body: bytes) -> Iterator[dict[str, str]]:
    """Server-sent events as a reader gets them; those without data are none."""
    for block in body.decode().split("\n\n")[:-1]:
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name:
                value = value.removeprefix(" ")
                fields[name] = f"{fields[name]}\n{value}" if name in fields else value
        if "data" in fields:
            yield fields


def _event(event: dict[str, str], item: Schema) -> Any:  # noqa: ANN401 - any JSON
    told: dict[str, Any] = dict(event)
    if "retry" in told:
        told["retry"] = int(told["retry"])
    _validator_of(item).validate(told)
    held = item["properties"]["data"]
    for branch in held.get("anyOf", [held]):
        if branch.get("const") == event["data"]:
            return event["data"]
        if "contentSchema" in branch:
            data = orjson.loads(event["data"])
            _validator_of(branch["contentSchema"]).validate(data)
            # Whoever is told an event's name is told the data's own type; but a usage event's
            # type is CloudEvents' word.
            assert event.get("event", "usage") in ("usage", data.get("type"))
            return data
    raise AssertionError(event)


def _operation(path: str, method: str) -> Schema:
    operation: Schema = published()["paths"][path][method]
    return operation


@cache
def _validator(component: str) -> Draft202012Validator:
    return _validator_of({"$ref": f"#/components/schemas/{component}"})


def _validator_of(schema: Schema) -> Draft202012Validator:
    return _made_of(orjson.dumps(schema))


@cache
def _made_of(schema: bytes) -> Draft202012Validator:
    return Draft202012Validator(_closed(orjson.loads(schema)) | {"components": _components()})


@cache
def _components() -> Schema:
    closed: Schema = _closed(published()["components"])
    return closed


def _closed(part: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(part, list):
        return [_closed(value) for value in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(value) for key, value in part.items()}
    if part.get("type") == "object" and "properties" in part:
        closed.setdefault("additionalProperties", False)
    return closed
