import asyncio
import time
from collections.abc import AsyncIterator
from itertools import islice
from typing import Any

import jsonschema
import orjson
import pytest

from adapters.clients.demo import DemoClient, example, pauses, write
from adapters.contract import Encoded

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "minLength": 6},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1},
                "note": {"type": "string"},
            },
            "required": ["city", "unit", "days"],
            "additionalProperties": False,
        },
    },
}


def asked(question: str = "Why is the sky blue?", **fields: object) -> dict[str, Any]:
    return {
        "model": "demo",
        "messages": [{"role": "user", "content": question}],
        "stream": True,
        "stream_options": {"include_usage": True},
        **fields,
    }


async def answer(body: dict[str, Any], client: DemoClient | None = None) -> list[bytes]:
    client = client or DemoClient(first_token_s=0, gap_s=0)
    upstream = await client.send(Encoded(path="/chat/completions", body=body), connect_timeout=1)
    return [chunk async for chunk in upstream.chunks()]


async def messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    chunks = await answer(body)
    assert chunks[-1] == b"data: [DONE]\n\n"
    return [orjson.loads(chunk.removeprefix(b"data: ")) for chunk in chunks[:-1]]


def deltas(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for message in said for choice in message["choices"]]


def text(said: list[dict[str, Any]]) -> str:
    return "".join(delta.get("content", "") for delta in deltas(said))


def finish(said: list[dict[str, Any]]) -> str | None:
    reasons = [choice["finish_reason"] for message in said for choice in message["choices"]]
    assert reasons[:-1] == [None] * (len(reasons) - 1)
    return reasons[-1]


async def test_an_answer_says_in_its_first_sentence_that_it_is_a_demo() -> None:
    said = await messages(asked())
    assert text(said).startswith("This is Tailrace's built-in **demo provider**, not a language")
    assert finish(said) == "stop"


async def test_the_question_is_measured_but_never_repeated() -> None:
    said = await messages(asked("my secret passphrase xyzzy"))
    assert "4 words" in text(said)
    assert not {"secret", "passphrase", "xyzzy"} & set(text(said).split())


async def test_the_same_question_gets_the_same_bytes() -> None:
    assert await answer(asked()) == await answer(asked())


async def test_different_questions_get_different_texts() -> None:
    texts = {text(await messages(asked("so " * length))) for length in range(1, 9)}
    assert len(texts) == 8


async def test_every_answer_of_a_client_has_an_id_of_its_own() -> None:
    client = DemoClient(first_token_s=0, gap_s=0)
    first, second = await answer(asked(), client), await answer(asked(), client)
    assert first[0] != second[0]


async def test_an_answer_comes_token_by_token_as_whole_events() -> None:
    chunks = await answer(asked())
    assert len(chunks) > 40
    assert all(chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") for chunk in chunks)


async def test_usage_comes_last_and_counts_what_was_sent() -> None:
    said = await messages(asked(reasoning_effort="low"))
    usage = said[-1]["usage"]
    assert said[-1]["choices"] == []
    thoughts = [delta for delta in deltas(said) if "reasoning_content" in delta]
    words = [delta for delta in deltas(said) if delta.get("content")]
    assert usage["completion_tokens"] == len(thoughts) + len(words)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == len(thoughts)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_usage_is_left_out_where_it_was_not_asked_for() -> None:
    said = await messages(asked(stream_options=None))
    assert all("usage" not in message for message in said)


async def test_reasoning_comes_before_the_answer_when_an_effort_is_asked() -> None:
    said = await messages(asked(reasoning_effort="high"))
    kinds = ["reasoning_content" in delta for delta in deltas(said) if len(delta) == 1]
    assert kinds[0]
    assert kinds == sorted(kinds, reverse=True)


@pytest.mark.parametrize("effort", [None, "none"])
async def test_without_an_effort_nothing_is_reasoned(effort: str | None) -> None:
    said = await messages(asked(reasoning_effort=effort))
    assert all("reasoning_content" not in delta for delta in deltas(said))


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_an_answer_ends_at_max_tokens_with_length(field: str) -> None:
    said = await messages(asked(**{field: 5}))
    assert said[-1]["usage"]["completion_tokens"] == 5
    assert finish(said) == "length"


async def test_a_limit_above_the_answers_length_changes_nothing() -> None:
    assert await answer(asked(max_tokens=10_000)) == await answer(asked())


@pytest.mark.parametrize("stop", ["provider", ["never said", "demo", "provider"]])
async def test_an_answer_ends_before_the_first_stop_sequence(stop: str | list[str]) -> None:
    said = await messages(asked(stop=stop))
    whole = text(await messages(asked()))
    marks = [stop] if isinstance(stop, str) else stop
    assert whole.startswith(text(said))
    assert not any(mark in text(said) for mark in marks)
    assert finish(said) == "stop"


def called(said: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    parts = [part for delta in deltas(said) for part in delta.get("tool_calls", [])]
    assert len(parts) > 2
    assert [part.get("id") for part in parts[1:]] == [None] * (len(parts) - 1)
    arguments = "".join(part["function"]["arguments"] for part in parts)
    return parts[0]["function"]["name"], orjson.loads(arguments)


async def test_a_required_tool_choice_calls_the_first_tool_with_valid_arguments() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    said = await messages(asked(tools=[WEATHER, other], tool_choice="required"))
    name, arguments = called(said)
    assert name == "get_weather"
    jsonschema.validate(arguments, WEATHER["function"]["parameters"])
    assert finish(said) == "tool_calls"
    assert text(said) == ""


async def test_a_named_tool_choice_calls_that_tool() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    choice = {"type": "function", "function": {"name": "get_weather"}}
    said = await messages(asked(tools=[other, WEATHER], tool_choice=choice))
    assert called(said)[0] == "get_weather"


@pytest.mark.parametrize("choice", ["auto", "none", None])
async def test_tools_that_nobody_forces_are_not_called(choice: str | None) -> None:
    said = await messages(asked(tools=[WEATHER], tool_choice=choice))
    assert all("tool_calls" not in delta for delta in deltas(said))
    assert finish(said) == "stop"


async def test_a_function_without_parameters_is_called_with_an_empty_object() -> None:
    script = write(
        asked(tools=[{"type": "function", "function": {"name": "now"}}], tool_choice="required")
    )
    arguments = [delta["tool_calls"][0]["function"]["arguments"] for delta in script.deltas]
    assert "".join(arguments) == "{}"


async def test_a_json_object_format_gets_an_object() -> None:
    said = await messages(asked(response_format={"type": "json_object"}))
    assert orjson.loads(text(said))["demo"] is True


async def test_a_json_schema_format_gets_a_value_of_that_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}, "tags": {"type": "array", "minItems": 2}},
        "required": ["title", "tags"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "note", "schema": schema}}
    said = await messages(asked(response_format=wanted))
    jsonschema.validate(orjson.loads(text(said)), schema)


async def test_messages_in_parts_and_without_content_are_read() -> None:
    body = asked()
    body["messages"] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "one two three"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    assert "3 words" in text(await messages(body))


async def test_a_request_without_a_user_message_is_answered() -> None:
    body = asked()
    body["messages"] = [{"role": "system", "content": "Hello."}]
    assert "0 words" in text(await messages(body))


SCHEMAS = [
    {"const": 7},
    {"enum": ["a", "b"]},
    {"type": "string", "minLength": 9},
    {"type": "string", "maxLength": 2},
    {"type": ["null", "string"]},
    {"type": "number", "minimum": 2.5},
    {"type": "integer", "exclusiveMinimum": 3},
    {"type": "boolean"},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3},
    {"type": "array", "items": {"type": "integer"}},
    {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    {"oneOf": [{"type": "string"}]},
    {"type": "string", "default": "as given"},
    {"required": ["a"], "properties": {"a": {"type": "string"}}},
    {"type": "object", "required": ["undescribed"]},
    {
        "$defs": {"a/b": {"type": "object", "required": ["n"], "properties": {"n": {"enum": [4]}}}},
        "type": "object",
        "properties": {"x": {"$ref": "#/$defs/a~1b"}},
        "required": ["x"],
    },
    {},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: orjson.dumps(schema).decode()[:48])
def test_an_example_is_valid_under_its_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(example(schema), schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]},
        {"$ref": "#"},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.com/schema"},
        {"type": "unheard of"},
        {
            "type": "object",
            "properties": {name: {"$ref": "#"} for name in "abcd"},
            "required": [*"abcd"],
        },
        {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}},
        {"type": "string", "minLength": 10**9},
    ],
)
def test_a_schema_without_a_finite_or_known_value_still_ends(schema: dict[str, Any]) -> None:
    assert len(orjson.dumps(example(schema))) < 1_000_000


@pytest.mark.parametrize(
    "keyword",
    [
        "$ref",
        "anyOf",
        "enum",
        "exclusiveMinimum",
        "items",
        "maxLength",
        "minItems",
        "minLength",
        "minimum",
        "oneOf",
        "properties",
        "required",
    ],
)
@pytest.mark.parametrize("kind", ["object", "array", "string", "integer", {"a": 1}, [{"a": 1}]])
def test_a_keyword_that_holds_what_it_cannot_is_no_fault(keyword: str, kind: object) -> None:
    for value in (5, -1, 1.5, float("inf"), "x", None, {"a": 1}, [[]], ["a"]):
        orjson.dumps(example({"type": kind, keyword: value}))


def test_pauses_follow_from_the_seed_and_stay_near_the_gap() -> None:
    waits = list(islice(pauses(7, 0.35, 0.025), 200))
    assert waits == list(islice(pauses(7, 0.35, 0.025), 200))
    assert waits != list(islice(pauses(8, 0.35, 0.025), 200))
    assert waits[0] == 0.35
    assert all(0.015 <= wait <= 0.035 for wait in waits[1:])
    assert 0.023 < sum(waits[1:]) / 199 < 0.027


async def test_the_first_token_comes_after_the_time_to_first_token() -> None:
    client = DemoClient(first_token_s=0.05, gap_s=0)
    upstream = await client.send(Encoded(path="", body=asked()), connect_timeout=1)
    chunks = upstream.chunks()
    assert b'"content":""' in await anext(chunks)
    before = time.perf_counter()
    await anext(chunks)
    assert time.perf_counter() - before >= 0.049
    upstream.close()
    assert [chunk async for chunk in chunks] == []


async def test_the_slow_model_takes_its_time() -> None:
    client = DemoClient(first_token_s=0.01, gap_s=0)
    before = time.perf_counter()
    await answer(asked(model="demo-slow"), client)
    assert time.perf_counter() - before >= 0.079


async def test_the_headers_name_an_event_stream_in_any_case() -> None:
    client = DemoClient(first_token_s=0, gap_s=0)
    upstream = await client.send(Encoded(path="", body=asked()), connect_timeout=1)
    assert upstream.headers["Content-Type"].startswith("text/event-stream")


async def _read(chunks: AsyncIterator[bytes], started: asyncio.Event) -> None:
    async for _ in chunks:
        started.set()


async def test_a_cancelled_reader_ends_at_once_and_leaves_nothing_behind() -> None:
    client = DemoClient(first_token_s=3600)
    upstream = await client.send(Encoded(path="", body=asked()), connect_timeout=1)
    chunks = upstream.chunks()
    started = asyncio.Event()
    tasks = asyncio.all_tasks()
    reader = asyncio.create_task(_read(chunks, started))  # noqa: TID251 - awaited below
    await started.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    upstream.close()
    assert asyncio.all_tasks() == tasks
    with pytest.raises(StopAsyncIteration):
        await anext(chunks)


async def test_closing_stops_the_answer_before_its_next_token() -> None:
    client = DemoClient(first_token_s=0, gap_s=0)
    upstream = await client.send(Encoded(path="", body=asked()), connect_timeout=1)
    got = []
    async for chunk in upstream.chunks():
        got.append(chunk)
        if len(got) == 3:
            upstream.close()
            upstream.close()
    assert len(got) == 3
    await client.close()
