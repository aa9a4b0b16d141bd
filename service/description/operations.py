"""What a table of routes is made of, and each row as OpenAPI has it.

An `Operation` is one method at one path: what it takes, what it answers, and with which statuses it
may be refused, in the shape of its API. A refusal's statuses are those of the error codes that can
come of it (`adapters.errors.RULES`), so a code whose status changes changes the document.

A stream is described by its items (`itemSchema`, OpenAPI 3.2): an item is a server-sent event as a
reader gets it, with `data` a string that holds JSON (`contentMediaType`, `contentSchema`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal

from adapters.errors import RULES
from adapters.events import ErrorCode
from service.description.components import Schema

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
TEXT: Final = "text/plain"

Content = Mapping[str, Mapping[str, Any]]
"""A body's forms, by media type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A value beside the body."""

    name: str
    where: Literal["path", "query", "header"]
    said: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Link:
    """What an answer's own values can be asked with next."""

    operation: str
    parameters: Mapping[str, str]
    """Runtime expressions, by the parameter's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered with one status."""

    said: str
    content: Content = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """What each header says."""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How an operation refuses, or fails: its API's one shape for all errors."""

    content: Content
    statuses: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method at one path."""

    method: Literal["get", "post", "patch"]
    path: str
    id: str
    said: str
    """In one line."""
    more: str = ""
    """What there is to know besides, in CommonMark."""
    parameters: tuple[Parameter, ...] = ()
    body: Content = field(default_factory=dict)
    examples: Mapping[str, Any] = field(default_factory=dict)
    """Bodies that work as they are, by what they show."""
    answers: Mapping[int, Answer]
    refusal: Refusal


# --- Contents -------------------------------------------------------------------------------


def json(schema: Schema) -> dict[str, Mapping[str, Any]]:
    """A JSON document."""
    return {JSON: {"schema": schema}}


def text(media_type: str = TEXT) -> dict[str, Mapping[str, Any]]:
    """Text."""
    return {media_type: {"schema": {"type": "string"}}}


def stream(item: Schema) -> dict[str, Mapping[str, Any]]:
    """Server-sent events."""
    return {EVENTS: {"itemSchema": item}}


def item(
    data: Schema, *, last: str | None = None, event: Schema | None = None, identified: str = ""
) -> Schema:
    """One server-sent event whose data is JSON.

    `last`: data that is no JSON and ends the stream; `event`: its name, where it has one;
    `identified`: what its id is, where it has one.
    """
    held: Schema = {"type": "string", "contentMediaType": JSON, "contentSchema": data}
    if last is not None:
        held = {"anyOf": [{"const": last}, held]}
    properties: Schema = {"data": held}
    if event is not None:
        properties["event"] = event
    if identified:
        properties["id"] = {"type": "string", "description": identified}
        properties["retry"] = {
            "type": "integer",
            "minimum": 0,
            "description": "Milliseconds to wait before coming back; with the first event.",
        }
    required = ["data"] if event is None or last is not None else ["data", "event"]
    return {"type": "object", "properties": properties, "required": required}


# --- Refusals -------------------------------------------------------------------------------

READING: Final = frozenset({ErrorCode.INVALID_REQUEST, ErrorCode.PAYLOAD_TOO_LARGE})
"""What may be wrong with a body."""

EVERYWHERE: Final = frozenset(
    {ErrorCode.INVALID_REQUEST, ErrorCode.PERMISSION_DENIED, ErrorCode.INTERNAL}
)
"""Whatever is asked: no proper HTTP, another origin's page, a fault of ours."""

UNASKED: Final = frozenset({HTTPStatus.UNPROCESSABLE_ENTITY})
"""Nobody has the key or the ability: `no_candidates`, with a status of its own."""


def refusing(content: Content, *codes: ErrorCode, also: Iterable[int] = ()) -> Refusal:
    """The refusals that come of codes, and of what can happen everywhere.

    `also`: statuses that a code has besides its own.
    """
    statuses = {RULES[code].http for code in (*EVERYWHERE, *codes)} | {*map(int, also)}
    return Refusal(content=content, statuses=frozenset(statuses))


def asking(content: Content, *codes: ErrorCode) -> Refusal:
    """The refusals of a request for an answer, `codes` apart."""
    every = (*READING, *_FAILING, *codes)
    return refusing(content, *every, also=UNASKED)


_NEVER: Final = frozenset(
    {
        ErrorCode.AUTH_CLIENT,  # there are no client keys yet
        ErrorCode.STREAM_EXPIRED,  # of streams that are come back to
        ErrorCode.CONTENT_BLOCKED_OUTPUT,  # an answer all the same
    }
)
_FAILING: Final = frozenset(ErrorCode) - _NEVER

_WHY: Final[Mapping[int, str]] = {
    400: "Something is wrong with the request; the message names it.",
    403: "A page of another origin asked (`server.allowed_origins`).",
    404: "There is nothing of that name.",
    409: "It cannot be done as things stand.",
    410: "It was there, and is no longer kept.",
    413: "The body is larger than allowed.",
    422: "Nobody can answer this request: for lack of a key or an ability, or under its budget.",
    426: "This is a WebSocket: ask for an upgrade.",
    429: "Too many requests, here or at the provider that could answer.",
    499: "It was cancelled before anything was said.",
    500: "A fault of ours.",
    502: "The providers failed.",
    503: "Not at the moment.",
    504: "The providers took too long.",
}
_RETRIED: Final = frozenset({429, 500, 502, 503, 504})


# --- As OpenAPI has it ----------------------------------------------------------------------


def described(operation: Operation, tag: str) -> dict[str, Any]:
    """The operation object; its errors' descriptions are the same everywhere."""
    told: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.said,
        "tags": [tag],
    }
    if operation.more:
        told["description"] = operation.more
    if operation.parameters:
        told["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        told["requestBody"] = {"required": True, "content": _shown(operation)}
    answers = {status: _answer(answer) for status, answer in operation.answers.items()}
    refusals = {status: _refused(operation.refusal, status) for status in _sorted(operation)}
    told["responses"] = {str(status): said for status, said in (answers | refusals).items()}
    return told


def _sorted(operation: Operation) -> list[int]:
    return sorted(operation.refusal.statuses - set(operation.answers))


def _shown(operation: Operation) -> dict[str, Any]:
    """The body's forms, with the examples."""
    examples = {name: {"value": value} for name, value in operation.examples.items()}
    with_them = {"examples": examples} if examples else {}
    return {kind: {**form, **with_them} for kind, form in operation.body.items()}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.said,
        "schema": parameter.schema,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {"description": answer.said}
    if answer.headers:
        told["headers"] = {name: _header(said) for name, said in answer.headers.items()}
    if answer.content:
        told["content"] = answer.content
    if answer.links:
        told["links"] = {
            link.operation: {"operationId": link.operation, "parameters": link.parameters}
            for link in answer.links
        }
    return told


def _refused(refusal: Refusal, status: int) -> dict[str, Any]:
    told: dict[str, Any] = {"description": _WHY[status], "content": refusal.content}
    if status in _RETRIED:
        after = {"description": "Seconds to wait before the next try.", **_WHOLE}
        told["headers"] = {"Retry-After": after}
    return told


_WHOLE: Final[Schema] = {"schema": {"type": "integer", "minimum": 0}}


def _header(said: str) -> dict[str, Any]:
    return {"description": said, "schema": {"type": "string"}}
