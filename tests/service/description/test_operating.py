"""What the service tells of itself is what is described."""

import pytest

from tests.e2e.stack import stack
from tests.service.description.shapes import answered

OPENMETRICS = "application/openmetrics-text"


async def test_every_answer_is_one_that_is_described() -> None:
    paths = (
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/schema.json",
        "/openapi.json",
        "/asyncapi.json",
    )
    async with stack("openai") as service:
        for path in paths:
            async with service.client.get(service.url + path) as response:
                answered(path, "get", 200, response.headers, await response.read())
        asked = {"Accept": OPENMETRICS}
        async with service.client.get(f"{service.url}/metrics", headers=asked) as response:
            assert response.content_type == OPENMETRICS
            answered("/metrics", "get", 200, response.headers, await response.read())
        service.service.relay.draining = True
        async with service.client.get(f"{service.url}/readyz") as response:
            answered("/readyz", "get", 503, response.headers, await response.read())


@pytest.mark.parametrize("path", ["/v1/ws", "/v1/responses", "/api/chat/ws"])
async def test_a_websocket_that_is_asked_for_a_document_says_so_as_described(path: str) -> None:
    async with stack("openai") as service, service.client.get(service.url + path) as response:
        answered(path, "get", 426, response.headers, await response.read())
