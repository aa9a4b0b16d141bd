"""pydantic-ai's agent, unchanged, through its models for three of the dialects."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.clients import frameworks
from tests.clients.programs import Program
from tests.clients.pythons import program
from tests.double.answer import reasoning, tool_call
from tests.double.errors import Kind
from tests.double.script import reply
from tests.e2e.stack import stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
every_model = pytest.mark.parametrize("api", ["chat", "responses", "messages"])
either_way = pytest.mark.parametrize("how", ["ask", "whole"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent() -> AsyncIterator[Program]:
    async with program("with_pydantic_ai") as running:
        yield running


@either_way
@every_model
async def test_an_answer_has_its_thoughts_its_end_and_its_tokens(
    agent: Program, api: str, how: str
) -> None:
    async with stack("claude") as running:
        running.double.script(reply(reasoning("Let me ", "see."), "Hello ", "you."))
        seen = await agent.do(how, api=api, url=running.url, model="claude/sonnet")
    assert (seen["output"], seen["error"], seen["finish"]) == ("Hello you.", None, "stop")
    assert seen["thinking"] == ["Let me see."]
    assert seen["tokens"] == 21


@either_way
@every_model
async def test_a_tool_is_called_and_its_result_answered(agent: Program, api: str, how: str) -> None:
    await frameworks.calls_a_tool(agent, api, how)


@pytest.mark.parametrize("model", frameworks.SIGNING)
@pytest.mark.parametrize("api", ["responses", "messages"])
async def test_what_a_provider_signed_goes_back_to_it_with_the_result(
    agent: Program, api: str, model: str
) -> None:
    await frameworks.gives_a_signature_back(agent, api, model)


@every_model
async def test_an_answer_that_breaks_raises_after_what_came(agent: Program, api: str) -> None:
    seen = await frameworks.streams_half(agent, api)
    assert seen["error"] == "ModelServerError"


@every_model
async def test_half_of_a_whole_answer_raises(agent: Program, api: str) -> None:
    await frameworks.waits_for_half(agent, api)


@every_model
async def test_a_run_that_is_cancelled_is_cancelled_at_the_provider(
    agent: Program, api: str
) -> None:
    await frameworks.is_cancelled(agent, api)


@pytest.mark.parametrize(
    ("api", "place"),
    [
        ("chat", "tool"),
        ("responses", "tool"),
        ("messages", "tool"),
        ("chat", "native"),
        ("responses", "native"),
    ],
)
async def test_an_answer_has_the_structure_that_was_asked_for(
    agent: Program, api: str, place: str
) -> None:
    city = '{"city":"Oslo"}'
    answer = tool_call("final_result", city) if place == "tool" else city
    async with stack("openai") as running:
        running.double.script(reply(answer))
        seen = await agent.do("ask", api=api, url=running.url, model="openai/auto", place=place)
        told = running.double.requests[0].body
    assert seen["output"] == {"city": "Oslo"}
    assert ("response_format" in told, "tools" in told) == (place == "native", place == "tool")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Kind.RATE_LIMIT, "ModelRateLimitError"),
        (Kind.CONTEXT_LENGTH, "ModelContextWindowExceededError"),
    ],
)
@every_model
async def test_a_failure_is_the_error_that_the_agent_can_act_on(
    agent: Program, api: str, kind: Kind, error: str
) -> None:
    assert (await frameworks.fails(agent, api, kind))["error"] == error
