"""The anthropic SDK over /v1/messages: the whole service on a socket, before the double."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Literal

import anthropic
import orjson
import pytest
import pytest_asyncio
from anthropic import Anthropic, AsyncAnthropic, beta_async_tool
from anthropic.types import Message, MessageParam, ToolParam

from tests.double.answer import Citation, Tokens, reasoning, refusal, text, tool_call
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAID: list[MessageParam] = [{"role": "user", "content": "Say hello."}]
WEATHER: ToolParam = {
    "name": "weather",
    "description": "The weather somewhere.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
PROOF = "c2lnbmVk"
"""What a provider signs with."""

SONNET, FLASH, GPT, GROQ = "claude/sonnet", "gemini/flash", "openai/auto", "groq/auto"


@pytest_asyncio.fixture(loop_scope="module")
async def client(service: Stack) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=service.url, api_key="none", max_retries=0) as client:
        yield client


async def answer(
    client: AsyncAnthropic,
    model: str,
    messages: list[MessageParam] = SAID,
    **fields: Any,  # noqa: ANN401 - as the SDK takes them
) -> Message:
    """A streamed answer, put together by the SDK."""
    fields = {"max_tokens": 4096} | fields
    async with client.messages.stream(model=model, messages=messages, **fields) as streamed:
        return await streamed.get_final_message()


def turn(message: Message) -> MessageParam:
    """An answer as it goes back."""
    content: Any = [block.model_dump(exclude_none=True) for block in message.content]
    for block in content:
        block.pop("parsed_output", None)
    return {"role": "assistant", "content": content}


# --- Answers --------------------------------------------------------------------------------


async def test_a_streamed_answer_is_the_same_as_a_whole_one(
    service: Stack, client: AsyncAnthropic
) -> None:
    service.double.script(reply("Hel", "lo."), reply("Hel", "lo."))
    streamed = await answer(client, SONNET)
    whole = await client.messages.create(model=SONNET, max_tokens=100, messages=SAID)
    assert [block.text for block in whole.content if block.type == "text"] == ["Hello."]
    assert turn(streamed) == turn(whole)
    assert streamed.stop_reason == whole.stop_reason == "end_turn"
    assert whole.usage.model_dump() == streamed.usage.model_dump()
    assert (whole.usage.input_tokens, whole.usage.cache_read_input_tokens) == (8, 4)
    assert whole.usage.output_tokens == 9
    assert (whole.id[:4], whole.model) == ("msg_", SONNET)


async def test_the_sync_client_streams_too(service: Stack) -> None:
    service.double.script(reply("Hel", "lo."))

    def ask() -> str:
        with (
            Anthropic(base_url=service.url, api_key="none", max_retries=0) as client,
            client.messages.stream(model="auto", max_tokens=100, messages=SAID) as streamed,
        ):
            return "".join(streamed.text_stream)

    assert await asyncio.to_thread(ask) == "Hello."


async def test_tokens_arrive_one_by_one(service: Stack, client: AsyncAnthropic) -> None:
    gate = Gate()
    service.double.script(reply("Hel", Wait(gate), "lo.", tokens=Tokens(output=2)))
    said: list[str] = []
    async with client.messages.stream(model=GPT, max_tokens=100, messages=SAID) as streamed:
        async for words in streamed.text_stream:
            said.append(words)
            gate.open()
    assert said == ["Hel", "lo."]


async def test_an_agent_s_request_is_taken_with_all_it_brings(
    service: Stack, client: AsyncAnthropic
) -> None:
    service.double.script(reply("Hello."))
    cached: Any = {"type": "ephemeral", "ttl": "1h"}
    tools: list[Any] = [
        {**WEATHER, "name": f"tool_{number}", "cache_control": cached} for number in range(40)
    ]
    async with client.beta.messages.stream(
        model="auto",
        max_tokens=32_000,
        betas=["claude-code-20250219", "interleaved-thinking-2025-05-14"],
        system=[
            {"type": "text", "text": f"Instruction {number}.", "cache_control": cached}
            for number in range(12)
        ],
        messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        tools=tools,
        metadata={"user_id": "user_0_account__session_1"},
        thinking={"type": "adaptive"},
        extra_body={"context_management": {"edits": []}, "output_config": {"effort": "medium"}},
        extra_headers={"x-app": "cli", "anthropic-dangerous-direct-browser-access": "true"},
    ) as streamed:
        message = await streamed.get_final_message()
    assert message.stop_reason == "end_turn"
    assert b"Instruction 0.\\n\\nInstruction 1." in service.sent()
    assert b"tool_39" in service.sent()


async def test_an_image_reaches_the_provider(service: Stack, client: AsyncAnthropic) -> None:
    service.double.script(reply("A dot."))
    source: Any = {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}
    await answer(client, GPT, [{"role": "user", "content": [{"type": "image", "source": source}]}])
    assert b"aGVsbG8=" in service.sent()


async def test_a_refusal_is_text_and_a_reason(service: Stack, client: AsyncAnthropic) -> None:
    service.double.script(reply(refusal("I ", "cannot.")))
    message = await answer(client, GPT)
    assert message.content[0].type == "text"
    assert (message.content[0].text, message.stop_reason) == ("I cannot.", "refusal")


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
async def test_sources_are_citations(
    service: Stack, client: AsyncAnthropic, *, streams: bool
) -> None:
    cited = text("It is cold.", citations=(Citation("https://a.test", "A", 0, 5),))
    service.double.script(reply(cited))
    if streams:
        message = await answer(client, SONNET)
    else:
        message = await client.messages.create(model=SONNET, max_tokens=9, messages=SAID)
    (block,) = message.content
    assert block.type == "text"
    assert [getattr(each, "url", None) for each in block.citations or []] == ["https://a.test"]


async def test_tokens_are_counted_before_they_are_sent(
    service: Stack, client: AsyncAnthropic
) -> None:
    counted = await client.messages.count_tokens(model="auto", messages=SAID, tools=[WEATHER])
    assert counted.input_tokens > 20
    assert service.double.requests == []


async def test_routing_rides_in_headers(service: Stack, client: AsyncAnthropic) -> None:
    service.double.script(reply("a"))
    raw = await client.messages.with_raw_response.create(
        model="auto",
        max_tokens=9,
        messages=SAID,
        extra_headers={"Tailrace-Latency": '{"strategy":"normal","providers":["groq"]}'},
    )
    assert raw.headers["Tailrace-Provider"] == "groq"


# --- Tools and thinking ---------------------------------------------------------------------


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
async def test_the_sdks_own_tool_runner_goes_round(
    service: Stack, client: AsyncAnthropic, *, streams: bool
) -> None:
    asked: list[str] = []

    @beta_async_tool
    async def weather(city: str) -> str:
        """The weather somewhere.

        Args:
            city: Where.
        """
        asked.append(city)
        if city == "Rome":
            raise ValueError("no weather in Rome")
        return "-3 C"

    calls = [tool_call("weather", '{"city":', f'"{city}"}}') for city in ("Oslo", "Rome")]
    service.double.script(reply("Let me see.", *calls), reply("Cold."))
    runner: Any = client.beta.messages.tool_runner(
        model=GROQ, max_tokens=100, messages=SAID, tools=[weather], stream=streams
    )
    final: Any = await runner.until_done()
    assert final.content[0].text == "Cold."
    assert sorted(asked) == ["Oslo", "Rome"]
    assert len(service.double.requests) == 2
    body = orjson.loads(service.sent())
    results = dict(_results(body))
    assert set(dict(_calls(body))) == set(results), "the calls did not come with their results"
    assert "-3 C" in results.values()
    assert b"Error: " in service.sent()


@pytest.mark.parametrize("model", [SONNET, FLASH])
async def test_thinking_and_its_signature_come_back_to_who_made_them(
    service: Stack, client: AsyncAnthropic, model: str
) -> None:
    call = tool_call("weather", '{"city":', '"Oslo"}', signature=PROOF)
    service.double.script(reply(reasoning("Hm", "m.", signature=PROOF), call), reply("Cold."))
    fields: Any = {
        "tools": [WEATHER],
        "thinking": {"type": "enabled", "budget_tokens": 2048},
    }
    message = await answer(client, model, **fields)
    thoughts = [block for block in message.content if block.type == "thinking"]
    assert "".join(block.thinking for block in thoughts) == "Hmm."
    assert PROOF not in str(message)
    await answer(client, model, [*SAID, turn(message), results(message)], **fields)
    assert PROOF.encode() in service.sent()
    assert b"tailrace" not in service.sent()


async def test_a_withheld_thought_comes_back_too(service: Stack, client: AsyncAnthropic) -> None:
    service.double.script(reply(reasoning(redacted=PROOF), "Hello."), reply("Again."))
    fields: Any = {"thinking": {"type": "adaptive"}}
    message = await answer(client, SONNET, **fields)
    assert [block.type for block in message.content] == ["redacted_thinking", "text"]
    again: MessageParam = {"role": "user", "content": "Again?"}
    await answer(client, SONNET, [*SAID, turn(message), again], **fields)
    assert b'{"type":"redacted_thinking","data":"c2lnbmVk"}' in service.sent()


def results(message: Message) -> MessageParam:
    """A result for every call of a message, each with its own words."""
    answers: Any = [
        {"type": "tool_result", "tool_use_id": block.id, "content": f"result of {block.id}"}
        for block in message.content
        if block.type == "tool_use"
    ]
    return {"role": "user", "content": answers}


async def test_a_conversation_goes_on_while_the_answering_provider_changes(
    service: Stack, client: AsyncAnthropic
) -> None:
    """Each turn calls two tools; every later provider gets all calls with their own results."""
    conversation = list(SAID)
    fields: Any = {
        "tools": [WEATHER],
        "thinking": {"type": "enabled", "budget_tokens": 2048},
    }
    calls: dict[str, object] = {}
    for number, model in enumerate((GPT, SONNET, FLASH, GROQ, SONNET)):
        proof = f"proof{number}"
        made = [
            tool_call(
                "weather",
                '{"city": ',
                f'"{city} {number}"}}',
                call_id=f"call_{number}_{city}",
                signature=f"{proof}{city}",
            )
            for city in ("Oslo", "Rome")
        ]
        service.double.script(reply(reasoning("Hm.", signature=proof), "Let me see.", *made))
        message = await answer(client, model, conversation, **fields)
        used = {block.id: block.input for block in message.content if block.type == "tool_use"}
        assert list(used.values()) == [{"city": f"Oslo {number}"}, {"city": f"Rome {number}"}]
        assert message.stop_reason == "tool_use"
        calls |= used
        conversation += [turn(message), results(message)]
    proofs: dict[str, set[str]] = {}
    for model in (GPT, SONNET, FLASH, GROQ):
        service.double.script(reply("So."))
        await answer(client, model, conversation, **fields)
        body = orjson.loads(service.sent())
        assert dict(_calls(body)) == calls
        assert dict(_results(body)) == {call: f"result of {call}" for call in calls}
        proofs[model] = _proofs(service)
    assert proofs == {
        GPT: {"proof0"},
        SONNET: {"proof1", "proof4"},
        FLASH: {"proof2", "proof2Oslo", "proof2Rome"},
        GROQ: set(),
    }


def _proofs(service: Stack) -> set[str]:
    """The signatures that a provider was sent."""
    return {word for word in service.sent().decode().split('"') if word.startswith("proof")}


def _calls(value: object) -> Iterator[tuple[str, object]]:
    """The ids of all calls in a provider's request, and their arguments, whatever its format."""
    match value:
        case {"id": str(name), "function": {"arguments": str(arguments)}}:
            yield name, orjson.loads(arguments)
        case {"type": "function_call", "call_id": str(name), "arguments": str(arguments)}:
            yield name, orjson.loads(arguments)
        case {"type": "tool_use", "id": str(name), "input": arguments}:
            yield name, arguments
        case {"functionCall": {"id": str(name), "args": arguments}}:
            yield name, arguments
        case _:
            for inner in _inside(value):
                yield from _calls(inner)


def _results(value: object) -> Iterator[tuple[str, object]]:
    """The results of all calls in a provider's request, by the calls' ids."""
    match value:
        case {"role": "tool", "tool_call_id": str(name), "content": content}:
            yield name, content
        case {"type": "function_call_output", "call_id": str(name), "output": content}:
            yield name, content
        case {"type": "tool_result", "tool_use_id": str(name), "content": content}:
            yield name, content
        case {"functionResponse": {"id": str(name), "response": {"output": content}}}:
            yield name, content
        case _:
            for inner in _inside(value):
                yield from _results(inner)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


# --- What goes wrong ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_answer_that_breaks_raises_after_what_came(
    service: Stack, client: AsyncAnthropic, how: Literal["fin", "rst"]
) -> None:
    service.double.script(reply("Hel", Cut(how)), http_error(Kind.OVERLOADED))
    said, failure = await until_it_raised(client)
    assert said == "Hel"
    assert isinstance(failure.body, dict)
    assert failure.body["error"]["type"] == "api_error"


async def until_it_raised(client: AsyncAnthropic) -> tuple[str, anthropic.APIStatusError]:
    """What a stream said before it raised, and what it raised."""
    said = ""
    try:
        async with client.messages.stream(model=GPT, max_tokens=100, messages=SAID) as streamed:
            async for words in streamed.text_stream:
                said += words
    except anthropic.APIStatusError as failure:
        return said, failure
    pytest.fail("a broken answer passed for a whole one")


async def test_a_whole_answer_that_broke_is_started_again_by_another_provider(
    service: Stack, client: AsyncAnthropic
) -> None:
    service.double.script(reply("Hel", Cut("rst")), reply("Hello."))
    message = await client.messages.create(model="auto", max_tokens=100, messages=SAID)
    assert message.content[0].type == "text"
    assert message.content[0].text == "Hello."
    assert len(service.double.requests) == 2


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
async def test_a_failure_before_any_content_is_the_sdks_own_error(
    service: Stack, client: AsyncAnthropic, *, streams: bool
) -> None:
    service.double.script(http_error(Kind.RATE_LIMIT))
    with pytest.raises(anthropic.RateLimitError) as failure:
        await client.messages.create(model=GPT, max_tokens=9, messages=SAID, stream=streams)
    assert isinstance(failure.value.body, dict)
    assert failure.value.body["error"]["type"] == "rate_limit_error"


async def test_a_bad_request_names_its_field(client: AsyncAnthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: 0 is not allowed"):
        await client.messages.create(model="auto", max_tokens=0, messages=SAID)
    with pytest.raises(anthropic.BadRequestError, match="messages: "):
        await client.messages.count_tokens(model="auto", messages=[])


async def test_a_client_that_leaves_closes_the_upstream(
    service: Stack, client: AsyncAnthropic
) -> None:
    gate = Gate()
    service.double.script(reply("Hel", Wait(gate), "lo."))
    async with client.messages.stream(model=GPT, max_tokens=100, messages=SAID) as streamed:
        async for _ in streamed.text_stream:
            break
    await service.double.requests[0].left()
