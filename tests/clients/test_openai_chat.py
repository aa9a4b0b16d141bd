"""The openai SDK over /v1/chat/completions: the whole service on a socket, before the double."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import (
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    ChatCompletionToolParam,
)

from tests.double.answer import Citation, Tokens, reasoning, refusal, text, tool_call
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAID: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello."}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather somewhere.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}

SIGNING = {"claude/sonnet", "gemini/flash", "openai/auto"}
"""Models whose provider signs, and wants its signature back."""


async def until_it_raised(
    streamed: openai.AsyncStream[ChatCompletionChunk],
) -> tuple[str, openai.APIError]:
    """What a stream said before it raised, and what it raised."""
    said = ""
    try:
        async for chunk in streamed:
            said += chunk.choices[0].delta.content or ""
    except openai.APIError as failure:
        return said, failure
    pytest.fail("a broken answer passed for a whole one")


@pytest_asyncio.fixture(loop_scope="module")
async def client(service: Stack) -> AsyncIterator[AsyncOpenAI]:
    address = f"{service.url}/v1"
    async with AsyncOpenAI(base_url=address, api_key="none", max_retries=0) as client:
        yield client


async def test_a_streamed_answer_is_the_same_as_a_whole_one(
    service: Stack, client: AsyncOpenAI
) -> None:
    service.double.script(reply("Hel", "lo."), reply("Hel", "lo."))
    whole = await client.chat.completions.create(model="openai/auto", messages=SAID)
    chunks = [
        chunk
        async for chunk in await client.chat.completions.create(
            model="openai/auto",
            messages=SAID,
            stream=True,
            stream_options={"include_usage": True},
        )
    ]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert said == whole.choices[0].message.content == "Hello."
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (12, 9)
    assert whole.id.startswith("chatcmpl-")
    assert len({chunk.id for chunk in chunks}) == 1


async def test_usage_comes_only_where_it_is_asked_for(service: Stack, client: AsyncOpenAI) -> None:
    service.double.script(reply("Hello."))
    streamed = await client.chat.completions.create(model="auto", messages=SAID, stream=True)
    assert not [chunk async for chunk in streamed if chunk.usage or not chunk.choices]


async def test_the_sync_client_streams_too(service: Stack) -> None:
    service.double.script(reply("Hel", "lo."))

    def ask() -> str:
        with OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
            streamed = client.chat.completions.create(model="auto", messages=SAID, stream=True)
            return "".join(chunk.choices[0].delta.content or "" for chunk in streamed)

    assert await asyncio.to_thread(ask) == "Hello."


async def test_the_streaming_helper_gives_text_reasoning_and_both_calls(
    service: Stack, client: AsyncOpenAI
) -> None:
    calls = [tool_call("weather", '{"city":', f'"{city}"}}') for city in ("Oslo", "Rome")]
    service.double.script(reply(reasoning("Hm", "m."), "Let me ", "look.", *calls))
    async with client.chat.completions.stream(
        model="groq/auto",
        messages=SAID,
        tools=[WEATHER],
    ) as streamed:
        done = [
            (event.name, event.arguments)
            async for event in streamed
            if event.type == "tool_calls.function.arguments.done"
        ]
        final = await streamed.get_final_completion()
    message = final.choices[0].message
    assert message.content == "Let me look."
    assert getattr(message, "reasoning_content", None) == "Hmm."
    assert final.choices[0].finish_reason == "tool_calls"
    assert done == [("weather", '{"city":"Oslo"}'), ("weather", '{"city":"Rome"}')]
    assert [call.function.parsed_arguments for call in message.tool_calls or []] == [
        {"city": "Oslo"},
        {"city": "Rome"},
    ]


@pytest.mark.parametrize("model", ["openai/auto", "groq/auto", "claude/sonnet", "gemini/flash"])
@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
async def test_a_tool_is_called_and_answered_in_two_steps(
    service: Stack, client: AsyncOpenAI, model: str, *, streams: bool
) -> None:
    call = tool_call("weather", '{"city":', '"Oslo"}', signature="c2lnbmVk")
    service.double.script(reply(reasoning("Hm.", signature="c2lnbmVk"), call), reply("Cold."))
    conversation = list(SAID)
    message = await _answer(client, model, conversation, streams=streams)
    [made] = message["tool_calls"]
    assert (made["function"]["name"], made["function"]["arguments"]) == (
        "weather",
        '{"city":"Oslo"}',
    )
    conversation.append(message)  # type: ignore[arg-type]  # as the SDK itself dumps it
    conversation.append({"role": "tool", "tool_call_id": made["id"], "content": "-3 C"})
    told = await _answer(client, model, conversation, streams=streams)
    assert told["content"] == "Cold."
    second = service.sent(1)
    assert b"-3 C" in second
    assert (b"c2lnbmVk" in second) is (model in SIGNING)


async def test_a_signature_goes_to_nobody_but_who_made_it(
    service: Stack, client: AsyncOpenAI
) -> None:
    call = tool_call("weather", "{}", signature="c2lnbmVk")
    service.double.script(reply(reasoning("Hm.", signature="c2lnbmVk"), call), reply("Cold."))
    message = await _answer(client, "claude/sonnet", SAID, streams=False)
    [made] = message["tool_calls"]
    conversation: list[Any] = [
        *SAID,
        message,
        {"role": "tool", "tool_call_id": made["id"], "content": "-3 C"},
    ]
    told = await _answer(client, "groq/auto", conversation, streams=True)
    assert told["content"] == "Cold."
    second = service.sent(1)
    assert made["id"].encode() in second
    assert b"c2lnbmVk" not in second
    assert b"tailrace" not in second


async def _answer(
    client: AsyncOpenAI,
    model: str,
    messages: list[ChatCompletionMessageParam],
    *,
    streams: bool,
) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": model, "messages": messages, "tools": [WEATHER]}
    if model == "claude/sonnet":
        asked["reasoning_effort"] = "low"
    if not streams:
        whole = await client.chat.completions.create(**asked)
        return whole.choices[0].message.model_dump(exclude_none=True)
    async with client.chat.completions.stream(**asked) as streamed:
        final = await streamed.get_final_completion()
    parsed = {"parsed": True, "tool_calls": {"__all__": {"function": {"parsed_arguments"}}}}
    return final.choices[0].message.model_dump(exclude_none=True, exclude=parsed)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_answer_that_breaks_raises_after_what_came(
    service: Stack, client: AsyncOpenAI, how: Literal["fin", "rst"]
) -> None:
    service.double.script(reply("Hel", Cut(how)), http_error(Kind.OVERLOADED))
    streamed = await client.chat.completions.create(model="openai/auto", messages=SAID, stream=True)
    said, failure = await until_it_raised(streamed)
    assert said == "Hel"
    assert failure.code == "stream_interrupted"


async def test_a_whole_answer_that_broke_is_started_again_by_another_provider(
    service: Stack, client: AsyncOpenAI
) -> None:
    service.double.script(reply("Hel", Cut("rst")), reply("Hello."))
    whole = await client.chat.completions.with_raw_response.create(model="auto", messages=SAID)
    assert whole.parse().choices[0].message.content == "Hello."
    assert whole.headers["Tailrace-Provider"] in {"openai", "groq", "claude", "gemini"}
    assert len(service.double.requests) == 2


async def test_a_failure_before_any_content_is_the_sdks_own_error(
    service: Stack, client: AsyncOpenAI
) -> None:
    for streams in (True, False):
        service.double.script(http_error(Kind.RATE_LIMIT))
        with pytest.raises(openai.RateLimitError) as failure:
            await client.chat.completions.create(
                model="openai/auto",
                messages=SAID,
                stream=streams,
            )
        assert failure.value.code == "rate_limit_provider"
        assert failure.value.type == "rate_limit_error"


async def test_the_sdk_tries_again_what_may_pass_and_nothing_else(
    service: Stack, client: AsyncOpenAI
) -> None:
    patient = client.with_options(max_retries=1)
    service.double.script(http_error(Kind.OVERLOADED), reply("Hello."))
    whole = await patient.chat.completions.create(model="openai/auto", messages=SAID)
    assert whole.choices[0].message.content == "Hello."
    service.double.script(http_error(Kind.AUTH), reply("Hello."))
    with pytest.raises(openai.InternalServerError) as failure:
        await patient.chat.completions.create(model="openai/auto", messages=SAID)
    assert failure.value.code == "auth_provider"
    assert len(service.double.requests) == 3


async def test_a_bad_request_names_its_field(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as failure:
        await client.chat.completions.create(model="auto", messages=SAID, n=2)
    assert (failure.value.param, failure.value.type) == ("n", "invalid_request_error")


async def test_a_client_that_leaves_closes_the_upstream(
    service: Stack, client: AsyncOpenAI
) -> None:
    gate = Gate()
    service.double.script(reply("Hel", Wait(gate), "lo."))
    streamed = await client.chat.completions.create(model="openai/auto", messages=SAID, stream=True)
    async for chunk in streamed:
        if chunk.choices[0].delta.content == "Hel":
            break
    await streamed.close()
    await service.double.requests[0].left()


async def test_a_structured_answer_is_parsed(service: Stack, client: AsyncOpenAI) -> None:
    service.double.script(reply('{"city":', '"Oslo"}'))
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    answer = await client.chat.completions.create(
        model="openai/auto",
        messages=SAID,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "place", "schema": schema, "strict": True},
        },
    )
    assert answer.choices[0].message.content == '{"city":"Oslo"}'
    assert b"json_schema" in service.sent(0)


async def test_a_refusal_is_told_apart_from_an_answer(service: Stack, client: AsyncOpenAI) -> None:
    service.double.script(reply(refusal("I ", "cannot.")), reply(refusal("I ", "cannot.")))
    whole = await client.chat.completions.create(model="openai/auto", messages=SAID)
    async with client.chat.completions.stream(model="openai/auto", messages=SAID) as streamed:
        final = await streamed.get_final_completion()
    for choice in (whole.choices[0], final.choices[0]):
        assert (choice.message.refusal, choice.message.content) == ("I cannot.", None)
        assert choice.finish_reason == "stop"


async def test_sources_are_annotations_of_the_message(service: Stack, client: AsyncOpenAI) -> None:
    cited = text("It is cold.", citations=(Citation("https://a.test", "A", 0, 5),))
    service.double.script(reply(cited), reply(cited))
    whole = await client.chat.completions.create(model="openai/auto", messages=SAID)
    annotations = whole.choices[0].message.annotations or []
    assert [each.url_citation.url for each in annotations] == ["https://a.test"]
    async with client.chat.completions.stream(model="openai/auto", messages=SAID) as streamed:
        final = await streamed.get_final_completion()
    assert final.choices[0].message.annotations == annotations


async def test_an_image_reaches_the_provider(service: Stack, client: AsyncOpenAI) -> None:
    service.double.script(reply("A dot."))
    await client.chat.completions.create(
        model="openai/auto",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}},
                ],
            }
        ],
    )
    assert b"aGVsbG8=" in service.sent(0)


async def test_routing_rides_in_headers_or_metadata(service: Stack, client: AsyncOpenAI) -> None:
    service.double.script(reply("a"), reply("b"))
    for how in (
        {"extra_headers": {"Tailrace-Latency": '{"strategy":"normal","providers":["groq"]}'}},
        {"metadata": {"tailrace_latency": '{"strategy":"normal","providers":["groq"]}'}},
    ):
        raw = await client.chat.completions.with_raw_response.create(
            model="auto",
            messages=SAID,
            **how,  # type: ignore[arg-type]  # one of two
        )
        assert raw.headers["Tailrace-Provider"] == "groq"


async def test_models_are_listed_and_found_by_their_names(client: AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert {"auto", "auto:analysis", "claude/sonnet", "groq/auto"} <= set(names)
    for name in ("auto:analysis@premium", "claude/sonnet", "groq/qwen/qwen3-32b"):
        assert (await client.models.retrieve(name)).id == name
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("nobodys")


async def test_tokens_arrive_one_by_one(service: Stack, client: AsyncOpenAI) -> None:
    gate = Gate()
    service.double.script(reply("Hel", Wait(gate), "lo.", tokens=Tokens(output=2)))
    streamed = await client.chat.completions.create(model="openai/auto", messages=SAID, stream=True)
    said: list[str] = []
    async for chunk in streamed:
        said.append(chunk.choices[0].delta.content or "")
        gate.open()
    assert said == ["Hel", "lo.", ""]
