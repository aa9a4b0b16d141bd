"""The openai SDK over /v1/responses: the whole service on a socket, before the double."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import FunctionToolParam, Response, ResponseInputParam
from pydantic import BaseModel

from tests.double.answer import Citation, reasoning, refusal, text, tool_call
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "description": "The weather somewhere.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
ALL = ["openai/auto", "groq/auto", "claude/sonnet", "gemini/flash"]

SIGNING = {"openai/auto", "claude/sonnet", "gemini/flash"}
"""Models whose provider signs, and wants its signature back."""


@pytest_asyncio.fixture(loop_scope="module")
async def client(service: Stack) -> AsyncIterator[AsyncOpenAI]:
    address = f"{service.url}/v1"
    async with AsyncOpenAI(base_url=address, api_key="none", max_retries=0) as client:
        yield client


async def asked(client: AsyncOpenAI, *, streams: bool, **fields: Any) -> Response:  # noqa: ANN401 - the SDK's fields
    """One response, whole or by the streaming helper."""
    fields = {"model": "openai/auto", "input": "Say hello.", **fields}
    if not streams:
        whole: Response = await client.responses.create(**fields)
        return whole
    async with client.responses.stream(**fields) as streamed:
        final: Response = await streamed.get_final_response()
    return final


async def test_a_streamed_answer_is_the_same_as_a_whole_one(
    service: Stack, client: AsyncOpenAI
) -> None:
    service.double.script(reply("Hel", "lo."), reply("Hel", "lo."))
    whole = await asked(client, streams=False)
    streamed = await client.responses.create(model="openai/auto", input="Say hello.", stream=True)
    events = [event async for event in streamed]
    said = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert said == ["Hel", "lo."]
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == whole.output_text == "Hello."
    assert events[-1].response.usage == whole.usage
    assert whole.usage is not None
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (12, 9)


async def test_the_sync_client_streams_too(service: Stack) -> None:
    service.double.script(reply("Hel", "lo."))

    def ask() -> str:
        with (
            OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client,
            client.responses.stream(model="openai/auto", input="hi") as streamed,
        ):
            return streamed.get_final_response().output_text

    assert await asyncio.to_thread(ask) == "Hello."


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("how", ["items", "previous"])
async def test_a_tool_is_called_and_answered_in_two_steps(
    service: Stack,
    client: AsyncOpenAI,
    model: str,
    how: Literal["items", "previous"],
    *,
    streams: bool,
) -> None:
    call = tool_call("weather", '{"city":', '"Oslo"}', signature="c2lnbmVk")
    service.double.script(reply(reasoning("Hm.", signature="c2lnbmVk"), call), reply("Cold."))
    fields: dict[str, Any] = {"model": model, "tools": [WEATHER]}
    if model == "claude/sonnet":
        fields["reasoning"] = {"effort": "low"}
    first = await asked(client, streams=streams, **fields)
    [made] = [item for item in first.output if item.type == "function_call"]
    assert (made.name, made.arguments) == ("weather", '{"city":"Oslo"}')
    result = {"type": "function_call_output", "call_id": made.call_id, "output": "-3 C"}
    if how == "items":
        conversation: ResponseInputParam = [{"role": "user", "content": "Say hello."}]
        given = [item.model_dump(exclude={"parsed_arguments"}) for item in first.output]
        fields["input"] = [*conversation, *given, result]
    else:
        fields |= {"input": [result], "previous_response_id": first.id}
    second = await asked(client, streams=streams, **fields)
    assert second.output_text == "Cold."
    told = service.sent(1)
    assert b"-3 C" in told
    assert b"Say hello." in told
    assert (b"c2lnbmVk" in told) is (model in SIGNING)


async def test_a_signature_goes_to_nobody_but_who_made_it(
    service: Stack, client: AsyncOpenAI
) -> None:
    call = tool_call("weather", "{}", signature="c2lnbmVk")
    service.double.script(reply(reasoning("Hm.", signature="c2lnbmVk"), call), reply("Cold."))
    thinking = {"effort": "low"}
    first = await asked(
        client, streams=True, model="claude/sonnet", tools=[WEATHER], reasoning=thinking
    )
    [made] = [item for item in first.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": made.call_id, "output": "-3 C"}
    second = await asked(
        client,
        streams=True,
        model="groq/auto",
        input=[result],
        previous_response_id=first.id,
        tools=[WEATHER],
    )
    assert second.output_text == "Cold."
    told = service.sent(1)
    assert made.call_id.encode() in told
    assert b"c2lnbmVk" not in told
    assert b"tailrace" not in told


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_answer_that_breaks_is_a_failed_response_with_what_came(
    service: Stack, client: AsyncOpenAI, how: Literal["fin", "rst"]
) -> None:
    service.double.script(reply("Hel", Cut(how)), http_error(Kind.OVERLOADED))
    streamed = await client.responses.create(model="openai/auto", input="hi", stream=True)
    events = [event async for event in streamed]
    last = events[-1]
    assert last.type == "response.failed"
    assert (last.response.status, last.response.output_text) == ("failed", "Hel")
    assert last.response.error is not None
    assert last.response.error.code == "server_error"
    assert "error" not in {event.type for event in events}


async def test_a_failure_before_any_content_is_the_sdks_own_error(
    service: Stack, client: AsyncOpenAI
) -> None:
    for streams in (True, False):
        service.double.script(http_error(Kind.RATE_LIMIT))
        with pytest.raises(openai.RateLimitError) as failure:
            await asked(client, streams=streams)
        assert failure.value.code == "rate_limit_provider"


async def test_a_client_that_leaves_closes_the_upstream(
    service: Stack, client: AsyncOpenAI
) -> None:
    gate = Gate()
    service.double.script(reply("Hel", Wait(gate), "lo."))
    streamed = await client.responses.create(model="openai/auto", input="hi", stream=True)
    async for event in streamed:
        if event.type == "response.output_text.delta":
            break
    await streamed.close()
    await service.double.requests[0].left()


async def test_a_response_is_cancelled_by_its_id(service: Stack, client: AsyncOpenAI) -> None:
    gate = Gate()
    service.double.script(reply("Hel", Wait(gate), "lo."))
    streamed = await client.responses.create(model="openai/auto", input="hi", stream=True)
    events = []
    async for event in streamed:
        events.append(event)
        if event.type == "response.output_text.delta":
            cancelled = await client.responses.cancel(events[0].response.id)
            assert (cancelled.status, cancelled.output_text) == ("cancelled", "Hel")
    assert events[-1].response.status == "cancelled"
    await service.double.requests[0].left()


async def test_a_stream_is_resumed_after_the_last_event_that_came(
    service: Stack, client: AsyncOpenAI
) -> None:
    gate = Gate()
    service.double.script(reply("Hel", Wait(gate), "lo."))
    streamed = await client.responses.create(
        model="openai/auto", input="hi", stream=True, background=True
    )
    had = []
    async for event in streamed:
        had.append(event)
        if event.type == "response.output_text.delta":
            break
    await streamed.close()
    again = await client.responses.retrieve(
        had[0].response.id, stream=True, starting_after=had[-1].sequence_number
    )
    gate.open()
    had += [event async for event in again]
    assert [event.sequence_number for event in had] == list(range(len(had)))
    said = [event.delta for event in had if event.type == "response.output_text.delta"]
    assert "".join(said) == had[-1].response.output_text == "Hello."


async def test_a_structured_answer_is_parsed(service: Stack, client: AsyncOpenAI) -> None:
    class Place(BaseModel):
        city: str

    service.double.script(reply('{"city":', '"Oslo"}'))
    async with client.responses.stream(
        model="openai/auto", input="hi", text_format=Place
    ) as streamed:
        final = await streamed.get_final_response()
    assert final.output_parsed == Place(city="Oslo")
    assert b"json_schema" in service.sent(0)


async def test_reasoning_refusals_and_sources_have_their_own_forms(
    service: Stack, client: AsyncOpenAI
) -> None:
    cited = text("It is cold.", citations=(Citation("https://a.test", "A", 0, 5),))
    service.double.script(
        reply(cited), reply(refusal("I ", "cannot.")), reply(reasoning("Hm."), "Hi.")
    )
    [message] = (await asked(client, streams=True)).output
    assert message.type == "message"
    [part] = message.content
    assert part.type == "output_text"
    assert [source.url for source in part.annotations if source.type == "url_citation"] == [
        "https://a.test"
    ]
    [declined] = (await asked(client, streams=True)).output
    assert declined.type == "message"
    assert declined.content[0].type == "refusal"
    assert declined.content[0].refusal == "I cannot."
    thought, _ = (await asked(client, streams=True, model="groq/auto")).output
    assert thought.type == "reasoning"
    assert [one.text for one in thought.content or thought.summary] == ["Hm."]


async def test_an_image_reaches_the_provider(service: Stack, client: AsyncOpenAI) -> None:
    service.double.script(reply("A dot."))
    image = {"type": "input_image", "image_url": "data:image/png;base64,aGVsbG8=", "detail": "low"}
    content = [{"type": "input_text", "text": "What is it?"}, image]
    await asked(client, streams=False, input=[{"role": "user", "content": content}])
    assert b"aGVsbG8=" in service.sent(0)


async def test_the_websocket_goes_on_from_its_own_answers(
    service: Stack, client: AsyncOpenAI
) -> None:
    call = tool_call("weather", '{"city":"Oslo"}')
    service.double.script(reply(call), reply("Cold."))
    async with client.responses.connect() as line:
        await line.response.create(
            model="openai/auto", input="Is it cold?", tools=[WEATHER], store=False, stream_id="one"
        )
        first = await _completed(line)
        [made] = first.output
        assert made.type == "function_call"
        await line.response.create(
            model="openai/auto",
            input=[{"type": "function_call_output", "call_id": made.call_id, "output": "-3 C"}],
            previous_response_id=first.id,
            tools=[WEATHER],
            store=False,
            stream_id="one",
        )
        second = await _completed(line)
    assert second.output_text == "Cold."
    assert b"Is it cold?" in service.sent(1)


async def test_an_answer_that_breaks_on_the_websocket_is_a_failed_response(
    service: Stack, client: AsyncOpenAI
) -> None:
    service.double.script(reply("Hel", Cut()))
    async with client.responses.connect() as line:
        await line.response.create(model="openai/auto", input="hi")
        async for event in line:
            if event.type == "response.failed":
                break
    assert (event.response.status, event.response.output_text) == ("failed", "Hel")


async def test_a_websocket_that_is_closed_closes_the_upstream(
    service: Stack, client: AsyncOpenAI
) -> None:
    service.double.script(reply("Hel", Wait(Gate()), "lo."))
    async with client.responses.connect() as line:
        await line.response.create(model="openai/auto", input="hi")
        async for event in line:
            if event.type == "response.output_text.delta":
                break
    await service.double.requests[0].left()


async def _completed(line: Any) -> Response:  # noqa: ANN401 - the SDK's connection
    """The response that the next events on a connection complete."""
    async for event in line:
        assert event.stream_id == "one"
        if event.type == "response.completed":
            done: Response = event.response
            return done
    raise AssertionError("the connection ended")
