"""The AI SDK's `streamText` through its providers for three of our dialects."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import pytest_asyncio

from tests.clients.nodes import program
from tests.clients.programs import Program
from tests.double.answer import reasoning, tool_call
from tests.double.script import reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import Stack, stack
from tests.service.http.serving import becomes

pytestmark = [
    pytest.mark.parametrize("through", ["openai-compatible", "anthropic", "open-responses"]),
    pytest.mark.asyncio(loop_scope="module"),
]

Asking = Callable[[str], AbstractAsyncContextManager[tuple[Stack, Program]]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Program]:
    async with program("stream_text") as running:
        yield running


@pytest.fixture
def before(node: Program, through: str) -> Asking:
    """The SDK before a service with this provider."""

    @asynccontextmanager
    async def connected(provider: str) -> AsyncIterator[tuple[Stack, Program]]:
        async with stack(provider) as running:
            await node.do("connect", kind=through, url=running.url)
            yield running, node
            await node.do("leave")

    return connected


async def test_an_answer_is_streamed_with_its_thoughts_its_end_and_its_tokens(
    before: Asking,
) -> None:
    async with before("claude") as (running, sdk):
        running.double.script(reply(reasoning("Let me ", "see."), "Hello ", "you."))
        seen = await sdk.do("ask", model="claude/auto")
    assert (seen["text"], seen["errors"], seen["finish"]) == ("Hello you.", [], "stop")
    assert seen["reasoning"] == "Let me see."
    assert seen["tokens"] == 21


async def test_a_tool_is_called_and_its_result_answered(before: Asking) -> None:
    async with before("groq") as (running, sdk):
        call = tool_call("weather", '{"city":', '"Oslo"}')
        running.double.script(reply("Let me look. ", call), reply("It rains."))
        seen = await sdk.do("ask", model="groq/auto", withTools=True)
        told = (await running.double.seen(2)).body["messages"]
    assert seen["calls"] == [["weather", {"city": "Oslo"}]]
    assert (seen["text"], seen["errors"]) == ("Let me look. It rains.", [])
    assert told[-1]["role"] == "tool"
    assert told[-1]["content"] == "rain in Oslo"


async def test_an_answer_that_breaks_is_an_error_after_what_came(before: Asking) -> None:
    async with before("openai") as (running, sdk):
        running.double.script(reply("Half an", Cut()))
        seen = await sdk.do("ask", model="openai/auto")
    assert seen["text"] == "Half an"
    assert seen["errors"]
    assert seen.get("finish") in {"error", None}


async def test_a_cancelled_answer_is_cancelled_at_its_provider(before: Asking) -> None:
    gate = Gate()
    async with before("claude") as (running, sdk):
        running.double.script(reply("Hello ", Wait(gate), "you."))
        await sdk.do("start", model="claude/auto")
        seen = await sdk.do("cancel")
        await becomes(lambda: not running.service.relay.store.live)
        await running.double.quiet()
    assert seen["aborted"]
    assert seen["text"] == "Hello "
