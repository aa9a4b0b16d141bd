"""The AI SDK's chat, unchanged, over its two transports: streams, tools, stops, cuts, resuming."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from tests.clients.lines import Line
from tests.clients.nodes import program
from tests.clients.programs import Program
from tests.double.answer import reasoning, tool_call
from tests.double.script import reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import Stack, stack
from tests.service.http.serving import becomes

pytestmark = [
    pytest.mark.parametrize("transport", ["http", "websocket"]),
    pytest.mark.asyncio(loop_scope="module"),
]

WEATHER = {"weather": {"description": "The weather.", "inputSchema": {"type": "object"}}}


Opening = Callable[..., AbstractAsyncContextManager[tuple[Stack, Line, Program]]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Program]:
    async with program("chat") as running:
        yield running


@pytest.fixture
def page(node: Program, transport: str) -> Opening:
    """Opens a chat before a service with these providers, and the line between them."""

    @asynccontextmanager
    async def opened(
        *providers: str, body: dict[str, object] | None = None
    ) -> AsyncIterator[tuple[Stack, Line, Program]]:
        async with stack(*providers) as running, Line(running.url) as line:
            await node.do("connect", kind=transport, url=line.url)
            await node.do("open", id="chat-1", body=body or {})
            yield running, line, node
            await node.do("shut")

    return opened


def parts(seen: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The last message's parts of a kind."""
    return [part for part in seen["messages"][-1]["parts"] if part["type"] == kind]


async def test_a_chat_shows_an_answer_with_what_it_cost(page: Opening) -> None:
    async with page("claude") as (running, _, chat):
        running.double.script(reply(reasoning("Let me ", "see."), "Hello ", "you."))
        await chat.do("send", text="Hi")
        seen = await chat.do("settled")
    assert (seen["status"], seen["text"]) == ("ready", "Hello you.")
    assert [part["text"] for part in parts(seen, "reasoning")] == ["Let me see."]
    assert seen["finishes"] == [{"reason": "stop", "isAbort": False, "isError": False}]
    metadata = seen["messages"][-1]["metadata"]
    assert metadata["provider"] == "claude"
    assert metadata["usage"]["totalTokens"] == 21
    assert float(metadata["cost_usd"]) > 0


async def test_a_tool_that_the_page_runs_is_answered_in_the_same_message(page: Opening) -> None:
    call = tool_call("weather", '{"city":', '"Oslo"}', call_id="call_1")
    async with page("groq", body={"tools": WEATHER}) as (running, _, chat):
        running.double.script(reply("Let me look. ", call), reply("It rains."))
        await chat.do("send", text="The weather in Oslo?")
        seen = await chat.do("settled")
        assert [called["input"] for called in seen["calls"]] == [{"city": "Oslo"}]
        await chat.do("tool", name="weather", id="call_1", output={"sky": "rain"})
        await chat.do("again")
        seen = await chat.do("settled")
        asked = (await running.double.seen(2)).body
    assert [message["role"] for message in seen["messages"]] == ["user", "assistant"]
    assert seen["text"] == "Let me look. It rains."
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "tool"]
    assert asked["messages"][-1]["content"] == '{"sky":"rain"}'


async def test_what_a_broken_provider_had_said_is_taken_back(page: Opening) -> None:
    gate = Gate()
    async with page("openai", "groq") as (running, _, chat):
        running.double.on_provider("openai", reply("The capital", " of Fr", Wait(gate), Cut()))
        running.double.on_provider("groq", reply("Paris is", " the capital."))
        await chat.do("open", id="chat-1", body={"latency": {"providers": ["openai", "groq"]}})
        await chat.do("send", text="Capital?")
        await chat.do("shows", text="The capital of Fr")
        gate.open()
        seen = await chat.do("settled")
    assert (seen["status"], seen["text"]) == ("ready", "Paris is the capital.")
    assert seen["messages"][-1]["metadata"]["provider"] == "groq"


async def test_an_answer_that_breaks_is_the_chats_error_and_keeps_what_came(page: Opening) -> None:
    async with page("openai") as (running, _, chat):
        running.double.script(reply("Half an", Cut()))
        await chat.do("open", id="chat-1", body={"after_commit": "fail"})
        await chat.do("send", text="Hi")
        seen = await chat.do("settled")
    assert (seen["status"], seen["text"]) == ("error", "Half an")
    assert seen["error"]
    assert [part["data"]["code"] for part in seen["data"]] == ["stream_interrupted"]
    assert seen["finishes"] == [{"reason": None, "isAbort": False, "isError": True}]


async def test_a_request_that_is_refused_is_the_chats_error_in_words(page: Opening) -> None:
    async with page("openai") as (_, _, chat):
        await chat.do("open", id="chat-1", body={"temperature": "hot"})
        await chat.do("send", text="Hi")
        seen = await chat.do("settled")
    assert seen["status"] == "error"
    assert seen["error"].startswith("temperature: 'hot' is not allowed")


async def test_a_chat_whose_line_was_cut_resumes_without_saying_anything_twice(
    page: Opening,
) -> None:
    gate = Gate()
    async with page("claude") as (running, line, chat):
        running.double.script(reply("Hello ", "you", Wait(gate), ", still ", "there?"))
        await chat.do("send", text="Hi")
        await chat.do("shows", text="Hello you")
        line.cut()
        cut = await chat.do("settled")
        assert (cut["status"], cut["text"]) == ("error", "Hello you")
        await chat.do("resume")
        gate.open()
        seen = await chat.do("settled")
        assert len(running.double.requests) == 1
    assert seen["status"] == "ready"
    assert [message["role"] for message in seen["messages"]] == ["user", "assistant"]
    assert seen["text"] == "Hello you, still there?"
    assert seen["messages"][-1]["id"] == cut["messages"][-1]["id"]


async def test_an_answer_that_ended_while_nobody_listened_is_there_for_whom_comes_back(
    page: Opening,
) -> None:
    gate = Gate()
    async with page("claude") as (running, line, chat):
        running.double.script(reply("Hello ", "you", Wait(gate), " all."))
        await chat.do("send", text="Hi")
        await chat.do("shows", text="Hello you")
        line.cut()
        await chat.do("settled")
        gate.open()
        await becomes(lambda: not running.service.relay.store.live)
        await chat.do("resume")
        seen = await chat.do("settled")
        await chat.do("resume")
        again = await chat.do("settled")
    assert (seen["status"], seen["text"]) == ("ready", "Hello you all.")
    assert again["messages"] == seen["messages"]


async def test_a_message_that_was_gone_on_with_is_whole_when_it_is_resumed(page: Opening) -> None:
    gate, call = Gate(), tool_call("weather", "{}", call_id="call_1")
    async with page("openai", body={"tools": WEATHER}) as (running, line, chat):
        running.double.script(reply("Let me look. ", call), reply("It ", Wait(gate), "rains."))
        await chat.do("send", text="The weather?")
        await chat.do("settled")
        await chat.do("tool", name="weather", id="call_1", output="rain")
        await chat.do("again")
        await chat.do("shows", text="It ")
        line.cut()
        await chat.do("settled")
        await chat.do("resume")
        gate.open()
        seen = await chat.do("settled")
    assert [message["role"] for message in seen["messages"]] == ["user", "assistant"]
    assert seen["text"] == "Let me look. It rains."
    (tool,) = parts(seen, "tool-weather")
    assert (tool["state"], tool["input"], tool["output"]) == ("output-available", {}, "rain")
    assert len(seen["calls"]) == 1, "the page has run the tool again"


async def test_a_page_opened_anew_sees_the_answer_that_is_under_way(page: Opening) -> None:
    gate = Gate()
    async with page("claude") as (running, line, chat):
        running.double.script(reply("Hello ", "you", Wait(gate), "."))
        await chat.do("send", text="Hi")
        before = await chat.do("shows", text="Hello you")
        line.cut()
        await chat.do("settled")
        await chat.do("open", id="chat-1", messages=before["messages"])
        await chat.do("resume")
        gate.open()
        seen = await chat.do("settled")
    assert seen["text"] == "Hello you."
    assert [message["id"] for message in seen["messages"]] == [
        message["id"] for message in before["messages"]
    ]


async def test_an_answer_that_is_told_again_takes_the_place_of_the_one_that_is_there(
    page: Opening,
) -> None:
    gate = Gate()
    async with page("claude") as (running, line, chat):
        running.double.script(reply("Hello ", Wait(gate), "you."))
        await chat.do("send", text="Hi")
        before = (await chat.do("shows", text="Hello"))["messages"]
        line.cut()
        await chat.do("settled")
        gate.open()
        await becomes(lambda: not running.service.relay.store.live)
        before[-1]["parts"] = [{"type": "text", "text": "Hello you.", "state": "done"}]
        later = {"id": "later", "role": "user", "parts": [{"type": "text", "text": "Thanks"}]}
        await chat.do("open", id="chat-1", messages=[*before, later])
        await chat.do("resume")
        seen = (await chat.do("settled"))["messages"]
    assert [message["id"] for message in seen] == [*(m["id"] for m in before), "later"]
    texts = [part["text"] for part in seen[1]["parts"] if part["type"] == "text"]
    assert texts == ["Hello you."]
    assert seen[1]["metadata"]["usage"], "nothing was told again"


async def test_a_chat_with_nothing_under_way_has_nothing_to_resume(page: Opening) -> None:
    async with page("claude") as (_, _, chat):
        await chat.do("resume")
        seen = await chat.do("settled")
    assert (seen["status"], seen["messages"], seen["error"]) == ("ready", [], None)


async def test_a_stopped_chat_keeps_what_it_has_and_goes_on_with_another_question(
    page: Opening, transport: str
) -> None:
    gate = Gate()
    async with page("claude") as (running, _, chat):
        running.double.script(reply("Hello ", "you", Wait(gate), "."), reply("Another."))
        await chat.do("send", text="Hi")
        await chat.do("shows", text="Hello you")
        seen = await chat.do("stop")
        assert (seen["status"], seen["text"]) == ("ready", "Hello you")
        if transport == "http":  # its stop only hangs up
            async with running.client.post(f"{running.url}/api/chat/chat-1/stop") as response:
                assert await response.json() == {"stopped": True}
        await becomes(lambda: not running.service.relay.store.live)
        await chat.do("send", text="Go on")
        seen = await chat.do("settled")
    assert seen["text"] == "Another."
    assert [message["role"] for message in seen["messages"]] == ["user", "assistant"] * 2
