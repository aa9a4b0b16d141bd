"""What operators and tools ask the service about itself."""

from typing import Final, Literal

from msgspec import Struct

from adapters.events import ErrorCode
from service.description.components import Schema, of_structs, ref
from service.description.native import PROBLEM
from service.description.operations import Answer, Operation, json, refusing, text


class EngineHealth(Struct):
    """What carries the usage stream."""

    kind: Literal["redis", "embedded", "in-process"]
    url: str | None


class Health(Struct):
    """It answers."""

    status: Literal["ok"]
    engine: EngineHealth


class Ready(Struct):
    """It takes requests."""

    status: Literal["ready"]


def schemas() -> dict[str, Schema]:
    """The components of these routes."""
    return of_structs(Health, Ready)


_ANY: Final = {"type": "object"}


def _document(path: str, name: str, said: str, media_type: str = "application/json") -> Operation:
    return Operation(
        method="get",
        path=path,
        id=name,
        said=said,
        answers={200: Answer(said=f"{said}.", content={media_type: {"schema": _ANY}})},
        refusal=refusing(PROBLEM),
    )


OPERATIONS: Final = (
    Operation(
        method="get",
        path="/",
        id="getPage",
        said="The page for a person",
        answers={200: Answer(said="The page.", content=text("text/html"))},
        refusal=refusing(PROBLEM),
    ),
    Operation(
        method="get",
        path="/healthz",
        id="getHealth",
        said="Whether it is alive",
        answers={200: Answer(said="It is.", content=json(ref(Health)))},
        refusal=refusing(PROBLEM),
    ),
    Operation(
        method="get",
        path="/readyz",
        id="getReadiness",
        said="Whether it takes requests",
        answers={200: Answer(said="It does.", content=json(ref(Ready)))},
        refusal=refusing(PROBLEM, ErrorCode.DRAINING),
    ),
    Operation(
        method="get",
        path="/metrics",
        id="getMetrics",
        said="What Prometheus scrapes",
        answers={
            200: Answer(
                said="In its text format, or OpenMetrics' where that is asked for.",
                content=text("text/plain") | text("application/openmetrics-text"),
            )
        },
        refusal=refusing(PROBLEM),
    ),
    _document(
        "/v1/schema.json", "getEventSchema", "One event of a stream", "application/schema+json"
    ),
    _document("/openapi.json", "getOpenApi", "This document"),
    _document("/asyncapi.json", "getAsyncApi", "The WebSockets, as AsyncAPI"),
    Operation(
        method="get",
        path="/v1/ws",
        id="connectStreams",
        said="Streams over a WebSocket",
        more="What is said over it: `/asyncapi.json`.",
        answers={101: Answer(said="From here on it is a WebSocket.")},
        refusal=refusing(PROBLEM, also=(426,)),
    ),
)
