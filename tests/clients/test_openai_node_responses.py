"""OpenAI's SDK for Node over /v1/responses: streams, its helper, tools, breaks, coming back."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
import pytest_asyncio

from tests.clients.nodes import program
from tests.clients.programs import Program
from tests.double.answer import Citation, reasoning, refusal, text, tool_call
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather somewhere.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
ALL = ["openai/auto", "groq/auto", "claude/sonnet", "gemini/flash"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Program]:
    async with program("openai_responses") as running:
        yield running


def ask(model: str = "openai/auto", **fields: object) -> dict[str, Any]:
    return {"model": model, "input": "Say hello.", **fields}


def said(events: list[dict[str, Any]]) -> list[str]:
    return [event["delta"] for event in events if event["type"] == "response.output_text.delta"]


async def test_a_streamed_answer_is_the_same_as_a_whole_one(service: Stack, sdk: Program) -> None:
    service.double.script(*[reply("Hel", "lo.")] * 3)
    whole = (await sdk.do("whole", ask=ask()))["response"]
    streamed = await sdk.do("stream", ask=ask())
    told = await sdk.do("helper", ask=ask())
    assert streamed["raised"] is None
    assert said(streamed["read"]) == said(told["events"]) == ["Hel", "lo."]
    assert told["texts"] == ["Hel", "Hello."]
    assert streamed["read"][-1]["type"] == "response.completed"
    assert told["response"]["output_text"] == whole["output_text"] == "Hello."
    assert told["response"]["usage"] == whole["usage"]
    assert (whole["usage"]["input_tokens"], whole["usage"]["output_tokens"]) == (12, 9)


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
async def test_the_sdks_own_loop_calls_a_tool_and_answers_it_with_items(
    service: Stack, sdk: Program, model: str, *, streams: bool
) -> None:
    call = tool_call("weather", '{"city":', '"Oslo"}')
    service.double.script(reply("Let me look.", call), reply("It ", "rains."))
    told = await sdk.do("tools", ask=ask(model), stream=streams)
    assert (told["asked"], told["response"]["output_text"]) == (["Oslo"], "It rains.")
    for words in (b"Say hello.", b"Let me look.", b"rain in Oslo"):
        assert words in service.sent()


@pytest.mark.parametrize("model", ALL)
async def test_a_tool_is_answered_by_the_id_of_the_response_that_called_it(
    service: Stack, sdk: Program, model: str
) -> None:
    call = tool_call("weather", '{"city":', '"Oslo"}')
    service.double.script(reply(reasoning("Hm."), call), reply("Cold."))
    first = (await sdk.do("helper", ask=ask(model, tools=[WEATHER])))["response"]
    [made] = [item for item in first["output"] if item["type"] == "function_call"]
    assert (made["name"], made["arguments"]) == ("weather", '{"city":"Oslo"}')
    result = {"type": "function_call_output", "call_id": made["call_id"], "output": "-3 C"}
    more = ask(model, input=[result], previous_response_id=first["id"], tools=[WEATHER])
    assert (await sdk.do("helper", ask=more))["response"]["output_text"] == "Cold."
    assert b"Say hello." in service.sent()
    assert b"-3 C" in service.sent()


async def test_reasoning_refusals_and_sources_have_their_own_forms(
    service: Stack, sdk: Program
) -> None:
    cited = text("It is cold.", citations=(Citation("https://a.test", "A", 0, 5),))
    service.double.script(
        reply(cited), reply(refusal("I ", "cannot.")), reply(reasoning("Hm."), "Hi.")
    )
    [message] = (await sdk.do("helper", ask=ask()))["response"]["output"]
    assert [each["url"] for each in message["content"][0]["annotations"]] == ["https://a.test"]
    [message] = (await sdk.do("helper", ask=ask()))["response"]["output"]
    assert [part["refusal"] for part in message["content"]] == ["I cannot."]
    thought, _ = (await sdk.do("helper", ask=ask("groq/auto")))["response"]["output"]
    assert [each["text"] for each in thought["content"] or thought["summary"]] == ["Hm."]


async def test_a_structured_answer_is_parsed(service: Stack, sdk: Program) -> None:
    service.double.script(reply('{"city":', '"Oslo"}'))
    assert (await sdk.do("parsed", ask=ask()))["parsed"] == {"city": "Oslo"}
    assert b"json_schema" in service.sent()


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_answer_that_breaks_is_a_failed_response_with_what_came(
    service: Stack, sdk: Program, how: Literal["fin", "rst"]
) -> None:
    service.double.script(reply("Hel", Cut(how)), http_error(Kind.OVERLOADED))
    told = await sdk.do("helper", ask=ask())
    assert told["events"][-1]["type"] == "response.failed"
    assert (told["response"]["status"], told["response"]["output_text"]) == ("failed", "Hel")
    assert told["response"]["error"]["code"] == "server_error"


@pytest.mark.parametrize("command", ["whole", "helper"])
async def test_a_failure_before_any_content_is_the_sdks_own_error(
    service: Stack, sdk: Program, command: str
) -> None:
    service.double.script(http_error(Kind.RATE_LIMIT))
    failure = (await sdk.do(command, ask=ask()))["raised"]
    assert (failure["name"], failure["code"]) == ("RateLimitError", "rate_limit_provider")


@pytest.mark.parametrize("by", ["stream", "helper"])
async def test_an_abort_closes_the_upstream(service: Stack, sdk: Program, by: str) -> None:
    service.double.script(reply("Hel", Wait(Gate()), "lo."))
    assert (await sdk.do("start", ask=ask(), by=by))["text"] == "Hel"
    ended = await sdk.do("abort")
    assert ended["read"] == []
    assert (ended["raised"] or {}).get("name") == {"helper": "APIUserAbortError"}.get(by)
    await service.double.requests[0].left()


async def test_a_response_is_cancelled_by_its_id(service: Stack, sdk: Program) -> None:
    service.double.script(reply("Hel", Wait(Gate()), "lo."))
    started = await sdk.do("start", ask=ask(), by="helper")
    cancelled = (await sdk.do("cancel", id=started["id"]))["response"]
    [message] = cancelled["output"]
    assert (cancelled["status"], message["content"][0]["text"]) == ("cancelled", "Hel")
    rest = await sdk.do("rest")
    assert rest["read"][-1]["response"]["status"] == "cancelled"
    assert rest["raised"] is None
    await service.double.requests[0].left()


async def test_a_stream_that_was_left_is_gone_on_with_after_the_last_event_that_came(
    service: Stack, sdk: Program
) -> None:
    gate = Gate()
    service.double.script(reply("Hel", Wait(gate), "lo."))
    started = await sdk.do("start", ask=ask(background=True))
    await sdk.do("abort")
    gate.open()
    again = await sdk.do("retrieve", id=started["id"], after=started["number"])
    numbers = [event["sequence_number"] for event in again["read"]]
    first = started["number"] + 1
    assert numbers == list(range(first, first + len(numbers)))
    assert said(again["read"]) == ["lo."]
    by_helper = {"response_id": started["id"], "starting_after": started["number"]}
    told = await sdk.do("helper", ask=by_helper)
    assert [event["sequence_number"] for event in told["events"]] == numbers
    assert told["response"]["output_text"] == "Hello."


# --- Over its WebSocket ---------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def line(sdk: Program) -> AsyncIterator[Program]:
    await sdk.do("open")
    yield sdk
    await sdk.do("close")


async def test_the_websocket_goes_on_from_its_own_answers(service: Stack, line: Program) -> None:
    service.double.script(reply(tool_call("weather", '{"city":"Oslo"}')), reply("Cold."))
    asked = ask(input="Is it cold?", tools=[WEATHER], store=False)
    await line.do("send", lane="one", ask=asked)
    first = (await line.do("answered", lane="one"))["response"]
    [made] = first["output"]
    result = {"type": "function_call_output", "call_id": made["call_id"], "output": "-3 C"}
    more = asked | {"input": [result], "previous_response_id": first["id"]}
    await line.do("send", lane="one", ask=more)
    second = (await line.do("answered", lane="one"))["response"]
    assert (first["status"], second["output_text"]) == ("completed", "Cold.")
    assert b"Is it cold?" in service.sent()


async def test_lanes_of_a_websocket_run_side_by_side(service: Stack, line: Program) -> None:
    gate = Gate()
    service.double.on_provider("openai", reply("Sl", Wait(gate), "ow."))
    service.double.on_provider("groq", reply("Quick."))
    await line.do("send", lane="one", ask=ask("openai/auto"))
    assert (await line.do("text", lane="one"))["text"] == "Sl"
    await line.do("send", lane="two", ask=ask("groq/auto"))
    assert (await line.do("answered", lane="two"))["response"]["output_text"] == "Quick."
    gate.open()
    assert (await line.do("answered", lane="one"))["response"]["output_text"] == "Slow."


async def test_an_answer_that_breaks_on_a_websocket_is_a_failed_response(
    service: Stack, line: Program
) -> None:
    service.double.script(reply("Hel", Cut()))
    await line.do("send", lane="one", ask=ask())
    broken = (await line.do("answered", lane="one"))["response"]
    assert (broken["status"], broken["output_text"]) == ("failed", "Hel")


async def test_a_request_that_is_refused_leaves_the_websocket_open(
    service: Stack, line: Program
) -> None:
    await line.do("send", lane="one", ask=ask(conversation="c"))
    failure = (await line.do("answered", lane="one"))["raised"]
    assert failure["error"]["error"]["param"] == "conversation"
    service.double.script(reply("Hello."))
    await line.do("send", lane="two", ask=ask())
    assert (await line.do("answered", lane="two"))["response"]["output_text"] == "Hello."


async def test_a_websocket_that_is_closed_closes_the_upstream(
    service: Stack, line: Program
) -> None:
    service.double.script(reply("Hel", Wait(Gate()), "lo."))
    await line.do("send", lane="one", ask=ask())
    await line.do("text", lane="one")
    await line.do("close")
    await service.double.requests[0].left()
