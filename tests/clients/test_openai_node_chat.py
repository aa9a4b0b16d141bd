"""OpenAI's SDK for Node over /v1/chat/completions: streams, its helpers, tools, breaks, leaving."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
import pytest_asyncio

from tests.clients.nodes import program
from tests.clients.programs import Program
from tests.double.answer import Citation, reasoning, refusal, text, tool_call
from tests.double.errors import RETRY_AFTER, Kind
from tests.double.script import http_error, reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather somewhere.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Program]:
    async with program("openai_chat") as running:
        yield running


def ask(model: str = "openai/auto", **fields: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "Say hello."}], **fields}


def said(chunks: list[dict[str, Any]]) -> str:
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


async def test_a_streamed_answer_is_the_same_as_a_whole_one(service: Stack, sdk: Program) -> None:
    service.double.script(reply("Hel", "lo."), reply("Hel", "lo."))
    whole = (await sdk.do("whole", ask=ask()))["completion"]
    streamed = await sdk.do("stream", ask=ask(stream_options={"include_usage": True}))
    chunks = streamed["read"]
    assert streamed["raised"] is None
    assert said(chunks) == whole["choices"][0]["message"]["content"] == "Hello."
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert (whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]) == (12, 9)


async def test_reasoning_comes_in_pieces_of_its_own(service: Stack, sdk: Program) -> None:
    service.double.script(reply(reasoning("Hm", "m."), "Hello."))
    chunks = (await sdk.do("stream", ask=ask("groq/auto")))["read"]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    thoughts = [delta["reasoning_content"] for delta in deltas if "reasoning_content" in delta]
    assert thoughts == ["Hm", "m."]


async def test_usage_comes_only_where_it_is_asked_for(service: Stack, sdk: Program) -> None:
    service.double.script(reply("Hello."))
    streamed = await sdk.do("stream", ask=ask())
    assert not [chunk for chunk in streamed["read"] if chunk.get("usage") or not chunk["choices"]]


async def test_the_helper_gives_text_and_both_calls(service: Stack, sdk: Program) -> None:
    calls = [tool_call("weather", '{"city":', f'"{city}"}}') for city in ("Oslo", "Rome")]
    service.double.script(reply(reasoning("Hm", "m."), "Let me ", "look.", *calls))
    told = await sdk.do("helper", ask=ask("groq/auto", tools=[WEATHER]))
    done = [
        event["arguments"]
        for name, event in told["events"]
        if name == "tool_calls.function.arguments.done"
    ]
    [choice] = told["completion"]["choices"]
    assert done == ['{"city":"Oslo"}', '{"city":"Rome"}']
    assert [call["function"]["arguments"] for call in choice["message"]["tool_calls"]] == done
    assert choice["message"]["content"] == "Let me look."
    assert choice["finish_reason"] == "tool_calls"


async def test_the_helper_tells_refusals_and_sources_apart(service: Stack, sdk: Program) -> None:
    cited = text("It is cold.", citations=(Citation("https://a.test", "A", 0, 5),))
    service.double.script(reply(refusal("I ", "cannot.")), reply(cited))
    told = await sdk.do("helper", ask=ask())
    assert [name for name, _ in told["events"]] == ["refusal.delta", "refusal.delta"]
    message = told["completion"]["choices"][0]["message"]
    assert (message["refusal"], message["content"]) == ("I cannot.", None)
    message = (await sdk.do("helper", ask=ask()))["completion"]["choices"][0]["message"]
    assert [each["url_citation"]["url"] for each in message["annotations"]] == ["https://a.test"]


@pytest.mark.parametrize("model", ["openai/auto", "groq/auto", "claude/sonnet", "gemini/flash"])
@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
async def test_the_sdks_own_loop_calls_a_tool_and_answers_it(
    service: Stack, sdk: Program, model: str, *, streams: bool
) -> None:
    call = tool_call("weather", '{"city":', '"Oslo"}')
    service.double.script(reply("Let me look.", call), reply("It ", "rains."))
    told = await sdk.do("tools", ask=ask(model, stream=streams))
    assert (told["asked"], told["content"]) == (["Oslo"], "It rains.")
    assert [each["role"] for each in told["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert b"rain in Oslo" in service.sent(1)


async def test_a_structured_answer_is_parsed(service: Stack, sdk: Program) -> None:
    service.double.script(reply('{"city":', '"Oslo"}'))
    assert (await sdk.do("parsed", ask=ask()))["parsed"] == {"city": "Oslo"}
    assert b"json_schema" in service.sent(0)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_answer_that_breaks_raises_after_what_came(
    service: Stack, sdk: Program, how: Literal["fin", "rst"]
) -> None:
    service.double.script(reply("Hel", Cut(how)), http_error(Kind.OVERLOADED))
    streamed = await sdk.do("stream", ask=ask())
    assert said(streamed["read"]) == "Hel"
    assert streamed["raised"]["name"] == "APIError"
    assert streamed["raised"]["code"] == "stream_interrupted"


async def test_an_answer_that_breaks_makes_the_helper_raise_too(
    service: Stack, sdk: Program
) -> None:
    service.double.script(reply("Hel", Cut()))
    told = await sdk.do("helper", ask=ask())
    assert [event["delta"] for _, event in told["events"]] == ["Hel"]
    assert told["raised"]["code"] == "stream_interrupted"


@pytest.mark.parametrize("by", ["stream", "helper"])
async def test_an_abort_closes_the_upstream(service: Stack, sdk: Program, by: str) -> None:
    service.double.script(reply("Hel", Wait(Gate()), "lo."))
    assert (await sdk.do("start", ask=ask(), by=by))["text"] == "Hel"
    ended = await sdk.do("abort")
    assert said(ended["read"]) == ""
    assert (ended["raised"] or {}).get("name") == {"helper": "APIUserAbortError"}.get(by)
    await service.double.requests[0].left()


@pytest.mark.parametrize("command", ["whole", "helper"])
async def test_a_failure_before_any_content_is_the_sdks_own_error(
    service: Stack, sdk: Program, command: str
) -> None:
    service.double.script(http_error(Kind.RATE_LIMIT))
    failure = (await sdk.do(command, ask=ask()))["raised"]
    assert (failure["name"], failure["status"]) == ("RateLimitError", 429)
    assert (failure["code"], failure["type"]) == ("rate_limit_provider", "rate_limit_error")


async def test_a_bad_request_names_its_field(sdk: Program) -> None:
    failure = (await sdk.do("whole", ask=ask(n=2)))["raised"]
    assert (failure["name"], failure["param"]) == ("BadRequestError", "n")


async def test_what_may_pass_is_tried_again_when_it_is_time(service: Stack, sdk: Program) -> None:
    await sdk.do("connect", url=service.url, retries=2)
    service.double.script(http_error(Kind.RATE_LIMIT), reply("Hello."))
    streamed = await sdk.do("stream", ask=ask())
    assert said(streamed["read"]) == "Hello."
    [waited] = (await sdk.do("waited"))["waits"]
    assert RETRY_AFTER - 1 < waited / 1000 <= RETRY_AFTER


async def test_what_would_fail_again_is_not_tried_again(service: Stack, sdk: Program) -> None:
    await sdk.do("connect", url=service.url, retries=2)
    service.double.script(http_error(Kind.AUTH))
    failure = (await sdk.do("whole", ask=ask()))["raised"]
    assert (failure["name"], failure["code"]) == ("InternalServerError", "auth_provider")
    assert (await sdk.do("waited"))["waits"] == []
    assert len(service.double.requests) == 1
