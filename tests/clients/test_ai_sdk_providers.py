"""The AI SDK's `streamText` through its providers for three of our dialects."""

import pytest

from tests.clients.nodes import program
from tests.double.answer import reasoning, tool_call
from tests.double.script import reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import stack
from tests.service.http.serving import becomes

pytestmark = pytest.mark.parametrize(
    "through", ["openai-compatible", "anthropic", "open-responses"]
)


async def test_an_answer_is_streamed_with_its_thoughts_its_end_and_its_tokens(through: str) -> None:
    async with stack("claude") as running, program("stream_text", through, running.url) as sdk:
        running.double.script(reply(reasoning("Let me ", "see."), "Hello ", "you."))
        seen = await sdk.do("ask", model="claude/auto")
    assert (seen["text"], seen["errors"], seen["finish"]) == ("Hello you.", [], "stop")
    assert seen["reasoning"] == "Let me see."
    assert seen["tokens"] == 21


async def test_a_tool_is_called_and_its_result_answered(through: str) -> None:
    async with stack("groq") as running, program("stream_text", through, running.url) as sdk:
        call = tool_call("weather", '{"city":', '"Oslo"}')
        running.double.script(reply("Let me look. ", call), reply("It rains."))
        seen = await sdk.do("ask", model="groq/auto", withTools=True)
        told = (await running.double.seen(2)).body["messages"]
    assert seen["calls"] == [["weather", {"city": "Oslo"}]]
    assert (seen["text"], seen["errors"]) == ("Let me look. It rains.", [])
    assert told[-1]["role"] == "tool"
    assert told[-1]["content"] == "rain in Oslo"


async def test_an_answer_that_breaks_is_an_error_after_what_came(through: str) -> None:
    async with stack("openai") as running, program("stream_text", through, running.url) as sdk:
        running.double.script(reply("Half an", Cut()))
        seen = await sdk.do("ask", model="openai/auto")
    assert seen["text"] == "Half an"
    assert seen["errors"]
    assert seen.get("finish") in {"error", None}


async def test_a_cancelled_answer_is_cancelled_at_its_provider(through: str) -> None:
    gate = Gate()
    async with stack("claude") as running, program("stream_text", through, running.url) as sdk:
        running.double.script(reply("Hello ", Wait(gate), "you."))
        await sdk.do("start", model="claude/auto")
        seen = await sdk.do("cancel")
        await becomes(lambda: not running.service.relay.store.live)
        await running.double.quiet()
    assert seen["aborted"]
    assert seen["text"] == "Hello "
