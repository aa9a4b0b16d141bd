"""The SSE client of docs/examples on Node: `fetch`, `EventSource`, and a reader of any bytes."""

from functools import partial

import pytest

from service.settings import Settings, Streams
from tests.clients.cut_lines import reading, without_a_gap
from tests.clients.nodes import program
from tests.double.answer import reasoning, tool_call
from tests.double.script import reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import question

ASKED = question("claude/auto")

page = partial(reading, "sse")


async def test_an_answer_is_folded_as_it_comes() -> None:
    async with page() as (running, _, client):
        call = tool_call("weather", "{}", call_id="call_1")
        running.double.script(reply(reasoning("Let me ", "see."), "Hello ", "you.", call))
        await client.do("ask", name="a", request=ASKED)
        seen = await client.do("ends", name="a")
    assert (seen["text"], seen["reasoning"]) == ("Hello you.", "Let me see.")
    assert seen["calls"] == [{"id": "call_1", "name": "weather", "arguments": "{}"}]
    assert (seen["status"], seen["error"]) == ("completed", None)
    assert without_a_gap(seen)


async def test_what_a_broken_provider_had_said_is_taken_back() -> None:
    gate = Gate()
    async with page("openai", "groq") as (running, _, client):
        running.double.on_provider("openai", reply("The capital", " of Fr", Wait(gate), Cut()))
        running.double.on_provider("groq", reply("Paris is", " the capital."))
        order = {"providers": ["openai", "groq"]}
        await client.do("ask", name="a", request=question("auto", latency=order))
        await client.do("shows", name="a", text="The capital of Fr")
        gate.open()
        seen = await client.do("ends", name="a")
    assert (seen["text"], seen["status"]) == ("Paris is the capital.", "completed")


async def test_an_answer_whose_connection_is_cut_goes_on_without_loss_or_repetition() -> None:
    first, second = Gate(), Gate()
    async with page() as (running, line, client):
        running.double.script(reply("Hello ", Wait(first), "you, ", Wait(second), "there?"))
        await client.do("ask", name="a", request=ASKED)
        for gate, said in ((first, "Hello "), (second, "Hello you, ")):
            await client.do("shows", name="a", text=said)
            line.cut()
            gate.open()
        seen = await client.do("ends", name="a")
        assert len(running.double.requests) == 1
    assert (seen["text"], seen["status"]) == ("Hello you, there?", "completed")
    assert without_a_gap(seen)


async def test_a_connection_that_died_without_a_word_is_replaced() -> None:
    gate = Gate()
    async with page(settings=Settings(streams=Streams(keepalive_s=0.1))) as (running, line, client):
        running.double.script(reply("Hello ", Wait(gate), "you."))
        await client.do("ask", name="a", request=ASKED, options={"silence": 500})
        await client.do("shows", name="a", text="Hello ")
        line.hush()
        gate.open()
        seen = await client.do("ends", name="a")
    assert seen["text"] == "Hello you."
    assert without_a_gap(seen)


async def test_a_request_whose_answer_was_lost_is_answered_once() -> None:
    gate = Gate()
    async with page() as (running, line, client):
        running.double.script(reply(Wait(gate), "Hello."))
        await client.do("ask", name="a", request=ASKED)
        await running.double.seen(1)
        line.cut()
        gate.open()
        seen = await client.do("ends", name="a")
        assert len(running.double.requests) == 1
    assert seen["text"] == "Hello."
    assert without_a_gap(seen)


@pytest.mark.parametrize("how", ["follow", "listen"])
async def test_another_page_follows_from_any_event_and_its_cut_connection_comes_back(
    how: str,
) -> None:
    gate = Gate()
    async with page() as (running, line, client):
        running.double.script(reply("Hello ", Wait(gate), "you."))
        await client.do("ask", name="a", request=ASKED)
        begun = await client.do("shows", name="a", text="Hello ")
        await client.do(how, name="b", stream=begun["stream"])
        await client.do("shows", name="b", text="Hello ")
        line.cut()
        gate.open()
        seen = await client.do("ended", name="b")
        assert seen["text"] == "Hello you."
        assert without_a_gap(seen)
        await client.do(how, name="c", stream=begun["stream"], options={"after": 3})
        rest = await client.do("ended", name="c")
    assert rest["seqs"] == seen["seqs"][4:]


async def test_after_the_end_there_is_nothing_more() -> None:
    async with page() as (running, _, client):
        running.double.script(reply("Hello."))
        await client.do("ask", name="a", request=ASKED)
        seen = await client.do("ends", name="a")
        last = seen["seqs"][-1][-1]
        await client.do("follow", name="b", stream=seen["stream"], options={"after": last})
        rest = await client.do("ends", name="b")
    assert (rest["seqs"], rest["error"]) == ([], None)


async def test_hanging_up_ends_nothing_and_cancelling_does() -> None:
    async with page() as (running, _, client):
        running.double.script(reply("Hello ", Wait(Gate()), "you."))
        await client.do("ask", name="a", request=ASKED)
        begun = await client.do("shows", name="a", text="Hello ")
        await client.do("hangUp", name="a")
        await client.do("ends", name="a")
        assert running.double.active == 1
        await client.do("follow", name="b", stream=begun["stream"])
        await client.do("shows", name="b", text="Hello ")
        await client.do("cancel", stream=begun["stream"])
        seen = await client.do("ends", name="b")
        await running.double.requests[0].left()
    assert (seen["text"], seen["status"]) == ("Hello ", "cancelled")


async def test_a_refused_request_is_an_error_that_names_its_field() -> None:
    async with page() as (_, __, client):
        await client.do("ask", name="a", request=ASKED | {"temperature": "hot"})
        error = (await client.do("ends", name="a"))["error"]
    assert (error["code"], error["param"]) == ("invalid_request", "temperature")


# --- The reader -----------------------------------------------------------------------------

STREAM = (
    b"\xef\xbb\xbf: a comment\r\nretry: 1000\r\n\r\n"
    b"id: 1\r\nevent: text.delta\r\ndata: Gr\xc3\xbc\xc3\x9fe\r\n\r\n"
    b"data\r\rdata:  two\ndata: lines\n\n"
    b"id: \x00\nunknown: field\ndata: \xf0\x9f\x8c\x8a\n\r\n"
    b"event: none\n\n"
    b"data: last\r\r"
)
EVENTS = [
    {"type": "text.delta", "data": "Grüße", "id": "1"},
    {"type": "message", "data": "", "id": "1"},
    {"type": "message", "data": " two\nlines", "id": "1"},
    {"type": "message", "data": "🌊", "id": "1"},
    {"type": "message", "data": "last", "id": "1"},
]


async def test_a_stream_is_read_by_the_standard_however_it_is_cut_into_chunks() -> None:
    async with program("sse", "http://nowhere.invalid") as client:
        for size in (1, 2, 3, 7, len(STREAM)):
            chunks = [list(STREAM[at : at + size]) for at in range(0, len(STREAM), size)]
            assert (await client.do("parse", chunks=chunks))["events"] == EVENTS


async def test_an_event_that_was_cut_off_is_none() -> None:
    async with program("sse", "http://nowhere.invalid") as client:
        for body in (b"data: a\n\ndata: b\n", b"data: a\n\ndata: b"):
            seen = await client.do("parse", chunks=[list(body)])
            assert [event["data"] for event in seen["events"]] == ["a"]
