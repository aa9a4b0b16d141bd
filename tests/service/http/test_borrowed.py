"""A borrowed dialect over real sockets: when bytes leave, what a failure is, who may come back.

The dialect is chat completions, but nothing here is about its words.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest

from adapters.errors import UpstreamError, make
from adapters.events import (
    BlockKind,
    BlockStart,
    ErrorCode,
    SequencedEvent,
    StreamEnd,
    TextDelta,
    UsageSource,
)
from service.dialects.chat_completions import ChatCompletions, ChatProjection
from service.dialects.projection import Asked, Named
from service.http.borrowed import Borrowed, Telling
from service.http.native import Native
from service.relay import Relay
from service.settings import Streams
from service.streams.fold import Fold
from service.streams.log import StreamLog
from service.streams.store import Store
from tests.double.steps import Gate
from tests.service.http.serving import Bench, becomes, served, until
from tests.service.http.test_sse import WORD, dechunked, raw_post, read_to_end
from tests.service.scripted import DONE, Scripted, chat, delta, deployment

PATH = "/v1/chat/completions"
CUT = UpstreamError(make(ErrorCode.STREAM_INTERRUPTED, "the connection was reset"))
REFUSED = UpstreamError(make(ErrorCode.RATE_LIMIT_PROVIDER, "slow down", retry_after_ms=1500))
NO_KEY = UpstreamError(make(ErrorCode.AUTH_PROVIDER, "the key is wrong"))


def body(*, stream: bool = True, **fields: object) -> dict[str, object]:
    messages = [{"role": "user", "content": "hi"}]
    return {"messages": messages, "model": "openai/auto", "stream": stream, **fields}


class Failing(ChatCompletions):
    """A dialect whose projection has a fault."""

    def projection(self, asked: Asked, named: Named) -> ChatProjection:
        del asked
        return _Failing(named, counted=False)


class _Failing(ChatProjection):
    def feed(self, event: SequencedEvent) -> bytes:
        if isinstance(event, StreamEnd):
            raise ZeroDivisionError
        return super().feed(event)


@asynccontextmanager
async def borrowed(
    *providers: Scripted,
    dialect: ChatCompletions | None = None,
    open_early: float = 20,
    max_events: int = 50_000,
    **settings: float,
) -> AsyncIterator[Bench]:
    """The route over providers called openai, groq, ..., and the native ones beside it."""
    names = ("openai", "groq")
    relay = Relay(
        Store(ttl=600),
        deployment(dict(zip(names, providers, strict=False))),
        max_events=max_events,
    )
    own = Streams.model_validate(settings)
    room = Borrowed(relay, own, dialect or ChatCompletions(), PATH, open_early=open_early)
    routes = [*Native(relay, own).routes(), *room.routes()]
    async with served(*routes, shapes=room.shapes()) as url, aiohttp.ClientSession() as session:
        yield Bench(relay, url, session)


async def told(
    bench: Bench,
    headers: Mapping[str, str] | None = None,
    *,
    stream: bool = True,
    model: str = "openai/auto",
) -> bytes:
    asked = body(stream=stream, model=model)
    async with bench.session.post(bench.url + PATH, json=asked, headers=headers) as answer:
        return await answer.read()


async def test_an_answer_comes_as_a_projection_of_its_stream() -> None:
    async with (
        borrowed(Scripted(*chat("Hel", "lo"))) as bench,
        bench.session.post(bench.url + PATH, json=body()) as response,
    ):
        raw = await response.read()
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["Tailrace-Provider"] == "openai"
        assert response.headers["Tailrace-Model"] == "openai-one"
        stream = bench.relay.store.get(response.headers["Tailrace-Stream-Id"])
    assert stream.log.end is not None
    assert raw.endswith(b"data: [DONE]\n\n")
    assert b"id: " not in raw
    assert b"retry: " not in raw
    assert b"event: " not in raw


async def test_tokens_come_as_they_are_made_and_those_of_one_read_in_one_write() -> None:
    gate = Gate()
    two = delta("a") + delta("b")
    async with (
        borrowed(Scripted(delta("first"), gate, two, *chat("c"))) as bench,
        bench.session.post(bench.url + PATH, json=body()) as response,
    ):
        writes, data = [], b""
        async for piece, ends in response.content.iter_chunks():  # a write is an HTTP chunk
            data += piece
            if ends:
                writes.append(data.count(b'"content":"'))
                data = b""
                gate.open()
    assert writes[:3] == [1, 2, 1]


async def test_a_whole_answer_is_one_document_that_says_who_gave_it() -> None:
    async with borrowed(Scripted(*chat("Hel", "lo"))) as bench:
        asked = bench.session.post(bench.url + PATH, json=body(stream=False))
        async with asked as response:
            document = await response.json()
        assert document["choices"][0]["message"]["content"] == "Hello"
        assert document["id"].removeprefix("chatcmpl-") in response.headers["Tailrace-Stream-Id"]
        assert response.headers["Tailrace-Provider"] == "openai"
        assert response.headers["Tailrace-Model"] == "openai-one"


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_a_failure_before_any_content_is_an_http_error_in_the_dialects_shape(
    stream: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    async with borrowed(Scripted(REFUSED)) as bench:
        asked = bench.session.post(bench.url + PATH, json=body(stream=stream))
        async with asked as response:
            problem = await response.json()
        assert response.status == 429
        assert response.headers["Retry-After"] == "2"
        assert "x-should-retry" not in response.headers
        assert bench.relay.store.get(response.headers["Tailrace-Stream-Id"]).ended
        assert problem == {
            "error": {
                "message": "slow down",
                "type": "rate_limit_error",
                "param": None,
                "code": "rate_limit_provider",
            }
        }


async def test_an_sdk_is_told_not_to_try_again_what_will_fail_again() -> None:
    async with borrowed(Scripted(NO_KEY)) as bench:
        async with bench.session.post(bench.url + PATH, json=body()) as response:
            assert response.status == 502
        assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (orjson.dumps(body(n=2)), "n"),
        (orjson.dumps(body(temperature=3)), "temperature"),
    ],
)
async def test_a_bad_body_is_refused_in_the_dialects_shape(sent: bytes, param: str | None) -> None:
    async with (
        borrowed(Scripted(*chat("hi"))) as bench,
        bench.session.post(bench.url + PATH, data=sent) as response,
    ):
        problem = (await response.json())["error"]
        assert (response.status, problem["type"]) == (400, "invalid_request_error")
        assert problem["param"] == param


async def test_a_body_that_is_too_large_is_refused_in_the_dialects_shape() -> None:
    async with (
        borrowed(Scripted(*chat("hi"))) as bench,
        bench.session.post(bench.url + PATH, data=io.BytesIO(b"x" * 2**21)) as response,
    ):
        assert response.status == 413
        assert (await response.json())["error"]["code"] == "payload_too_large"


async def test_an_answer_that_breaks_ends_with_the_dialects_error_and_no_clean_end() -> None:
    async with borrowed(Scripted(delta("half"), CUT)) as bench:
        raw = await told(bench)
    assert b"half" in raw
    last = raw.rstrip().rpartition(b"\n\n")[2]
    assert orjson.loads(last.removeprefix(b"data: "))["error"]["code"] == "stream_interrupted"
    assert b"[DONE]" not in raw


class Wordless(ChatCompletions):
    """A dialect that has no words for what the model said."""

    def document(self, asked: Asked, named: Named, fold: Fold, end: StreamEnd) -> dict[str, Any]:
        del asked, named, fold, end
        raise UpstreamError(make(ErrorCode.UPSTREAM_MALFORMED, "no such word"))


async def test_an_answer_that_the_dialect_cannot_tell_is_an_error_of_its_shape() -> None:
    async with borrowed(Scripted(*chat("Hello")), dialect=Wordless()) as bench:
        asked = bench.session.post(bench.url + PATH, json=body(stream=False))
        async with asked as response:
            document = await response.json()
        assert response.status == 502
        assert document["error"]["code"] == "upstream_malformed"
        assert bench.relay.store.get(response.headers["Tailrace-Stream-Id"]).ended


async def test_what_a_provider_did_not_count_is_told_as_an_estimate() -> None:
    uncounted = Scripted(delta("Hello there"), *chat()[:1], DONE)
    async with borrowed(uncounted) as bench:
        asked = bench.session.post(bench.url + PATH, json=body(stream=False))
        async with asked as response:
            usage = (await response.json())["usage"]
        end = bench.relay.store.get(response.headers["Tailrace-Stream-Id"]).log.end
    assert usage["completion_tokens"] == 3  # eleven bytes, four to a token
    assert usage["prompt_tokens"] > 0
    assert end is not None
    assert end.usage.source is UsageSource.ESTIMATED


async def test_half_an_answer_is_no_document() -> None:
    async with (
        borrowed(Scripted(delta("half"), CUT)) as bench,
        bench.session.post(bench.url + PATH, json=body(stream=False)) as response,
    ):
        assert response.status == 502
        assert (await response.json())["error"]["code"] == "stream_interrupted"


async def test_who_waits_for_a_whole_answer_gets_it_from_somebody_else() -> None:
    async with borrowed(Scripted(delta("half"), CUT), Scripted(*chat("Hello"))) as bench:
        latency = {"strategy": "normal", "providers": ["openai", "groq"]}
        headers = {"Tailrace-Latency": orjson.dumps(latency).decode()}
        document = orjson.loads(await told(bench, headers, stream=False, model="auto"))
    assert document["choices"][0]["message"]["content"] == "Hello"


async def test_headers_route_and_win_over_metadata() -> None:
    async with borrowed(Scripted(*chat("a")), Scripted(*chat("b"))) as bench:
        metadata = {"tailrace_latency": '{"providers": ["openai"]}', "tailrace_use_case": "expert"}
        headers = {"Tailrace-Latency": '{"providers": ["groq"]}'}
        async with bench.session.post(
            bench.url + PATH, json=body(model="auto", metadata=metadata), headers=headers
        ) as response:
            await response.read()
        assert response.headers["Tailrace-Provider"] == "groq"
        stream = bench.relay.store.get(response.headers["Tailrace-Stream-Id"])
        assert stream.request.use_case == "expert"
        assert stream.request.metadata == {}


async def test_the_headers_leave_before_a_proxy_loses_patience_and_comments_follow() -> None:
    gate = Gate()
    async with (
        borrowed(Scripted(b": wait\n\n", gate, CUT), open_early=0.01, keepalive_s=0.02) as bench,
        bench.session.post(bench.url + PATH, json=body()) as response,
    ):
        assert response.status == 200
        assert "Tailrace-Provider" not in response.headers
        early = await until(response, b":\n:\n")
        assert early.replace(b":\n", b"") == b""
        gate.open()
        late = await response.read()
    assert orjson.loads(late.replace(b":\n", b"", 0).rpartition(b"data: ")[2])["error"]
    assert b"[DONE]" not in late


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_a_client_that_leaves_ends_the_generation(
    stream: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    provider = Scripted(delta("first"), Gate(), *chat("never"))
    async with borrowed(provider) as bench:
        asking = asyncio.create_task(told(bench, stream=stream))  # noqa: TID251 - this test's own
        await becomes(lambda: provider.open)
        asking.cancel()
        await provider.quiet()
        await becomes(lambda: not bench.relay.store.live)


async def test_an_idempotency_key_attaches_and_keeps_the_generation_for_who_comes_back() -> None:
    gate = Gate()
    provider = Scripted(delta("first"), gate, *chat("second"))
    key = {"Idempotency-Key": "k-1"}
    async with borrowed(provider) as bench:
        async with bench.session.post(bench.url + PATH, json=body(), headers=key) as response:
            await until(response, b"first")
        [stream] = bench.relay.store.live
        await becomes(lambda: not stream.attached)
        gate.open()
        again = await told(bench, key)
        assert b"first" in again
        assert b"second" in again
        assert len(provider.sent) == 1
        async with bench.session.post(
            bench.url + PATH, json=body(temperature=1), headers=key
        ) as response:
            assert response.status == 409


async def test_who_streams_an_answer_that_was_begun_again_for_another_gets_what_stands() -> None:
    key = {"Idempotency-Key": "k-1"}
    async with borrowed(Scripted(delta("Bro"), CUT), Scripted(*chat("Whole"))) as bench:
        whole = await told(bench, key, stream=False, model="auto")
        streamed = await told(bench, key, model="auto")
    assert orjson.loads(whole)["choices"][0]["message"]["content"] == "Whole"
    assert b"Bro" not in streamed
    assert b'"content":"Whole"' in streamed
    assert streamed.endswith(b"data: [DONE]\n\n")


async def test_the_same_answer_has_the_same_bytes_whenever_it_is_told() -> None:
    key = {"Idempotency-Key": "k-1"}
    async with borrowed(Scripted(*chat("a", "b"))) as bench:
        assert await told(bench, key) == await told(bench, key)


async def test_a_late_reader_of_a_log_that_was_cut_gets_the_whole_answer() -> None:
    key = {"Idempotency-Key": "k-1"}
    words = [f"w{number} " for number in range(300)]
    async with borrowed(Scripted(*chat(*words)), max_events=64) as bench:
        await told(bench, key)
        [kept] = bench.relay.store._kept.values()
        assert kept.stream.log.first > 0
        raw = await told(bench, key)
    said = [orjson.loads(line[6:]) for line in raw.split(b"\n\n")[:-2]]
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in said) == "".join(words)
    assert raw.endswith(b"data: [DONE]\n\n")


async def test_a_client_that_stops_reading_is_cut_off_with_an_error() -> None:
    provider = Scripted(*chat(*[WORD] * 1_000))
    async with borrowed(provider, slow_reader_s=0.2) as bench:
        connection = await raw_post(bench, path=PATH, document=body())
        await becomes(lambda: bench.relay.store.live)
        [stream] = bench.relay.store.live
        await stream.over()
        await becomes(lambda: not stream.log.readers)
        text, ended = dechunked(await read_to_end(connection))
    assert not ended, "a cut must not look like an end"
    assert b"[DONE]" not in text


async def test_a_fault_of_a_projection_breaks_the_connection_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with borrowed(Scripted(*chat("a", "b")), dialect=Failing()) as bench:
        with pytest.raises(aiohttp.ClientError):
            await told(bench)
        [kept] = bench.relay.store._kept.values()
        await kept.stream.over()
        end = kept.stream.log.end
        assert end is not None
        assert end.status == "completed"
    assert "a projection failed" in caplog.text


def test_who_was_told_the_beginning_cannot_be_told_it_again_in_fewer_words() -> None:
    log = StreamLog("st_1", max_events=2)
    telling = Telling(ChatProjection(Named(stream="st_1", model="auto", created=0), counted=False))
    first = [BlockStart(block="b", index=0, attempt=1, kind=BlockKind.TEXT), TextDelta("b", "a")]
    log.append(first, 0)
    assert b'"a"' in (telling.tell(log.read(0)) or b"")
    log.append([TextDelta("b", "c"), TextDelta("b", "d")], 0)
    assert log.first > 0
    assert telling.catch_up(log) is None


async def test_an_error_whose_status_would_be_a_success_is_a_bad_gateway() -> None:
    blocked = make(ErrorCode.CONTENT_BLOCKED_OUTPUT, "blocked")
    async with (
        borrowed(Scripted(delta("half"), UpstreamError(blocked))) as bench,
        bench.session.post(bench.url + PATH, json=body(stream=False)) as response,
    ):
        assert response.status == 502
