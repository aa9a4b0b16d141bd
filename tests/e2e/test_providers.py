"""Every provider, end to end: through its SDK, over real sockets, into one event schema."""

from collections.abc import Mapping
from typing import NamedTuple

import jsonschema
import orjson
import pytest

from tests.double.answer import Failure, reasoning, tool_call
from tests.double.errors import RETRY_AFTER, Kind
from tests.double.script import http_error, reply
from tests.e2e.stack import NAMES, Stack, Told, key_of, question, stack, variables
from tests.e2e.wire import USUAL, WIRE
from tests.service.http.serving import parsed

every_provider = pytest.mark.parametrize("name", NAMES)

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
NOW = {"type": "function", "function": {"name": "now", "description": "The time."}}


# --- What is sent ---------------------------------------------------------------------------


@every_provider
async def test_a_request_goes_to_its_provider_s_path_with_its_own_key_and_nothing_else(
    name: str, all_fifteen: Stack
) -> None:
    await all_fifteen.ask(f"{name}/auto")
    await all_fifteen.ask(f"{name}/auto", tools=[WEATHER])

    wire = WIRE[name]
    plain, with_tools = all_fifteen.double.requests
    assert plain.path == wire.path
    assert with_tools.path == (wire.with_tools or wire.path)
    for seen in (plain, with_tools):
        scheme = "Bearer " if wire.key_in == "authorization" else ""
        assert seen.headers[wire.key_in] == scheme + key_of(name)
        assert {header.lower() for header in seen.headers} == USUAL | wire.more | {wire.key_in}
        rest = [value for header, value in seen.headers.items() if header.lower() != wire.key_in]
        assert not any("test-key" in value for value in rest)
        assert b"test-key" not in orjson.dumps(seen.body)


# --- What comes back ------------------------------------------------------------------------


@every_provider
async def test_text_streams_with_its_usage_and_its_finish(name: str, alone: Stack) -> None:
    told = await alone.ask(f"{name}/auto", reply("Hel", "lo ", "wörld", "!"))

    assert told.text == "Hello wörld!"
    assert len(told.of("text.delta")) == 4
    end = told.end
    assert (end["status"], end["finish"], end["provider"]) == ("completed", "stop", name)
    assert end["model"] == alone.double.requests[0].model
    counts = ("input", "input_cached", "output", "total", "source")
    assert [end["usage"][count] for count in counts] == [12, 4, 9, 21, "provider"]
    assert [one["outcome"] for one in end["attempts"]] == ["completed"]


@every_provider
async def test_an_answer_cut_by_its_length_is_incomplete(name: str, alone: Stack) -> None:
    told = await alone.ask(f"{name}/auto", reply("Hel", finish="length"))
    assert told.text == "Hel"
    assert (told.end["status"], told.end["finish"]) == ("incomplete", "length")


@every_provider
async def test_tool_calls_stream_whole_each_with_an_id_of_its_own(name: str, alone: Stack) -> None:
    script = reply(
        "Let me look. ",
        tool_call("weather", '{"city":', '"Oslo"}'),
        tool_call("weather", '{"city":', '"Rom"', "}"),
        tool_call("now"),
    )
    told = await alone.ask(f"{name}/auto", script, tools=[WEATHER, NOW])

    assert told.text == "Let me look. "
    assert told.calls == [
        ("weather", '{"city":"Oslo"}'),
        ("weather", '{"city":"Rom"}'),
        ("now", "{}"),
    ]
    ids = {block["call_id"] for block in told.of("block.start") if block["kind"] == "tool_call"}
    assert len(ids) == 3
    assert (told.end["status"], told.end["finish"]) == ("completed", "tool_calls")


WITHOUT_REASONING = "github"  # its only listed model does not reason


@pytest.mark.parametrize("name", [name for name in NAMES if name != WITHOUT_REASONING])
async def test_reasoning_streams_apart_from_the_answer(name: str, alone: Stack) -> None:
    # With a tool, since that is what brings reasoning out of those whose chat completions hide it.
    script = reply(reasoning("Let me ", "think.", signature="c2lnbmVk"), "Hello")
    told = await alone.ask(f"{name}/auto", script, tools=[WEATHER], reasoning={"effort": "high"})

    assert (told.reasoning, told.text) == ("Let me think.", "Hello")
    assert told.end["status"] == "completed"


SIGNING = ("claude", "openai", "gemini", "grok", "openrouter", "copilot")


@pytest.mark.parametrize("name", SIGNING)
async def test_what_a_provider_wants_back_of_its_reasoning_is_handed_out(
    name: str, alone: Stack
) -> None:
    script = reply(reasoning("Let me think.", signature="c2lnbmVk"), "Hello")
    told = await alone.ask(f"{name}/auto", script, tools=[WEATHER], reasoning={"effort": "high"})
    (signature,) = told.of("reasoning.signature")
    assert "c2lnbmVk" in signature["value"]
    assert signature["provider"] == name


@every_provider
async def test_the_json_form_is_the_same_answer_folded(name: str, alone: Stack) -> None:
    script = reply("Look: ", tool_call("weather", '{"city":"Oslo"}'))
    alone.double.script(script)
    async with alone.client.post(
        f"{alone.url}/v1/streams",
        json=question(f"{name}/auto", tools=[WEATHER]),
        headers={"Accept": "application/json"},
    ) as response:
        folded = await response.json()

    assert folded["content"] == "Look: "
    assert [(call["name"], call["arguments"]) for call in folded["tool_calls"]] == [
        ("weather", '{"city":"Oslo"}')
    ]
    assert (folded["status"], folded["provider"]) == ("completed", name)
    assert response.headers["Tailrace-Provider"] == name
    assert response.headers["Tailrace-Model"] == folded["model"]


async def test_every_event_of_every_provider_is_valid_by_the_schema_that_is_served(
    all_fifteen: Stack,
) -> None:
    async with all_fifteen.client.get(f"{all_fifteen.url}/v1/schema.json") as response:
        schema = await response.json()
    validator = jsonschema.validators.validator_for(schema)(schema)
    script = reply(reasoning("Hm.", signature="c2ln"), "Hello", tool_call("weather", "{}"))
    for name in NAMES:
        told = await all_fifteen.ask(f"{name}/auto", script, tools=[WEATHER])
        for event in told.events:
            validator.validate(event)


# --- Errors inside the stream ---------------------------------------------------------------

# Mistral's stream only says that there was one.
IN_STREAM = {"mistral": ("upstream_5xx", 502)}


@every_provider
async def test_an_error_amid_the_answer_ends_it_as_failed_and_keeps_what_came(
    name: str, alone: Stack
) -> None:
    told = await alone.ask(f"{name}/auto", reply("Hel", "lo", Failure(Kind.OVERLOADED)))

    code, http = IN_STREAM.get(name, ("overloaded", 503))
    assert told.status == 200
    assert told.text == "Hello"
    assert (told.end["status"], told.end["finish"]) == ("failed", "error")
    error = told.end["error"]
    assert (error["code"], error["http"], error["retryable"]) == (code, http, True)
    assert (error["phase"], error["bytes_out"]) == ("mid_stream", True)
    assert error["provider"] == name
    (block,) = told.of("block.end")
    assert block["status"] == "incomplete"


@every_provider
async def test_an_error_in_the_stream_before_any_content_is_an_http_error(
    name: str, alone: Stack
) -> None:
    told = await alone.ask(f"{name}/auto", reply(Failure(Kind.OVERLOADED)))

    code, http = IN_STREAM.get(name, ("overloaded", 503))
    assert (told.status, told.error["code"]) == (http, code)
    assert told.error["provider"] == name


# --- Errors instead of a stream -------------------------------------------------------------


class Meaning(NamedTuple):
    """What the caller is told: docs/streams.md, errors. Never a provider's 401, 403 or 404."""

    code: str
    status: int
    retryable: bool = False


MEANING: Mapping[Kind, Meaning] = {
    Kind.AUTH: Meaning("auth_provider", 502),
    Kind.PERMISSION: Meaning("auth_provider", 502),
    Kind.RATE_LIMIT: Meaning("rate_limit_provider", 429, retryable=True),
    Kind.QUOTA: Meaning("quota_provider", 502),
    Kind.CONTEXT_LENGTH: Meaning("context_length", 400),
    Kind.INVALID_REQUEST: Meaning("invalid_request", 400),
    Kind.UNSUPPORTED_PARAMETER: Meaning("unsupported_parameter", 400),
    Kind.CONTENT_FILTER: Meaning("content_blocked_input", 400),
    Kind.NOT_FOUND: Meaning("model_unavailable", 502),
    Kind.OVERLOADED: Meaning("overloaded", 503, retryable=True),
    Kind.SERVER: Meaning("upstream_5xx", 502, retryable=True),
}
BLOCKED = ("gemini", Kind.CONTENT_FILTER)
"""No error there but a stream without an answer."""


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name in NAMES for kind in Kind if (name, kind) != BLOCKED]
)
async def test_a_provider_s_error_is_told_by_its_meaning_and_not_by_its_status(
    name: str, kind: Kind, alone: Stack
) -> None:
    told = await alone.ask(f"{name}/auto", http_error(kind))

    assert told.events == []
    got = Meaning(told.error["code"], told.status, told.error["retryable"])
    assert got == MEANING[kind]
    assert told.error["provider"] == name
    assert len(alone.double.requests) == 1
    await _held_to_the_same(told, alone)


async def _held_to_the_same(told: Told, stack: Stack) -> None:
    """The stream's own record of a failure says what the HTTP error said, in one last event."""
    record = await stack.fetch(told.stream)
    assert record.end["status"] == "failed"
    assert record.end["error"]["code"] == told.error["code"]
    assert record.end["error"]["phase"] == "before_commit"
    assert record.text == ""


async def test_a_blocked_prompt_at_gemini_is_a_stream_without_an_answer(
    all_fifteen: Stack,
) -> None:
    told = await all_fifteen.ask("gemini/auto", http_error(Kind.CONTENT_FILTER))
    assert told.text == ""
    assert (told.end["status"], told.end["finish"]) == ("incomplete", "content_filter")
    (flag,) = told.of("safety.flag")
    assert (flag["where"], flag["action"]) == ("input", "blocked")


NO_WORD = frozenset({"qwen", "glm", "grok"})
"""Do not say when to come back."""


@every_provider
async def test_when_to_come_back_is_passed_on_where_the_provider_says_it(
    name: str, alone: Stack
) -> None:
    told = await alone.ask(f"{name}/auto", http_error(Kind.RATE_LIMIT))
    wait = None if name in NO_WORD else RETRY_AFTER
    assert told.error.get("retry_after_ms") == (wait and wait * 1000)
    assert told.headers.get("Retry-After") == (wait and str(wait))


@pytest.mark.parametrize("name", ["openai"])
async def test_while_the_only_provider_wants_to_be_left_alone_it_is_told_when_to_come_back(
    name: str, alone: Stack
) -> None:
    answered = await alone.ask(f"{name}/auto", reply("Hi"))
    model = f"{name}/{answered.end['model']}"
    limited = await alone.ask(model, http_error(Kind.RATE_LIMIT))
    assert limited.status == 429
    told = await alone.ask(model)
    assert (told.status, told.error["code"]) == (503, "no_candidates")
    assert 0 < int(told.headers["Retry-After"]) <= RETRY_AFTER


@every_provider
async def test_a_failure_after_the_answer_was_opened_early_is_its_last_event(
    name: str, alone: Stack
) -> None:
    told = await alone.ask(f"{name}/auto", http_error(Kind.AUTH), open_early_ms=0)
    assert told.status == 200
    assert (told.end["status"], told.end["finish"]) == ("failed", "error")
    assert told.end["error"]["code"] == "auth_provider"
    assert told.end["error"]["phase"] == "before_commit"
    assert told.end["error"]["bytes_out"] is False


async def test_no_error_tells_a_key_a_path_or_a_traceback(all_fifteen: Stack) -> None:
    for name in NAMES:
        for kind in Kind:
            all_fifteen.double.script(http_error(kind))
            async with all_fifteen.post(question(f"{name}/auto")) as response:
                body = await response.read()
            told = body if response.status != 200 else orjson.dumps([s.data for s in parsed(body)])
            for secret in (b"test-key", b"Traceback", b".py", all_fifteen.double.url.encode()):
                assert secret not in told


# --- The retired one ------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["GITHUB_TOKEN", "GITHUB_BASE_URL"])
async def test_github_with_only_its_key_or_only_its_address_stays_retired(kept: str) -> None:
    given = {kept: variables("http://127.0.0.1:9", ["github"])[kept]}
    async with stack("openai", environ=given) as running:
        told = await running.ask("github/auto")
        assert (told.status, told.error["code"]) == (422, "no_candidates")
        assert "retired" in told.error["message"]
        assert running.double.requests == []
