"""`useChat` on a page in React: an answer grows on it, and a page opened anew goes on with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.clients.lines import Line
from tests.clients.nodes import program
from tests.clients.programs import Program
from tests.double.answer import tool_call
from tests.double.script import reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import stack
from tests.service.http.serving import becomes

pytestmark = [
    pytest.mark.parametrize("transport", ["http", "websocket"]),
    pytest.mark.asyncio(loop_scope="module"),
]

WEATHER = {"weather": {"description": "The weather.", "inputSchema": {"type": "object"}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Program]:
    async with program("page") as running:
        yield running


@asynccontextmanager
async def opened(
    node: Program, transport: str, url: str, **given: object
) -> AsyncIterator[Program]:
    """A page, until it is shut."""
    await node.do("open", kind=transport, url=url, id="chat-1", **given)
    yield node
    await node.do("shut")


async def test_a_page_shows_an_answer_as_it_grows_and_is_ready_for_another(
    node: Program, transport: str
) -> None:
    gate = Gate()
    async with stack("claude") as running, opened(node, transport, running.url) as page:
        running.double.script(reply("Hello ", Wait(gate), "you."), reply("Again."))
        await page.do("send", text="Hi")
        seen = await page.do("shows", text="Hello")
        assert seen["status"] == "streaming"
        gate.open()
        await page.do("shows", text="Hello you.")
        await page.do("becomes", status="ready")
        await page.do("send", text="Once more")
        await page.do("shows", text="Again.")
        seen = await page.do("becomes", status="ready")
    assert [line["text"] for line in seen["lines"]] == ["Hi", "Hello you.", "Once more", "Again."]


async def test_a_page_opened_anew_goes_on_with_the_answer_in_its_own_place(
    node: Program, transport: str
) -> None:
    gate = Gate()
    async with stack("claude") as running, Line(running.url) as line:
        running.double.script(reply("Hello ", Wait(gate), "you."))
        async with opened(node, transport, line.url) as page:
            await page.do("send", text="Hi")
            before = await page.do("shows", text="Hello")
        kept = {"messages": before["messages"], "resume": True}
        async with opened(node, transport, line.url, **kept) as page:
            gate.open()
            await page.do("shows", text="Hello you.")
            seen = await page.do("becomes", status="ready")
        assert len(running.double.requests) == 1
    assert [line["text"] for line in seen["lines"]] == ["Hi", "Hello you."]
    assert [line["id"] for line in seen["lines"]] == [line["id"] for line in before["lines"]]


async def test_a_tool_that_the_page_runs_is_answered_without_another_question(
    node: Program, transport: str
) -> None:
    call = tool_call("weather", '{"city":', '"Oslo"}', call_id="call_1")
    body = {"tools": WEATHER}
    async with (
        stack("groq") as running,
        opened(node, transport, running.url, body=body) as page,
    ):
        running.double.script(reply("Let me look. ", call), reply("It rains."))
        await page.do("send", text="The weather in Oslo?")
        await page.do("shows", text="Let me look. It rains.")
        seen = await page.do("becomes", status="ready")
        asked = (await running.double.seen(2)).body["messages"]
    assert [line["role"] for line in seen["lines"]] == ["user", "assistant"]
    assert [message["role"] for message in asked] == ["user", "assistant", "tool"]
    assert asked[-1]["content"] == "rain in Oslo"


async def test_what_a_broken_provider_had_said_leaves_the_page(
    node: Program, transport: str
) -> None:
    gate = Gate()
    body = {"latency": {"providers": ["openai", "groq"]}}
    async with (
        stack("openai", "groq") as running,
        opened(node, transport, running.url, body=body) as page,
    ):
        running.double.on_provider("openai", reply("The capital", " of Fr", Wait(gate), Cut()))
        running.double.on_provider("groq", reply("Paris is", " the capital."))
        await page.do("send", text="Capital?")
        await page.do("shows", text="The capital of Fr")
        gate.open()
        await page.do("shows", text="Paris is the capital.")
        seen = await page.do("becomes", status="ready")
    assert [line["text"] for line in seen["lines"]] == ["Capital?", "Paris is the capital."]
    assert not [text for text in seen["shown"] if "Fr" in text and "Paris" in text]


async def test_an_answer_that_breaks_is_an_error_on_the_page_below_what_came(
    node: Program, transport: str
) -> None:
    body = {"after_commit": "fail"}
    async with (
        stack("openai") as running,
        opened(node, transport, running.url, body=body) as page,
    ):
        running.double.script(reply("Half an", Cut()))
        await page.do("send", text="Hi")
        seen = await page.do("becomes", status="error")
    assert [line["text"] for line in seen["lines"]] == ["Hi", "Half an"]
    assert seen["error"]


async def test_a_page_whose_line_was_cut_goes_on_when_it_resumes(
    node: Program, transport: str
) -> None:
    gate = Gate()
    async with (
        stack("claude") as running,
        Line(running.url) as line,
        opened(node, transport, line.url) as page,
    ):
        running.double.script(reply("Hello ", Wait(gate), "you."))
        await page.do("send", text="Hi")
        await page.do("shows", text="Hello")
        line.cut()
        await page.do("becomes", status="error")
        await page.do("resume")
        gate.open()
        await page.do("shows", text="Hello you.")
        seen = await page.do("becomes", status="ready")
        assert len(running.double.requests) == 1
    assert [line["text"] for line in seen["lines"]] == ["Hi", "Hello you."]


async def test_a_stopped_page_keeps_what_it_has_and_is_ready_for_another(
    node: Program, transport: str
) -> None:
    async with stack("claude") as running, opened(node, transport, running.url) as page:
        running.double.script(reply("Hello ", Wait(Gate()), "you."), reply("Another."))
        await page.do("send", text="Hi")
        await page.do("shows", text="Hello")
        await page.do("stop")
        seen = await page.do("becomes", status="ready")
        if transport == "http":  # its stop only hangs up
            async with running.client.post(f"{running.url}/api/chat/chat-1/stop") as response:
                assert await response.json() == {"stopped": True}
        await running.double.requests[0].left()
        await becomes(lambda: not running.service.relay.store.live)
        await page.do("send", text="Go on")
        again = await page.do("shows", text="Another.")
    assert [line["text"] for line in seen["lines"]] == ["Hi", "Hello "]
    assert [line["text"] for line in again["lines"]] == ["Hi", "Hello ", "Go on", "Another."]
