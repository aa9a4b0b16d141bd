"""The official SDKs read the double with their own typed streams: its bytes are real-shaped."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import anthropic
import groq
import openai
import orjson
import pytest
from google import genai
from google.genai import types as google
from mistralai.client import Mistral
from mistralai.client.models import TextChunk, ThinkChunk, UserMessage

from tests.conftest import StartDouble
from tests.double.answer import Tokens, reasoning, refusal, tool_call
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.double.server import Double

TOKENS = Tokens(input=20, cached=5, output=11, reasoning=4)
CALL = {"name": "get_weather", "arguments": {"city": "Paris"}}


@dataclass
class Heard:
    """What an SDK understood."""

    text: str = ""
    reasoning: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    finish: str = ""
    tokens: tuple[int, int] = (0, 0)
    """Input and output, in the provider's own arithmetic."""


Ask = Callable[[Double], Awaitable[Heard]]


async def chat(double: Double, provider: str = "openai") -> Heard:
    client = openai.AsyncOpenAI(
        api_key="test-key-openai", base_url=double.base_url(provider), max_retries=0
    )
    heard = Heard()
    async with (
        client,
        client.chat.completions.stream(
            model="m",
            messages=[{"role": "user", "content": "hi"}],
            stream_options={"include_usage": True},
        ) as stream,
    ):
        async for event in stream:
            if event.type == "chunk" and event.chunk.choices:
                extra = event.chunk.choices[0].delta.model_extra or {}
                heard.reasoning += extra.get("reasoning_content") or extra.get("reasoning") or ""
        final = await stream.get_final_completion()
    message = final.choices[0].message
    heard.text = message.content or message.refusal or ""
    heard.calls = [called(call.function) for call in message.tool_calls or ()]
    heard.finish = final.choices[0].finish_reason
    assert final.usage is not None
    heard.tokens = (final.usage.prompt_tokens, final.usage.completion_tokens)
    return heard


async def responses(double: Double) -> Heard:
    client = openai.AsyncOpenAI(
        api_key="test-key-openai", base_url=double.base_url("openai"), max_retries=0
    )
    async with client, client.responses.stream(model="m", input="hi") as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    heard = Heard(text=final.output_text, finish=final.status or "")
    for item in final.output:
        if item.type == "function_call":
            heard.calls.append(called(item))
        if item.type == "reasoning":
            heard.reasoning += "".join(part.text for part in item.summary)
        if item.type == "message" and item.content[0].type == "refusal":
            heard.text += item.content[0].refusal
    assert final.usage is not None
    heard.tokens = (final.usage.input_tokens, final.usage.output_tokens)
    return heard


async def messages(double: Double) -> Heard:
    client = anthropic.AsyncAnthropic(
        api_key="test-key-claude", base_url=double.base_url("claude"), max_retries=0
    )
    async with (
        client,
        client.messages.stream(
            model="m", max_tokens=100, messages=[{"role": "user", "content": "hi"}]
        ) as stream,
    ):
        final = await stream.get_final_message()
    heard = Heard(finish=final.stop_reason or "")
    for block in final.content:
        if block.type == "text":
            heard.text += block.text
        if block.type == "thinking":
            heard.reasoning += block.thinking
        if block.type == "tool_use":
            heard.calls.append({"name": block.name, "arguments": block.input})
    cached = final.usage.cache_read_input_tokens or 0
    heard.tokens = (final.usage.input_tokens + cached, final.usage.output_tokens)
    return heard


async def groq_chat(double: Double) -> Heard:
    # This SDK adds /openai/v1 itself.
    client = groq.AsyncGroq(api_key="test-key-groq", base_url=double.url, max_retries=0)
    heard = Heard()
    async with client:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        async for chunk in stream:
            choice = chunk.choices[0]
            heard.text += choice.delta.content or ""
            heard.reasoning += choice.delta.reasoning or ""
            heard.calls += [called(call.function) for call in choice.delta.tool_calls or ()]
            heard.finish = choice.finish_reason or ""
            if chunk.x_groq is not None and chunk.x_groq.usage is not None:
                usage = chunk.x_groq.usage
                heard.tokens = (usage.prompt_tokens, usage.completion_tokens)
    return heard


async def mistral_chat(double: Double) -> Heard:
    # This SDK adds /v1 itself.
    client = Mistral(api_key="test-key-mistral", server_url=double.url)
    heard = Heard()
    async with client:
        stream = await client.chat.stream_async(model="m", messages=[UserMessage(content="hi")])
        async for event in stream:
            choice = event.data.choices[0]
            add_content(heard, choice.delta.content)
            heard.calls += [called(call.function) for call in choice.delta.tool_calls or ()]
            heard.finish = choice.finish_reason or ""
            if event.data.usage is not None:
                usage = event.data.usage
                heard.tokens = (usage.prompt_tokens or 0, usage.completion_tokens or 0)
    return heard


def add_content(heard: Heard, content: object) -> None:
    if isinstance(content, str):
        heard.text += content
    for part in content if isinstance(content, list) else ():
        assert isinstance(part, ThinkChunk)
        for chunk in part.thinking:
            assert isinstance(chunk, TextChunk)
            heard.reasoning += chunk.text


async def generate(double: Double) -> Heard:
    heard = Heard()
    async for chunk in generated(double):
        candidate = (chunk.candidates or [])[0]
        assert candidate.content is not None
        for part in candidate.content.parts or ():
            if part.function_call is not None:
                call = part.function_call
                heard.calls.append({"name": call.name, "arguments": call.args})
            elif part.thought:
                heard.reasoning += part.text or ""
            else:
                heard.text += part.text or ""
        if candidate.finish_reason is not None:
            heard.finish = candidate.finish_reason.value
        usage = chunk.usage_metadata
        assert usage is not None
        thoughts = usage.thoughts_token_count or 0
        heard.tokens = (
            usage.prompt_token_count or 0,
            (usage.candidates_token_count or 0) + thoughts,
        )
    return heard


async def generated(double: Double) -> AsyncIterator[google.GenerateContentResponse]:
    # With a session of its own making this SDK subclasses aiohttp's, which is deprecated.
    async with aiohttp.ClientSession() as session:
        options = google.HttpOptions(
            base_url=double.url, api_version="v1beta", aiohttp_client=session
        )
        client = genai.Client(api_key="test-key-gemini", http_options=options)
        async for chunk in await client.aio.models.generate_content_stream(
            model="m", contents="hi"
        ):
            yield chunk


class Function(Protocol):
    """A call as every SDK but two types it; in deltas name and arguments may be missing."""

    @property
    def name(self) -> str | None: ...
    @property
    def arguments(self) -> object: ...


def called(function: Function | None) -> dict[str, Any]:
    assert function is not None
    arguments = function.arguments
    parsed = orjson.loads(arguments) if isinstance(arguments, str) else arguments
    return {"name": function.name, "arguments": parsed}


@dataclass(frozen=True)
class Sdk:
    """One SDK call, the provider it is for, and its words for the finish."""

    ask: Ask
    speaks: str
    stop: str
    tool_calls: str
    reasons: bool = True


SDKS = {
    "openai chat": Sdk(chat, "openai", "stop", "tool_calls", reasons=False),
    "openai responses": Sdk(responses, "openai", "completed", "completed"),
    "anthropic": Sdk(messages, "claude", "end_turn", "tool_use"),
    "groq": Sdk(groq_chat, "groq", "stop", "tool_calls"),
    "mistralai": Sdk(mistral_chat, "mistral", "stop", "tool_calls"),
    "google-genai": Sdk(generate, "gemini", "STOP", "STOP"),
}


@pytest.fixture(params=list(SDKS))
def sdk(request: pytest.FixtureRequest) -> Sdk:
    return SDKS[request.param]


@pytest.fixture
async def spoken(sdk: Sdk, start_double: StartDouble) -> Double:
    return await start_double(sdk.speaks)


async def test_an_sdk_reads_the_default_text(sdk: Sdk, spoken: Double) -> None:
    heard = await sdk.ask(spoken)

    assert heard == Heard(text="Hello from the double.", finish=sdk.stop, tokens=(12, 9))
    assert spoken.requests[0].finished


async def test_an_sdk_reads_reasoning_and_a_tool_call(sdk: Sdk, spoken: Double) -> None:
    call = tool_call("get_weather", '{"city"', ':"Pa', 'ris"}')
    spoken.script(reply(reasoning("Let me", " see."), "One moment.", call, tokens=TOKENS))

    heard = await sdk.ask(spoken)

    assert heard.text == "One moment."
    assert heard.reasoning == ("Let me see." if sdk.reasons else "")
    assert heard.calls == [CALL]
    assert heard.finish == sdk.tool_calls
    assert heard.tokens == (20, 11)


async def test_an_sdk_reads_two_tool_calls_one_without_arguments(sdk: Sdk, spoken: Double) -> None:
    spoken.script(reply(tool_call("now"), tool_call("get_weather", '{"city":"Paris"}')))

    heard = await sdk.ask(spoken)

    assert [call["name"] for call in heard.calls] == ["now", "get_weather"]
    assert heard.calls[1] == CALL


async def test_an_sdk_finds_the_path_it_uses(sdk: Sdk, spoken: Double) -> None:
    await sdk.ask(spoken)

    route = spoken.requests[0].route
    assert route is not None
    assert spoken.requests[0].key is not None
    assert spoken.requests[0].key.startswith("test-key-")


@pytest.mark.parametrize(
    "provider", ["qwen", "deepseek", "kimi", "glm", "grok", "openrouter", "huggingface", "github"]
)
async def test_the_openai_sdk_reads_every_provider_that_speaks_its_chat(
    provider: str, start_double: StartDouble
) -> None:
    double = await start_double(provider)
    call = tool_call("get_weather", '{"city":', '"Paris"}')
    double.script(reply(reasoning("Let me", " see."), "One moment.", call, tokens=TOKENS))

    heard = await chat(double, provider)

    assert heard.text == "One moment."
    assert heard.calls == [CALL]
    assert heard.finish == "tool_calls"
    assert heard.reasoning == ("" if provider == "github" else "Let me see.")
    # xAI's completion tokens leave the reasoning out.
    assert heard.tokens == (20, 7 if provider == "grok" else 11)


@pytest.mark.parametrize("name", ["openai chat", "openai responses", "mistralai"])
async def test_a_refusal_reaches_the_sdks_whose_format_has_one(
    name: str, start_double: StartDouble
) -> None:
    double = await start_double(SDKS[name].speaks)
    double.script(reply(refusal("I will", " not.")))

    assert (await SDKS[name].ask(double)).text == "I will not."


ERRORS: dict[Kind, type[openai.APIStatusError]] = {
    Kind.AUTH: openai.AuthenticationError,
    Kind.PERMISSION: openai.PermissionDeniedError,
    Kind.RATE_LIMIT: openai.RateLimitError,
    Kind.QUOTA: openai.RateLimitError,
    Kind.CONTEXT_LENGTH: openai.BadRequestError,
    Kind.INVALID_REQUEST: openai.BadRequestError,
    Kind.UNSUPPORTED_PARAMETER: openai.BadRequestError,
    Kind.CONTENT_FILTER: openai.BadRequestError,
    Kind.NOT_FOUND: openai.NotFoundError,
    Kind.OVERLOADED: openai.InternalServerError,
    Kind.SERVER: openai.InternalServerError,
}


@pytest.mark.parametrize("kind", Kind)
async def test_the_openai_sdk_raises_its_own_error_for_each_kind(
    kind: Kind, double: Double
) -> None:
    double.script(http_error(kind))

    with pytest.raises(ERRORS[kind]) as raised:
        await chat(double)

    assert raised.value.body is not None


async def test_the_anthropic_sdk_reads_the_wait_of_a_rate_limit(double: Double) -> None:
    double.script(http_error(Kind.RATE_LIMIT))

    with pytest.raises(anthropic.RateLimitError) as raised:
        await messages(double)

    assert raised.value.response.headers["retry-after"] == "7"
