"""`eventsource`, a browser's EventSource for Node, on native streams: cuts, ends and errors."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from adapters.events import SequencedEvent
from service.http.sse import RETRY_MS
from tests.clients.lines import Line
from tests.clients.nodes import program
from tests.clients.programs import Program
from tests.double.script import reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e import grammar
from tests.e2e.stack import Stack, question, stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPES = [kind.__struct_config__.tag for kind in SequencedEvent.__args__]
"""An EventSource has to be told each type that it is to listen for."""

DEFAULT_WAIT = 3000  # milliseconds
"""The package's own, where no server tells another."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Program]:
    async with program("eventsource") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def service() -> AsyncIterator[Stack]:
    async with stack("openai") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def line(service: Stack, node: Program) -> AsyncIterator[Line]:
    """Between the page and the service."""
    async with Line(service.url) as line:
        yield line
        await node.do("close")
        await node.do("leave")


async def begun(service: Stack) -> str:
    """The address of a stream that was asked for and left."""
    async with service.post(question("openai/auto", open_early_ms=0)) as response:
        return f"/v1/streams/{response.headers['Tailrace-Stream-Id']}"


def said(seen: dict[str, Any]) -> str:
    return "".join(each["data"].get("delta", "") for each in seen["events"])


def whole(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a stream that was told to its end, each once and each under its own cursor."""
    events = [each["data"] for each in seen["events"]]
    assert [event["seq"] for event in events] == list(range(len(events)))
    for each in seen["events"]:
        assert each["id"] == f"{each['data']['stream']}:{each['data']['seq']}"
        assert each["type"] == each["data"]["type"]
    grammar.check(events)
    return events


async def test_a_stream_is_told_once_and_then_is_over(
    service: Stack, line: Line, node: Program
) -> None:
    service.double.script(reply("Hel", "lo."))
    await node.do("open", url=line.url + await begun(service), types=TYPES)
    seen = await node.do("over")
    assert whole(seen)[-1]["status"] == "completed"
    assert said(seen) == "Hello."
    assert seen["errors"] == [None, 204], "it came back once, to be told that there is no more"


async def test_a_line_that_is_cut_again_and_again_loses_no_event_and_repeats_none(
    service: Stack, line: Line, node: Program
) -> None:
    gates = [Gate() for _ in range(3)]
    words = ["One ", "two ", "three "]
    pieces = [each for pair in zip(words, map(Wait, gates), strict=True) for each in pair]
    service.double.script(reply(*pieces, "four."))
    await node.do("open", url=line.url + await begun(service), types=TYPES)
    for word, gate in zip(words, gates, strict=True):
        await node.do("until", text=word)
        line.cut()
        gate.open()
    seen = await node.do("over")
    assert whole(seen)[-1]["status"] == "completed"
    assert said(seen) == "One two three four."
    assert seen["errors"][-1] == 204
    assert len(seen["errors"]) > len(gates)
    assert len(service.double.requests) == 1


async def test_it_waits_as_long_as_it_is_told_before_it_comes_back(
    service: Stack, line: Line, node: Program
) -> None:
    service.double.script(reply("Hel", Wait(gate := Gate()), "lo."))
    await node.do("open", url=line.url + await begun(service), types=TYPES)
    await node.do("until", text="Hel")
    line.cut()
    gate.open()
    waits = (await node.do("over"))["waits"]
    assert all(RETRY_MS[0] <= wait <= RETRY_MS[1] for wait in waits)
    assert len(waits) > 1
    assert set(waits) != {DEFAULT_WAIT}


async def test_an_answer_that_breaks_says_so_in_its_last_event(
    service: Stack, line: Line, node: Program
) -> None:
    service.double.script(reply("Hel", Cut()))
    await node.do("open", url=line.url + await begun(service), types=TYPES)
    seen = await node.do("over")
    end = whole(seen)[-1]
    assert (end["status"], end["error"]["code"]) == ("failed", "stream_interrupted")
    assert (said(seen), seen["errors"][-1]) == ("Hel", 204)


async def test_an_answer_that_is_cancelled_says_so_too(
    service: Stack, line: Line, node: Program
) -> None:
    service.double.script(reply("Hel", Wait(Gate()), "lo."))
    path = await begun(service)
    await node.do("open", url=line.url + path, types=TYPES)
    await node.do("until", text="Hel")
    async with service.client.post(f"{service.url}{path}/cancel") as response:
        assert response.status == 202
    assert whole(await node.do("over"))[-1]["status"] == "cancelled"
    await service.double.requests[0].left()


async def test_a_stream_that_is_not_there_is_not_asked_for_again(line: Line, node: Program) -> None:
    await node.do("open", url=f"{line.url}/v1/streams/st_01KB0000000000000000000000", types=TYPES)
    seen = await node.do("over")
    assert (seen["events"], seen["errors"], seen["waits"]) == ([], [404], [])
