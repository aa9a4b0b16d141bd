"""What each API's client reads of an address that is not there: the whole service on a socket."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anthropic
import openai
import pytest

from tests.e2e.stack import Stack, stack

OPENAI = {"message", "type", "param", "code"}
ANTHROPIC = {"type", "message"}


@pytest.fixture
async def service() -> AsyncIterator[Stack]:
    async with stack("openai") as running:
        yield running


@pytest.mark.parametrize("path", ["/v1/chat/completions/chatcmpl-1", "/v1/responses/a/input_items"])
async def test_openai_s_client_is_told_in_its_own_shape(service: Stack, path: str) -> None:
    async with openai.AsyncOpenAI(base_url=service.url, api_key="none", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError, match="no such path") as raised:
            await client.get(path, cast_to=dict[str, Any])
    assert isinstance(raised.value.body, dict)
    assert set(raised.value.body) == OPENAI
    assert raised.value.code == "not_found"


async def test_anthropic_s_client_is_told_in_its_own_shape(service: Stack) -> None:
    async with anthropic.AsyncAnthropic(
        base_url=service.url, api_key="none", max_retries=0
    ) as client:
        with pytest.raises(anthropic.NotFoundError, match="no such path") as raised:
            await client.messages.batches.retrieve("msgbatch_1")
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["type"] == "error"
    assert set(raised.value.body["error"]) == ANTHROPIC
    assert raised.value.type == "not_found_error"


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/v1/chat/completions", {"error"}),
        ("/v1/messages", {"type", "error", "request_id"}),
        ("/api/coordination/llm/generate", {"success", "error"}),
        ("/v1/streams", {"error"}),
    ],
)
async def test_a_method_that_is_not_allowed_is_refused_in_each_api_s_shape(
    service: Stack, path: str, keys: set[str]
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.delete(service.url + path) as response,
    ):
        told = await response.json()
    assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert set(told) == keys
    assert "DELETE is not allowed here, POST is" in str(told)
