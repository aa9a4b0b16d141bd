"""Schemathesis holds the running service to its own /openapi.json.

No 500, no undeclared status, no answer that violates its schema, each item of a stream included; a
body that the schema refuses is refused, and a method that is not described answers 405 and says
which are allowed. The same requests each time, in a quarter of a minute or two; all that it can
think of: `make schemathesis`.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.clients.fuzzing import fuzz
from tests.e2e.stack import Stack, stack

EVENTS = "text/event-stream"
JSON = "application/json"

ANSWERING = (
    "POST /v1/chat/completions",
    "POST /v1/responses",
    "POST /v1/messages",
    "POST /api/coordination/llm/generate",
)
"""What answers with a stream or with a document."""


@pytest.fixture
async def service() -> AsyncIterator[Stack]:
    async with stack() as running:
        yield running


async def document(service: Stack) -> dict[str, Any]:
    async with service.client.get(f"{service.url}/openapi.json") as response:
        told: dict[str, Any] = orjson.loads(await response.read())
        return told


@pytest.mark.timeout(180)
async def test_whatever_is_asked_the_answer_is_one_that_is_described(
    service: Stack, tmp_path: Path
) -> None:
    run = await fuzz(service, tmp_path, "-n", "2", "--phases", "examples,fuzzing")
    assert run.code == 0, run.output
    told = {answer for answer in run.answers if answer[1] == 200}
    assert told >= {(name, 200, kind) for name in ANSWERING for kind in (EVENTS, JSON)}
    assert told >= {("POST /v1/streams", 200, EVENTS), ("POST /api/chat", 200, EVENTS)}
    described = {
        f"{method.upper()} {path}"
        for path, operations in (await document(service))["paths"].items()
        for method in operations
    }
    # The document itself it has asked for already.
    assert described - {answer[0] for answer in run.answers} <= {"GET /openapi.json"}


@pytest.mark.timeout(120)
async def test_an_item_that_is_not_as_described_is_noticed(service: Stack, tmp_path: Path) -> None:
    told = await document(service)
    for component, field in (("ChatChunk", "created"), ("EventTextDelta", "delta")):
        told["components"]["schemas"][component]["properties"][field] = {"type": "boolean"}
    told["paths"] = {path: told["paths"][path] for path in ("/v1/chat/completions", "/v1/streams")}
    told["paths"]["/v1/streams"]["post"]["responses"]["200"].pop("links")
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(orjson.dumps(told))
    run = await fuzz(service, tmp_path, "--phases", "examples", document=wrong)
    assert run.code == 1
    assert run.output.count("- ST108 SSE event") == 2
