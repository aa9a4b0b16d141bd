"""LangChain's ChatOpenAI, unchanged, over chat completions and over the Responses API."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.clients import frameworks
from tests.clients.programs import Program
from tests.clients.pythons import program
from tests.double.answer import tool_call
from tests.double.errors import Kind
from tests.double.script import reply
from tests.e2e.stack import stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
either_api = pytest.mark.parametrize("api", ["chat", "responses"])
either_way = pytest.mark.parametrize("how", ["ask", "whole"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chain() -> AsyncIterator[Program]:
    async with program("with_langchain") as running:
        yield running


@either_way
@either_api
async def test_an_answer_has_its_end_and_its_tokens(chain: Program, api: str, how: str) -> None:
    async with stack("claude") as running:
        running.double.script(reply("Hello ", "you."))
        seen = await chain.do(how, api=api, url=running.url, model="claude/sonnet")
    assert (seen["output"], seen["error"], seen["tokens"]) == ("Hello you.", None, 21)
    assert seen["finish"] == {"chat": "stop", "responses": "completed"}[api]
    assert seen["text"] == ("Hello you." if how == "ask" else "")


@either_way
@either_api
async def test_a_tool_is_called_and_its_result_answered(chain: Program, api: str, how: str) -> None:
    await frameworks.calls_a_tool(chain, api, how)


@pytest.mark.parametrize("model", frameworks.SIGNING)
async def test_what_a_provider_signed_goes_back_to_it_with_the_result(
    chain: Program, model: str
) -> None:
    await frameworks.gives_a_signature_back(chain, "responses", model)


@either_api
async def test_an_answer_that_breaks_raises_after_what_came(chain: Program, api: str) -> None:
    seen = await frameworks.streams_half(chain, api)
    assert seen["error"] == {"chat": "APIError", "responses": "ValueError"}[api]


@either_api
async def test_half_of_a_whole_answer_raises(chain: Program, api: str) -> None:
    seen = await frameworks.waits_for_half(chain, api)
    assert seen["error"] == "OpenAIAPIError"


@either_api
async def test_an_answer_that_is_cancelled_is_cancelled_at_the_provider(
    chain: Program, api: str
) -> None:
    await frameworks.is_cancelled(chain, api)


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@either_api
async def test_an_answer_has_the_structure_that_was_asked_for(
    chain: Program, api: str, method: str, *, streams: bool
) -> None:
    city = '{"city":"Oslo"}'
    answer = tool_call("Place", city) if method == "function_calling" else city
    asked = {"api": api, "model": "openai/auto", "method": method, "streams": streams}
    async with stack("openai") as running:
        running.double.script(reply(answer))
        seen = await chain.do("place", url=running.url, **asked)
        told = running.double.requests[0].body
    assert seen["output"] == {"city": "Oslo"}
    form = told.get("response_format", {}).get("type")
    assert (form, "tools" in told) == {
        "json_schema": ("json_schema", False),
        "function_calling": (None, True),
    }[method]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Kind.RATE_LIMIT, "OpenAIRateLimitError"),
        (Kind.CONTEXT_LENGTH, "OpenAIContextOverflowError"),
    ],
)
@either_api
async def test_a_failure_is_the_error_that_a_chain_can_act_on(
    chain: Program, api: str, kind: Kind, error: str
) -> None:
    assert (await frameworks.fails(chain, api, kind))["error"] == error
