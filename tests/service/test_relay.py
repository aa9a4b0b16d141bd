"""One request's whole story, against scripted providers: what lands in the log, and when."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.dialects.gemini import Gemini
from adapters.errors import RequestError, UpstreamError, make
from adapters.events import (
    AttemptCommit,
    AttemptEnd,
    AttemptStart,
    BlockEnd,
    BlockKind,
    BlockStart,
    ErrorCode,
    Event,
    Finish,
    Outcome,
    Phase,
    RoutePlan,
    Status,
    StreamEnd,
    StreamStart,
    TextDelta,
)
from adapters.request import ChatRequest
from service import clock, tasks
from service.relay import Ask, Relay
from service.streams.log import decode
from service.streams.question import Question
from service.streams.store import Store
from service.streams.stream import Stream
from tests.double.steps import Gate
from tests.service.scripted import DONE, Scripted, chat, delta, deployment
from tests.service.streams.processes import processes, redis
from tests.service.usage.proxy import Proxy

CUT = UpstreamError(make(ErrorCode.STREAM_INTERRUPTED, "the connection was reset"))
REFUSED = UpstreamError(make(ErrorCode.UPSTREAM_CONNECT, "refused"))
KEEPALIVE = b": keep-alive\n\n"


def ask(key: str | None = None, cancel_after: float | None = None, **fields: object) -> Ask:
    body = {"messages": [{"role": "user", "content": "hi"}], "model": "openai/auto", **fields}
    return Ask(
        request=ChatRequest.model_validate(body),
        dialect="native",
        cancel_after=cancel_after,
        idempotency_key=key,
        arrived=clock.monotonic(),
    )


def relay_of(provider: Scripted) -> Relay:
    return Relay(Store(ttl=600), deployment({"openai": provider}))


def events_of(stream: Stream) -> list[Event]:
    return [decode(entry) for entry in stream.log.read(0)]


async def finished(provider: Scripted, **fields: object) -> tuple[list[Event], StreamEnd]:
    """Every event of a request to `provider`, and the last one."""
    stream, _ = relay_of(provider).open(ask(**fields))
    await stream.over()
    await provider.quiet()
    await tasks.settle(patience=1)
    events = events_of(stream)
    last = events[-1]
    assert isinstance(last, StreamEnd)
    return events, last


async def reached(stream: Stream, seq: int) -> None:
    """Wait until the log holds the event of that number."""
    arrived = asyncio.Event()

    class Watcher:
        def push(self, new: list[bytes], upto: int) -> None:
            del new
            if upto > seq:
                arrived.set()

    watcher = Watcher()
    stream.log.subscribe(watcher)
    watcher.push([], stream.log.next)
    await arrived.wait()
    stream.log.unsubscribe(watcher)


async def test_a_whole_answer_is_told_in_the_order_of_the_grammar() -> None:
    events, end = await finished(Scripted(*chat("Hel", "lo")))
    assert [type(event) for event in events] == [
        StreamStart,
        RoutePlan,
        AttemptStart,
        AttemptCommit,
        BlockStart,
        TextDelta,
        TextDelta,
        BlockEnd,
        AttemptEnd,
        StreamEnd,
    ]
    assert (end.status, end.finish, end.error) == (Status.COMPLETED, Finish.STOP, None)
    assert (end.provider, end.model) == ("openai", "openai-one")
    assert (end.usage.input, end.usage.output) == (3, 2)
    assert end.usage_total.total == 5
    assert [summary.outcome for summary in end.attempts] == [Outcome.COMPLETED]


async def test_nothing_of_an_answer_is_told_before_its_first_content() -> None:
    gate = Gate()
    opening = b'{"id":"chatcmpl-1","model":"m-1","choices":[{"index":0,"delta":{"content":""}}]}'
    preamble = b"data: " + opening + b"\n\n"
    provider = Scripted(preamble, gate, *chat("hi"))
    stream, _ = relay_of(provider).open(ask())
    await gate.reached()
    assert [type(event) for event in events_of(stream)] == [StreamStart, RoutePlan, AttemptStart]
    assert not stream.content_started
    gate.open()
    await stream.over()
    commit = events_of(stream)[3]
    assert isinstance(commit, AttemptCommit)
    assert (commit.reason, commit.upstream_id) == ("first_content", "chatcmpl-1")


async def test_a_clean_end_without_content_is_an_answer() -> None:
    events, end = await finished(Scripted(*chat()))
    assert [event.reason for event in events if isinstance(event, AttemptCommit)] == ["empty_end"]
    assert (end.status, end.finish) == (Status.COMPLETED, Finish.STOP)


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ([REFUSED], ErrorCode.UPSTREAM_CONNECT),
        ([KEEPALIVE, CUT], ErrorCode.STREAM_INTERRUPTED),
        ([KEEPALIVE], ErrorCode.STREAM_INTERRUPTED),
        ([b"data: <html>\n\n"], ErrorCode.UPSTREAM_MALFORMED),
        ([b'data: {"error":{"message":"no","code":"x"}}\n\n', DONE], None),
    ],
    ids=["refused", "reset", "closed", "garbage", "error-frame"],
)
async def test_a_failure_before_content_ends_the_stream_without_a_commit(
    pieces: list[bytes | UpstreamError], code: ErrorCode | None
) -> None:
    events, end = await finished(Scripted(*pieces))
    assert not [event for event in events if isinstance(event, AttemptCommit | BlockStart)]
    assert end.status is Status.FAILED
    assert end.error is not None
    assert code is None or end.error.code is code
    assert (end.error.phase, end.error.bytes_out) == (Phase.BEFORE_COMMIT, False)
    assert (end.error.provider, end.error.attempt) == ("openai", 1)
    assert end.provider is None


@pytest.mark.parametrize("tail", [[], [CUT]], ids=["closed", "reset"])
async def test_an_answer_cut_in_the_middle_is_interrupted_and_keeps_what_came(
    tail: list[UpstreamError],
) -> None:
    events, end = await finished(Scripted(delta("half"), *tail))
    assert (end.status, end.finish) == (Status.FAILED, Finish.INTERRUPTED)
    assert end.error is not None
    assert (end.error.phase, end.error.bytes_out) == (Phase.MID_STREAM, True)
    blocks = [event for event in events if isinstance(event, BlockEnd)]
    assert [block.status for block in blocks] == ["incomplete"]
    assert [event.delta for event in events if isinstance(event, TextDelta)] == ["half"]


@pytest.mark.parametrize("tail", [[], [CUT]], ids=["closed", "reset"])
async def test_an_answer_cut_after_its_finish_signal_is_complete(
    tail: list[UpstreamError],
) -> None:
    whole = chat("all of it")
    _, end = await finished(Scripted(*whole[:2], *tail))
    assert (end.status, end.finish, end.error) == (Status.COMPLETED, Finish.STOP, None)


async def test_cancelling_writes_the_end_before_it_returns_and_closes_the_connection() -> None:
    provider = Scripted(delta("a"), Gate())
    stream, _ = relay_of(provider).open(ask())
    await stream.opened()
    await reached(stream, 5)
    stream.cancel("cancelled by the client")
    end = events_of(stream)[-1]
    assert isinstance(end, StreamEnd)
    assert (end.status, end.finish) == (Status.CANCELLED, Finish.CANCELLED)
    assert [summary.outcome for summary in end.attempts] == [Outcome.CANCELLED]
    await provider.quiet()
    stream.cancel("again")
    assert events_of(stream)[-1] == end


async def test_the_last_reader_that_leaves_cancels_under_cancel_after_zero() -> None:
    provider = Scripted(delta("a"), Gate())
    stream, _ = relay_of(provider).open(ask(cancel_after=0))
    first, second = object(), object()
    stream.attach(first)
    stream.attach(second)
    await stream.opened()
    stream.detach(first)
    assert not stream.ended
    stream.detach(second)
    assert stream.ended
    await provider.quiet()


async def test_a_reader_that_returns_within_the_grace_keeps_the_answer_alive() -> None:
    gate = Gate()
    stream, _ = relay_of(Scripted(delta("a"), gate, *chat("b"))).open(ask(cancel_after=0.05))
    stream.attach("first")
    await stream.opened()
    stream.detach("first")
    stream.attach("second")
    gate.open()
    await stream.over()
    end = events_of(stream)[-1]
    assert isinstance(end, StreamEnd)
    assert end.status is Status.COMPLETED


async def test_a_grace_without_a_reader_runs_out_and_cancels() -> None:
    provider = Scripted(delta("a"), Gate())
    stream, _ = relay_of(provider).open(ask(cancel_after=0.01))
    stream.attach("first")
    stream.detach("first")
    await stream.over()
    end = events_of(stream)[-1]
    assert isinstance(end, StreamEnd)
    assert end.status is Status.CANCELLED


@pytest.mark.parametrize(
    ("pieces", "deadlines", "code"),
    [
        ([Gate()], {"first_content_ms": 30}, ErrorCode.TIMEOUT_FIRST_TOKEN),
        ([KEEPALIVE, Gate()], {"first_content_ms": 30}, ErrorCode.TIMEOUT_FIRST_TOKEN),
        ([delta("a"), Gate()], {"stall_ms": 30}, ErrorCode.TIMEOUT_IDLE),
        ([delta("a"), KEEPALIVE, Gate()], {"stall_ms": 30}, ErrorCode.TIMEOUT_IDLE),
        ([delta("a"), Gate()], {"total_ms": 30}, ErrorCode.TIMEOUT_TOTAL),
        ([Gate()], {"total_ms": 30}, ErrorCode.TIMEOUT_TOTAL),
    ],
    ids=["headers", "first-token", "stall", "keep-alives", "total", "total-before-headers"],
)
async def test_each_limit_ends_the_stream_with_its_own_code(
    pieces: list[bytes | Gate], deadlines: dict[str, int], code: ErrorCode
) -> None:
    events, end = await finished(Scripted(*pieces), deadlines=deadlines)
    assert end.error is not None
    assert end.error.code is code
    assert end.status is Status.FAILED
    assert [event.outcome for event in events if isinstance(event, AttemptEnd)] == [Outcome.TIMEOUT]


async def test_a_bug_in_an_attempt_still_ends_its_stream() -> None:
    class Broken(Scripted):
        async def send(self, *_: object, **__: object) -> object:  # type: ignore[override]
            raise ZeroDivisionError

    _, end = await finished(Broken())
    assert end.error is not None
    assert end.error.code is ErrorCode.INTERNAL
    assert "Zero" not in end.error.message


async def test_a_request_the_dialect_cannot_say_fails_without_an_attempt() -> None:
    picture = {"type": "image_url", "image_url": {"url": "http://example.com/a.png"}}
    provider = Scripted(*chat("hi"))
    strict = deployment({"openai": provider})
    entry = strict.known["openai"]
    object.__setattr__(entry.provider, "dialect", Gemini())  # takes images over https only
    stream, _ = Relay(Store(ttl=1), strict).open(
        ask(messages=[{"role": "user", "content": [picture]}])
    )
    await stream.over()
    events = events_of(stream)
    assert not [event for event in events if isinstance(event, AttemptStart)]
    error = stream.failed_before_content
    assert error is not None
    assert error.code is ErrorCode.UNSUPPORTED_PARAMETER
    assert provider.sent == []


async def test_the_same_idempotency_key_and_request_attach_and_another_request_conflicts() -> None:
    provider = Scripted(*chat("hi"))
    relay = relay_of(provider)
    first, plan = relay.open(ask(key="k"))
    again, no_plan = relay.open(ask(key="k"))
    assert again is first
    assert plan is not None
    assert no_plan is None
    with pytest.raises(RequestError) as refusal:
        relay.open(ask(key="k", temperature=1.0))
    assert refusal.value.error.code is ErrorCode.CONFLICT
    await first.over()
    assert len(provider.sent) == 1


def repeating(**body: object) -> Question:
    return Question(dialect="openai-responses", model="openai/auto", body=body)


async def test_a_key_is_of_one_dialect_and_of_what_the_answer_repeats() -> None:
    relay = relay_of(Scripted(*chat("hi")))
    first = replace(ask(key="k"), question=repeating(store=False, metadata={"a": "b", "c": "d"}))
    stream, _ = relay.open(first)
    same = repeating(metadata={"c": "d", "a": "b"}, store=False)
    assert relay.open(replace(first, question=same))[0] is stream
    for other in (
        replace(first, question=repeating(metadata={"a": "b", "c": "d"})),
        replace(first, question=None),
        replace(first, dialect="openai-chat"),
    ):
        with pytest.raises(RequestError) as refusal:
            relay.open(other)
        assert refusal.value.error.code is ErrorCode.CONFLICT
    await stream.over()


async def test_a_draining_relay_takes_nothing_new_but_still_attaches() -> None:
    relay = relay_of(Scripted(*chat("hi")))
    running, _ = relay.open(ask(key="k"))
    relay.draining = True
    assert relay.open(ask(key="k"))[0] is running
    with pytest.raises(RequestError) as refusal:
        relay.open(ask())
    assert refusal.value.error.code is ErrorCode.DRAINING
    assert refusal.value.error.retry_after_ms is not None
    await running.over()


async def test_a_stream_keeps_the_clients_it_started_with() -> None:
    gate = Gate()
    relay = relay_of(Scripted(delta("old"), gate, *chat(" answer")))
    stream, _ = relay.open(ask())
    await stream.opened()
    replacement = Scripted(*chat("new"))
    relay.deployment = deployment({"openai": replacement})
    gate.open()
    await stream.over()
    assert stream.log.fold().text(BlockKind.TEXT) == "old answer"
    later, _ = relay.open(ask())
    await later.over()
    assert later.log.fold().text(BlockKind.TEXT) == "new"


async def test_an_end_forgets_nothing_until_the_ttl_has_passed() -> None:
    relay = relay_of(Scripted(*chat("hi")))
    stream, _ = relay.open(ask())
    await stream.over()
    now = clock.monotonic()
    assert relay.store.sweep(now + 599) == 0
    assert relay.store.sweep(now + 601) == 1


async def test_getting_to_know_somebody_is_no_other_decision() -> None:
    clients = {name: Scripted(*chat(name)) for name in ("openai", "groq")}
    relay = Relay(Store(ttl=600), deployment(clients))
    firsts = []
    for _ in range(400):
        stream, decided = relay.open(ask(model="auto", latency="hedge"))
        await stream.over()
        assert decided is not None
        shown = next(event for event in events_of(stream) if isinstance(event, RoutePlan))
        firsts.append((decided.choices[0].endpoint.provider.name, shown.candidates[0].provider))
    decided_for = {first for first, _ in firsts}
    assert len(decided_for) == 1
    assert {asked for _, asked in firsts} == {"openai", "groq"}
    await tasks.settle(patience=1)


async def test_of_two_with_a_key_that_redis_left_to_themselves_the_later_lets_go_of_it(
    tmp_path: Path,
) -> None:
    async with redis(tmp_path / "r") as server:
        assert server.address.path is not None
        async with (
            Proxy(Path(server.address.path)) as proxy,
            processes(proxy.address, 1) as (here,),
        ):
            provider = Scripted(*chat("hi"))
            relay = Relay(here.store, deployment({"openai": provider}), processes=here.shared)
            proxy.hold()
            async with asyncio.TaskGroup() as group:
                earlier = group.create_task(relay.start(ask(key="k")))
                await asyncio.sleep(0.01)
                proxy.cut()  # what it has asked Redis comes after what the later one asks
                later = group.create_task(relay.start(ask(key="k")))
            stream, _ = earlier.result()
            assert later.result() == (stream, None)
            proxy.release()
            await asyncio.gather(
                *(task for task in asyncio.all_tasks() if task.get_name() == "streams: ask Redis")
            )
            held = await server.ask("GET", here.shared._shards.find("k").claim("k"))
            assert (held or stream.id.encode()).startswith(stream.id.encode())
            await stream.over()
