"""`useChat` on a page in React: an answer grows on it, and a page opened anew goes on with it."""

import pytest

from tests.clients.lines import Line
from tests.clients.nodes import program
from tests.double.script import reply
from tests.double.steps import Gate, Wait
from tests.e2e.stack import stack

pytestmark = pytest.mark.parametrize("transport", ["http", "websocket"])


async def test_a_page_shows_an_answer_as_it_grows_and_is_ready_for_another(transport: str) -> None:
    gate = Gate()
    async with stack("claude") as running, program("page", transport, running.url) as page:
        running.double.script(reply("Hello ", Wait(gate), "you."), reply("Again."))
        await page.do("open", id="chat-1")
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


async def test_a_page_opened_anew_goes_on_with_the_answer_in_its_own_place(transport: str) -> None:
    gate = Gate()
    async with stack("claude") as running, Line(running.url) as line:
        running.double.script(reply("Hello ", Wait(gate), "you."))
        async with program("page", transport, line.url) as page:
            await page.do("open", id="chat-1")
            await page.do("send", text="Hi")
            before = await page.do("shows", text="Hello")
        async with program("page", transport, line.url) as page:
            await page.do("open", id="chat-1", messages=before["messages"], resume=True)
            gate.open()
            await page.do("shows", text="Hello you.")
            seen = await page.do("becomes", status="ready")
        assert len(running.double.requests) == 1
    assert [line["text"] for line in seen["lines"]] == ["Hi", "Hello you."]
    assert [line["id"] for line in seen["lines"]] == [line["id"] for line in before["lines"]]
