"""The double answers on every path, plays what it was told, and sees what its clients do."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest

from tests.conftest import StartDouble
from tests.double.answer import Citation, Tokens, reasoning, text, tool_call
from tests.double.errors import Kind
from tests.double.faults import stall_at
from tests.double.paths import BASE_PATHS, route_of
from tests.double.script import Script, http_answer, http_error, play, reply, stream
from tests.double.server import LOG_PATH, Double
from tests.double.steps import Delay, Gate, Repeat, Stall, Step, Wait
from tests.double.wire.voices import PROVIDERS

CHAT = "/v1/chat/completions"
HELLO = "Hello from the double."


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def read(
    client: aiohttp.ClientSession, double: Double, path: str = CHAT, **body: object
) -> bytes:
    """The whole body of one answer."""
    async with client.post(double.url + path, json={"model": "m", **body}) as response:
        return await response.read()


def said(body: bytes) -> str:
    """The text of a chat-completions stream."""
    events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    choices = [choice for event in events for choice in orjson.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


# --- Paths and formats ----------------------------------------------------------------------


PATHS = {
    "/v1/messages": b"event: message_start\n",
    "/anthropic/v1/messages": b"event: message_start\n",
    "/v1/chat/completions": b'"service_tier":"default"',
    "/v1/responses": b"event: response.created\n",
    "/openai/v1/responses": b"event: response.created\n",
    "/v1/agent": b'"total_cost":0.0025',
    "/v1beta/models/m:streamGenerateContent?alt=sse": b'"finishReason":"STOP"',
    "/compatible-mode/v1/chat/completions": b"[DONE]",
    "/chat/completions": b'"reasoning_content":""',
    "/beta/chat/completions": b'"reasoning_content":""',
    "/api/paas/v4/chat/completions": b'"finish_reason":"stop"}],"usage"',
    "/openai/v1/chat/completions": b'"x_groq"',
    "/api/v1/chat/completions": b": OPENROUTER PROCESSING",
    "/inference/chat/completions": b"[DONE]",
    "/orgs/o/inference/chat/completions": b"[DONE]",
    "/openai/deployments/d/chat/completions?api-version=2024-10-21": b"prompt_filter_results",
}


@pytest.mark.parametrize("path", PATHS)
async def test_each_path_answers_in_its_format(
    path: str, double: Double, client: aiohttp.ClientSession
) -> None:
    async with client.post(double.url + path, json={"model": "m"}) as response:
        body = await response.read()

    assert response.status == 200
    assert response.content_type == "text/event-stream"
    assert PATHS[path] in body
    assert b"double." in body
    assert double.requests[0].path == path


async def test_a_stop_sequence_is_named_where_the_format_names_it(
    double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(*[reply("alpha ", stop_sequence="beta")] * 2)

    assert b'"stop_reason":"stop_sequence","stop_sequence":"beta"' in await read(
        client, double, "/v1/messages"
    )
    assert b"beta" not in await read(client, double)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_base_url_and_the_providers_chat_path_make_a_path_of_the_double(provider: str) -> None:
    chat = {
        "claude": "/v1/messages",
        "gemini": "/models/m:streamGenerateContent",
        "perplexity": "/agent",
    }

    route = route_of(BASE_PATHS[provider] + chat.get(provider, "/chat/completions"), {"alt": "sse"})

    assert route is not None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completion"),
        ("POST", "/v1/v1/chat/completions"),
        ("POST", "/v1beta/models/m:streamGenerateContent"),
        ("GET", CHAT),
    ],
)
async def test_a_path_no_provider_has_gets_404_and_takes_no_script(
    method: str, path: str, double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(reply("kept"))

    async with client.request(method, double.url + path) as response:
        assert response.status == 404

    assert double.requests[0].route is None
    assert double.unplayed == 1
    assert said(await read(client, double)) == "kept"


async def test_one_script_is_rendered_in_whatever_manner_it_is_asked_for(
    start_double: StartDouble, client: aiohttp.ClientSession
) -> None:
    script = reply(reasoning("hm"), "Hello")
    fields = {"deepseek": b'"reasoning_content":"hm"', "groq": b'"reasoning":"hm"'}

    for provider, field in fields.items():
        double = await start_double(provider)
        double.script(script)
        assert field in await read(client, double)


async def test_a_script_may_be_spoken_by_another_provider_than_its_path_says(
    double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(reply("Hello").spoken_by("openrouter"))

    assert (await read(client, double)).startswith(b": OPENROUTER PROCESSING")


async def test_the_manner_may_follow_from_the_request(client: aiohttp.ClientSession) -> None:
    async with Double(speaks=lambda seen: str(seen.key).removeprefix("test-key-")) as double:
        url, headers = double.url + CHAT, {"Authorization": "Bearer test-key-openrouter"}
        async with client.post(url, json={"model": "m"}, headers=headers) as response:
            assert (await response.read()).startswith(b": OPENROUTER PROCESSING")


async def test_usage_is_sent_by_openai_only_where_it_was_asked_for(
    double: Double, client: aiohttp.ClientSession
) -> None:
    asked = {"include_usage": True}

    assert b"prompt_tokens" not in await read(client, double)
    assert b'"prompt_tokens":12' in await read(client, double, stream_options=asked)


async def test_usage_is_written_in_each_formats_own_arithmetic(
    double: Double, client: aiohttp.ClientSession
) -> None:
    tokens = Tokens(input=20, cached=5, cache_write=3, output=11, reasoning=4)
    double.script(reply("a", tokens=tokens), reply("a", tokens=tokens))

    messages = await read(client, double, "/v1/messages")
    generate = await read(client, double, "/v1beta/models/m:streamGenerateContent?alt=sse")

    assert b'"input_tokens":12,' in messages
    assert b'"candidatesTokenCount":7,"totalTokenCount":31,' in generate
    assert b'"thoughtsTokenCount":4' in generate


async def test_encrypted_reasoning_is_sent_only_where_it_was_asked_for(
    double: Double, client: aiohttp.ClientSession
) -> None:
    script = reply(reasoning("hm", signature="sealed"), "a")
    double.script(script, script)

    assert b"sealed" not in await read(client, double, "/v1/responses")
    asked = ["reasoning.encrypted_content"]
    body = await read(client, double, "/v1/responses", include=asked)
    assert b'"encrypted_content":"sealed"' in body


CITED = {
    "/v1/messages": b'"citations_delta"',
    "/v1/responses": b"response.output_text.annotation.added",
    "/v1/agent": b"response.reasoning.search_results",
    "/api/v1/chat/completions": b'"annotations":[{"type":"url_citation"',
    "/v1beta/models/m:streamGenerateContent?alt=sse": b'"groundingChunks":[{"web"',
}


@pytest.mark.parametrize("path", CITED)
async def test_a_citation_is_told_in_each_formats_way(
    path: str, double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(reply(text("It is so.", citations=(Citation("https://example.org/a"),))))

    body = await read(client, double, path)

    assert CITED[path] in body
    assert b"https://example.org/a" in body


SIGNED = {
    "/v1/messages": b'"type":"signature_delta","signature":"sealed"',
    "/api/v1/chat/completions": b'"reasoning_details":[{"type":"reasoning.text","signature"',
    "/v1beta/models/m:streamGenerateContent?alt=sse": b'"thoughtSignature":"sealed"',
}


@pytest.mark.parametrize("path", SIGNED)
async def test_a_signature_of_reasoning_is_told_in_each_formats_way(
    path: str, double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(reply(reasoning("hm", signature="sealed"), "a"))

    assert SIGNED[path] in await read(client, double, path)


async def test_a_call_is_whole_in_one_chunk_where_the_provider_sends_it_so(
    double: Double, client: aiohttp.ClientSession
) -> None:
    script = reply(tool_call("f", '{"a"', ":1}", call_id="c1"))
    double.script(script, script)

    assert rb'"arguments":"{\"a\""' in await read(client, double)
    assert rb'"arguments":"{\"a\":1}"' in await read(client, double, "/openai/v1/chat/completions")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("kind", Kind)
async def test_every_provider_has_an_error_of_every_kind(
    provider: str, kind: Kind, start_double: StartDouble, client: aiohttp.ClientSession
) -> None:
    double = await start_double(provider)
    double.script(http_error(kind))
    paths = {
        "claude": "/v1/messages",
        "gemini": "/v1beta/models/m:streamGenerateContent?alt=sse",
        "perplexity": "/v1/agent",
    }

    async with client.post(double.url + paths.get(provider, CHAT), json={}) as response:
        if (provider, kind) == ("gemini", Kind.CONTENT_FILTER):
            assert b'data: {"promptFeedback"' in await response.read()
            return
        assert response.status >= 400
        assert orjson.loads(await response.read())


# --- Which script ---------------------------------------------------------------------------


async def test_scripts_are_chosen_by_queue_then_model_then_chooser_then_default(
    double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(reply("queue"))
    double.on_model("a", reply("first"), reply("second"))
    double.choose(lambda seen: reply("chosen") if seen.body["model"] == "b" else None)

    heard = [said(await read(client, double, model=model)) for model in "aaaabc"]

    assert heard == ["queue", "first", "second", "second", "chosen", HELLO]


async def test_scripts_for_a_provider_are_played_in_their_order_whoever_asks_between(
    client: aiohttp.ClientSession,
) -> None:
    async with Double(speaks=lambda seen: seen.key or "openai") as double:
        double.on_provider("groq", reply("first"), reply("second"))
        double.on_provider("kimi", reply("third"))
        heard = []
        for key in ("groq", "kimi", "groq", "openai", "groq"):
            headers = {"authorization": f"Bearer {key}"}
            async with client.post(double.url + CHAT, json={}, headers=headers) as response:
                heard.append(said(await response.read()))

        assert heard == ["first", "third", "second", HELLO, "second"]
        assert [seen.number for seen in double.asked("groq")] == [1, 3, 5]
        assert double.asked("mistral") == []


async def test_the_model_of_a_path_chooses_as_well(
    double: Double, client: aiohttp.ClientSession
) -> None:
    double.on_model("gem", reply("by path"))

    body = await read(client, double, "/v1beta/models/gem:streamGenerateContent?alt=sse")

    assert b"by path" in body


async def test_any_answer_can_be_played(double: Double, client: aiohttp.ClientSession) -> None:
    double.script(
        http_answer(502, b"<html>Bad Gateway</html>", headers=(("x-a", "b"),)),
        http_answer(200, {"status": "failed"}),
        stream(b"data: recorded\n\n"),
    )

    async with client.post(double.url + CHAT) as response:
        assert (response.status, response.headers["x-a"]) == (502, "b")
        assert await response.text() == "<html>Bad Gateway</html>"
    async with client.post(double.url + CHAT) as response:
        assert response.content_type == "application/json"
        assert await response.json() == {"status": "failed"}
    assert await read(client, double) == b"data: recorded\n\n"


# --- The log --------------------------------------------------------------------------------


async def test_a_request_is_logged_as_it_was_sent(
    double: Double, client: aiohttp.ClientSession
) -> None:
    headers = {"X-CuStom-Name": "1", "api-key": "test-key-copilot"}
    url = double.url + CHAT + "?a=%20b"
    async with client.post(url, json={"model": "m", "n": [1]}, headers=headers) as response:
        await response.read()

    seen = double.requests[0]
    assert (seen.number, seen.method, seen.path) == (1, "POST", CHAT + "?a=%20b")
    assert seen.body == {"model": "m", "n": [1]}
    assert "X-CuStom-Name" in list(seen.headers)
    assert seen.headers["x-custom-name"] == "1"
    assert seen.key == "test-key-copilot"


async def test_a_body_that_is_not_json_is_logged_as_bytes(
    double: Double, client: aiohttp.ClientSession
) -> None:
    async with client.post(double.url + CHAT, data=b"\xff{") as response:
        assert response.status == 200

    assert double.requests[0].body == b"\xff{"


async def test_the_log_tells_when_and_how_an_answer_was_sent(
    double: Double, client: aiohttp.ClientSession
) -> None:
    gate = Gate()
    double.script(reply("a", Wait(gate), "b"))

    async with client.post(double.url + CHAT) as response:
        await gate.reached()
        seen = double.requests[0]
        sent = seen.sent
        assert (seen.finished, double.active) == (False, 1)
        gate.open()
        body = await response.read()

    await seen.over()
    assert seen.finished
    assert seen.left_at is None
    assert 0 < sent < seen.sent == len(body)
    times = [seen.arrived, seen.head_at, seen.first_at, seen.last_at]
    assert times == sorted(time or 0 for time in times)
    await double.quiet()


async def test_requests_on_one_connection_are_told_apart_from_those_on_fresh_ones(
    double: Double, client: aiohttp.ClientSession
) -> None:
    await read(client, double)
    await read(client, double)
    async with aiohttp.ClientSession() as another:
        await read(another, double)

    turns = [(seen.connection, seen.turn) for seen in double.requests]
    assert turns == [(1, 1), (1, 2), (2, 1)]
    assert double.accepted == 2


async def test_a_request_can_be_awaited_before_it_comes(
    double: Double, client: aiohttp.ClientSession
) -> None:
    seen, _ = await asyncio.gather(double.seen(1), read(client, double, model="awaited"))

    assert seen.model == "awaited"


async def test_nothing_is_left_when_the_clients_are_gone(double: Double) -> None:
    async with aiohttp.ClientSession() as client:
        await asyncio.gather(*(read(client, double) for _ in range(5)))
        assert 0 < double.open_connections <= 5

    await double.deserted()
    assert double.open_connections == 0
    assert double.active == 0


# --- Departures -----------------------------------------------------------------------------


def waiting_at(step: Step, place: str) -> Script:
    """A script that stands at `step` in that place."""
    scripts = {
        "before the headers": reply("a", before_headers=step),
        "before the first event": reply("a", before_preamble=step),
        "before the first content": reply(step, "a"),
        "in the middle": reply("a", step, "b"),
    }
    return scripts[place]


@pytest.mark.parametrize(
    "place",
    ["before the headers", "before the first event", "before the first content", "in the middle"],
)
async def test_a_client_that_leaves_is_noticed_while_the_script_waits(
    place: str, double: Double
) -> None:
    gate = Gate()
    double.script(waiting_at(Wait(gate), place))
    _, writer = await request(double)
    await gate.reached()
    now = asyncio.get_running_loop().time()

    writer.transport.abort()
    left = await double.requests[0].left()

    assert 0 <= left - now < 1
    assert double.requests[0].ending == "left"
    await double.deserted()


@pytest.mark.parametrize(
    "script",
    [
        play(Stall()),
        reply("a").with_faults(stall_at(3)),
        reply("a", Delay(3600), "b"),
        reply("a", Repeat(b":\n", 0.001)),
        reply(*["word "] * 5000, between=0.001),
    ],
    ids=["stall", "stall after bytes", "delay", "repeat", "paced"],
)
async def test_a_client_that_leaves_is_noticed_at_every_step(
    script: Script, double: Double
) -> None:
    double.script(script)
    _, writer = await request(double)
    seen = await double.seen(1)

    writer.close()
    await writer.wait_closed()

    await seen.left()
    assert double.active == 0


async def test_waiting_for_a_departure_fails_where_the_answer_was_finished(
    double: Double, client: aiohttp.ClientSession
) -> None:
    await read(client, double)

    with pytest.raises(AssertionError, match="the client did not leave: finished"):
        await double.requests[0].left()


async def test_closing_a_double_resets_the_clients_it_still_has() -> None:
    async with Double() as double:
        double.script(play(Stall()))
        reader, writer = await request(double)
        await double.seen(1)

    assert double.open_connections == 0
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def request(double: Double) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A chat request on a connection of its own, sent but not read."""
    port = int(double.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}" % CHAT.encode())
    return reader, writer


# --- As a process ---------------------------------------------------------------------------


async def test_as_a_process_it_prints_its_address_answers_and_ends_on_sigterm(
    client: aiohttp.ClientSession,
) -> None:
    arguments = ["--speaks", "groq", "--chunks", "3", "--every-ms", "1"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.double", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()

    async with client.post(url + CHAT, json={"model": "m"}) as response:
        body = await response.read()
    async with client.get(url + LOG_PATH) as response:
        log = await response.json()

    assert said(body) == "word    " * 3
    assert b"x_groq" in body
    assert [(line["model"], line["ending"]) for line in log] == [("m", "finished")]
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
