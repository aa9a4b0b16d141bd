"""A response that one process made, come back to and gone on from in another; OpenAI's client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from openai import BadRequestError, NotFoundError
from openai.types.responses import Response

from adapters.errors import RequestError
from adapters.events import Status
from adapters.request import MAX_MESSAGES
from service.dialects.responses_resource import stream_id
from service.http.earlier_responses import EarlierResponses
from service.streams.question import LARGEST
from tests.double.steps import Gate
from tests.service.http.relays import Elsewhere, relays
from tests.service.http.responding import MODEL, Bench, calling, responding
from tests.service.scripted import Scripted, chat
from tests.service.usage.servers import until

TOOL = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": False}
PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}


class Pair(NamedTuple):
    """Two processes' services, and what is between them."""

    here: Bench
    there: Bench
    between: Elsewhere


@asynccontextmanager
async def pair(folder: Path, provider: Scripted, *, ttl: float = 600) -> AsyncIterator[Pair]:
    async with (
        relays(folder, provider, ttl=ttl) as between,
        responding(provider, relay=between.relays[0]) as here,
        responding(provider, relay=between.relays[1]) as there,
    ):
        yield Pair(here, there, between)


async def answered(bench: Bench, **body: object) -> Response:
    response = await bench.client.responses.create(model=MODEL, **{"input": "hi", **body})
    assert isinstance(response, Response)
    return response


def said(provider: Scripted) -> list[tuple[str, object]]:
    """The messages of the last request that went out."""
    return [(one["role"], one.get("content")) for one in provider.sent[-1].body["messages"]]


async def refused(bench: Bench, response: str) -> str:
    """Why it cannot be gone on from, in the words that clients know."""
    with pytest.raises(BadRequestError) as caught:
        await answered(bench, previous_response_id=response)
    return f"{caught.value.code}: {caught.value.message}"


async def test_a_response_of_one_process_is_gone_on_from_in_another(tmp_path: Path) -> None:
    provider = Scripted(*chat("four"))
    question = {"role": "user", "content": [{"type": "input_text", "text": "2+2?"}, PICTURE]}
    async with pair(tmp_path, provider) as (here, there, _):
        first = await answered(here, input=[question], instructions="Be brief.")
        second = await answered(there, input="twice?", previous_response_id=first.id)
        assert [role for role, _ in said(provider)] == ["user", "assistant", "user"]
        await answered(here, input="thrice?", previous_response_id=second.id)
    shown = {"url": PICTURE["image_url"], "detail": "low"}
    assert said(provider) == [
        ("user", [{"type": "text", "text": "2+2?"}, {"type": "image_url", "image_url": shown}]),
        ("assistant", "four"),
        ("user", "twice?"),
        ("assistant", "four"),
        ("user", "thrice?"),
    ]


async def test_one_that_has_just_been_told_whole_is_gone_on_from_at_once(tmp_path: Path) -> None:
    provider = Scripted(*chat(*"Hello"))
    async with pair(tmp_path, provider) as (here, there, _):
        asks, previous = [here, there] * 5, None
        for bench in asks:
            more = {} if previous is None else {"previous_response_id": previous}
            stream = await bench.client.responses.create(
                model=MODEL, input="hi", stream=True, **more
            )
            previous = [event async for event in stream][-1].response.id
    assert len(said(provider)) == 2 * len(asks) - 1


async def test_a_tool_is_called_in_one_process_and_answered_in_another(tmp_path: Path) -> None:
    provider = Scripted(*calling("call_1", "add", '{"a":1}'))
    async with pair(tmp_path, provider) as (here, there, _):
        first = await answered(here, tools=[TOOL])
        (call,) = first.output
        assert call.type == "function_call"
        provider.pieces = chat("two")
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "2"}
        second = await answered(there, input=[result], previous_response_id=first.id, tools=[TOOL])
        assert second.output_text == "two"
        third = await answered(here, input="sure?", previous_response_id=second.id)
    assert third.output_text == "two"
    assert [role for role, _ in said(provider)] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]


async def test_an_item_of_another_process_is_referred_to_by_its_name(tmp_path: Path) -> None:
    provider = Scripted(*chat("four"))
    async with pair(tmp_path, provider) as (here, there, _):
        items: list[object] = []
        for number in range(3):
            first = await answered(here, input=f"{number}?")
            items += [
                {"role": "user", "content": f"{number}?"},
                {"type": "item_reference", "id": first.output[0].id},
            ]
        await answered(there, input=[*items, {"role": "user", "content": "Sure?"}])
    asked = [content for role, content in said(provider) if role == "user"]
    assert asked == ["0?", "1?", "2?", "Sure?"]
    assert len(said(provider)) == 7


async def test_a_response_is_shown_elsewhere_as_it_was_asked(tmp_path: Path) -> None:
    async with pair(tmp_path, Scripted(*chat("four"))) as (here, there, _):
        first = await answered(
            here, instructions="Be brief.", tools=[TOOL], temperature=0.5, metadata={"a": "b"}
        )
        await there.relay.caught_up(await there.relay.find(stream_id(first.id)))
        assert await there.client.responses.retrieve(first.id) == first


async def test_a_response_is_gone_on_from_over_a_websocket_of_another(tmp_path: Path) -> None:
    provider = Scripted(*chat("four"))
    async with pair(tmp_path, provider) as (here, there, _):
        first = await answered(here, input="2+2?")
        async with there.client.responses.connect() as line:
            await line.response.create(model=MODEL, input="twice?", previous_response_id=first.id)
            async for event in line:
                if event.type == "response.completed":
                    second = event.response.id
                    break
        await answered(here, input="thrice?", previous_response_id=second)
    assert [content for role, content in said(provider) if role == "user"] == [
        "2+2?",
        "twice?",
        "thrice?",
    ]


async def test_a_response_under_way_elsewhere_is_not_gone_on_from_but_cancelled(
    tmp_path: Path,
) -> None:
    gate = Gate()
    async with pair(tmp_path, Scripted(*chat("a", gate))) as (here, there, _):
        stream = await here.client.responses.create(model=MODEL, input="hi", stream=True)
        events = aiter(stream)
        response = (await anext(events)).response.id
        assert "in progress" in await refused(there, response)
        cancelled = await there.client.responses.cancel(response)
        assert (cancelled.status, cancelled.output_text) == ("cancelled", "a")
        last = [event async for event in events][-1]
        assert (last.type, last.response.status) == ("response.failed", "cancelled")
        end = here.relay.store.get(stream_id(response)).log.end
        assert end is not None
        assert end.status is Status.CANCELLED
        assert (await refused(there, response)).startswith("previous_response_not_found")


async def test_of_a_response_that_was_not_to_be_stored_nothing_is_known_elsewhere(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path, Scripted(*chat("four"))) as (here, there, between):
        first = await answered(here, input="My secret?", instructions="Hush.", store=False)
        kept = await answered(here, input="No secret.")
        await there.relay.caught_up(await there.relay.find(stream_id(kept.id)))
        assert await between.holds(b"No secret.")
        assert not await between.holds(b"My secret?")
        assert not await between.holds(b"Hush.")
        assert (await refused(there, first.id)).startswith("previous_response_not_found")
        with pytest.raises(NotFoundError):
            await there.client.responses.retrieve(first.id)


async def test_what_is_too_long_to_be_kept_elsewhere_is_shown_there_and_not_gone_on_from(
    tmp_path: Path,
) -> None:
    provider = Scripted(*chat("four"))
    half = "x" * (LARGEST // 3)
    async with pair(tmp_path, provider) as (here, there, _):
        previous: dict[str, str] = {}
        for _ in range(4):
            first = await answered(here, input=half, **previous)
            previous = {"previous_response_id": first.id}
        assert len(said(provider)) == 7
        assert "too long to be kept" in await refused(there, first.id)
        assert (await there.client.responses.retrieve(first.id)).output_text == "four"


async def test_a_response_of_a_process_that_died_is_gone_on_from(tmp_path: Path) -> None:
    provider = Scripted(*chat("four"))
    async with pair(tmp_path, provider) as (here, there, between):
        first = await answered(here)
        await between.processes[0].copied()
        await between.processes[0].dies()
        await answered(there, previous_response_id=first.id)
    assert len(said(provider)) == 3


async def test_what_was_asked_lies_in_redis_no_longer_than_the_stream(tmp_path: Path) -> None:
    async with pair(tmp_path, Scripted(*chat("four")), ttl=0.3) as (here, there, between):
        first = await answered(here, input="How much is it?")
        await between.processes[0].copied()

        async def gone() -> bool:
            return not await between.holds(b"How much")

        await until(gone)
        assert (await refused(there, first.id)).startswith("previous_response_not_found")


async def test_without_redis_responses_are_known_where_they_were_asked(tmp_path: Path) -> None:
    provider = Scripted(*chat("four"))
    async with pair(tmp_path, provider) as (here, there, between):
        first = await answered(here)
        await between.processes[0].copied()
        await between.server.kill()
        async with asyncio.timeout(10):
            assert (await refused(there, first.id)).startswith("previous_response_not_found")
            second = await answered(here, previous_response_id=first.id)
        await between.server.start()  # empty
        await answered(here, previous_response_id=second.id)
        fresh = await answered(here, input="2+2?")
        await between.processes[0].copied()
        await answered(there, previous_response_id=fresh.id)
    assert [content for _, content in said(provider)] == ["2+2?", "four", "hi"]


async def test_no_more_responses_are_looked_up_than_a_conversation_has() -> None:
    items = [{"type": "item_reference", "id": f"msg_{n:026}_0"} for n in range(MAX_MESSAGES + 1)]
    async with responding(Scripted()) as bench:
        earlier = EarlierResponses(bench.relay)
        with pytest.raises(RequestError, match="input: 2001 earlier responses are named"):
            await earlier.named_in({"input": items})
        told = await earlier.named_in({"input": items[1:]})
        with pytest.raises(RequestError, match="not found"):
            told(f"resp_{1:026}")
