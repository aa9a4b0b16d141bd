"""The coordination API's real answers are those that are described."""

from typing import Any

import pytest

from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.e2e.stack import Stack, stack
from tests.service.description.shapes import answered

ROOT = "/api/coordination"
SAID = {"messages": [{"role": "user", "content": "hi"}]}


async def ask(service: Stack, method: str, path: str, body: object = None) -> tuple[int, list[Any]]:
    """The status, and what was said, which is what is described."""
    path = ROOT + path
    async with service.client.request(method, service.url + path, json=body) as response:
        status, told = response.status, await response.read()
        return status, answered(path, method, status, response.headers, told)


@pytest.mark.parametrize(
    "path", ["/health", "/llm/providers", "/llm/use-cases", "/llm/cost-summary"]
)
async def test_what_is_looked_up_is_what_is_described(path: str) -> None:
    async with stack("openai", "groq") as service:
        assert (await ask(service, "get", path))[0] == 200


async def test_what_is_generated_is_what_is_described() -> None:
    async with stack("openai") as service:
        service.double.script(reply("Hello."), reply("Hello."), http_error(Kind.OVERLOADED))
        # Qwen was meant and has no key, so the answer says who stood in.
        named = SAID | {"use_case": "classification", "budget_tier": "ultra_economy"}
        status, (told,) = await ask(service, "post", "/llm/generate", named)
        assert (status, told["fallback_used"]) == (200, True)
        assert (await ask(service, "post", "/llm/generate", SAID | {"stream": True}))[0] == 200
        assert (await ask(service, "post", "/llm/test", {"provider": "openai"}))[0] == 503
        assert (await ask(service, "post", "/llm/test", {"provider": "groq"}))[0] == 422
        assert (await ask(service, "post", "/llm/generate", {"messages": 1}))[0] == 400
