"""How a stream comes into Redis, whatever happens to Redis; a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from adapters.events import TextDelta
from service import clock
from service.streams.buffer_scripts import END, Shards
from service.streams.copies import NAMED_MS, RUN, Copies
from service.streams.log import StreamLog
from service.streams.question import Question
from service.streams.replicas import run_of
from service.streams.stream import Stream
from service.usage.client import Client, close, connect
from tests.service.streams.events_for_tests import end, start, text_block
from tests.service.streams.processes import PATIENCE, REQUEST, TS, redis
from tests.service.usage.proxy import Proxy
from tests.service.usage.servers import Server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with redis(tmp_path / "r") as server:
        yield server


@asynccontextmanager
async def clients(server: Server) -> AsyncIterator[Client]:
    client = server.client()
    yield client
    await close(client)


ASKED = Question(dialect="ui", model="auto", body={"messages": []})


def copied(
    client: Client, *, max_bytes: int = 1 << 23, ttl: float = 600, question: Question | None = None
) -> tuple[Copies, Stream]:
    """Copies, and a stream of theirs that has begun."""
    copies = Copies(Shards.of(client), "pr_1", ttl=ttl)
    log = StreamLog("st_1", max_bytes=max_bytes)
    stream = Stream(log, REQUEST, cancel_after=None, question=question)
    copies.add(stream)
    stream.log.append([start()], TS)
    return copies, stream


async def buffered(client: Client) -> list[bytes]:
    """All entries in the buffer, one for each number."""
    shards = Shards.of(client)
    found: Any = await client.xrange(shards.find("st_1").stream("st_1").entries)
    runs = [run_of(fields) for _, fields in found]
    for (first, run), (following, _) in pairwise(runs):
        assert following == first + len(run), "a gap"
    return [entry for _, run in runs for entry in run]


async def sends_all(copies: Copies, client: Client) -> None:
    async def always() -> None:
        while True:
            await copies.send(client)

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        sending = group.create_task(always())
        await copies.done()
        sending.cancel()


async def test_what_became_pending_while_a_call_was_on_its_way_goes_with_the_next(
    server: Server,
) -> None:
    async with clients(server) as client:
        copies, stream = copied(client)
        for word in "abc":
            stream.log.append([TextDelta("b1.0", word)], TS)
        await copies.send(client)
        assert (await server.ask("INFO", "commandstats"))["cmdstat_evalsha"]["calls"] == 1
        assert await buffered(client) == stream.log.read(0)


async def test_a_long_log_goes_in_runs_and_whole(server: Server) -> None:
    async with clients(server) as client:
        copies, stream = copied(client)
        big = "x" * (RUN // 3)
        stream.log.append([TextDelta("b1.0", big) for _ in range(10)], TS)
        stream.log.append([end()], TS)
        await sends_all(copies, client)
        assert await buffered(client) == stream.log.read(0)
        assert len(copies) == 0
        assert stream.log.readers == 0


async def test_a_reply_that_is_lost_makes_nothing_twice(server: Server) -> None:
    assert server.address.path is not None
    async with Proxy(Path(server.address.path)) as proxy, clients(server) as direct:
        client = connect(proxy.address, timeout=1)
        copies, stream = copied(client)
        await copies.send(client)
        proxy.drop_replies = 2
        stream.log.append([TextDelta("b1.0", "a")], TS)
        with pytest.raises((RedisError, OSError)):
            await copies.send(client)
        assert proxy.dropped == 2
        stream.log.append([TextDelta("b1.0", "b"), end()], TS)
        await sends_all(copies, client)
        assert await buffered(direct) == stream.log.read(0)
        await close(client)


async def test_a_redis_that_was_emptied_gets_everything_again(server: Server) -> None:
    async with clients(server) as client:
        copies, stream = copied(client)
        await copies.send(client)
        await server.ask("FLUSHALL")
        copies.doubt(Shards.of(client).find("st_1"))
        await sends_all(copies, client)
        assert await buffered(client) == stream.log.read(0)


async def test_what_was_asked_goes_with_the_first_run_and_again_where_redis_lost_it(
    server: Server,
) -> None:
    async with clients(server) as client:
        copies, stream = copied(client, question=ASKED)
        await copies.send(client)
        assert await asked(server) == ASKED.packed()
        await server.ask("HSET", "{r0}:st_1:meta", "question", "another")
        stream.log.append([TextDelta("b1.0", "a")], TS)
        await copies.send(client)
        assert await asked(server) == b"another"
        await server.ask("FLUSHALL")
        copies.doubt(Shards.of(client).find("st_1"))
        await sends_all(copies, client)
        assert await asked(server) == ASKED.packed()


async def asked(server: Server) -> object:
    return await server.ask("HGET", "{r0}:st_1:meta", "question")


async def test_what_was_asked_and_cannot_be_packed_keeps_no_stream_from_being_copied(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with clients(server) as client:
        odd = replace(ASKED, body={"half a character": "\ud83d"})
        copies, stream = copied(client, question=odd)
        await copies.send(client)
        assert await buffered(client) == stream.log.read(0)
        assert await asked(server) is None
    assert "what stream st_1 was asked cannot be kept" in caplog.text


async def test_where_the_log_has_dropped_what_redis_lost_its_fold_is_sent(server: Server) -> None:
    async with clients(server) as client:
        copies, stream = copied(client, max_bytes=4_000)
        stream.log.append(text_block("b1.0")[:1], TS)
        for number in range(100):
            stream.log.append([TextDelta("b1.0", f"{number} ")], TS)
        await sends_all(copies, client)
        await server.ask("FLUSHALL")
        stream.log.append([TextDelta("b1.0", "last"), end()], TS)
        await sends_all(copies, client)
        assert stream.log.first > 0
        assert await buffered(client) == stream.log.read(stream.log.first)
        first = await server.ask("HGET", "{r0}:st_1:meta", "first")
        assert int(first) == stream.log.first


async def test_a_stream_that_somebody_else_has_ended_is_left_alone(server: Server) -> None:
    async with clients(server) as client:
        copies, stream = copied(client)
        await copies.send(client)
        shard = Shards.of(client).find("st_1")
        keys = [*shard.stream("st_1").all, shard.lease("pr_1")]
        assert await END.run(client, keys, [1, 2, b"end\n\n", 1_000, NAMED_MS]) == 2
        stream.log.append([TextDelta("b1.0", "a")], TS)
        await copies.send(client)
        assert len(copies) == 0
        assert stream.log.readers == 0
        assert len(await buffered(client)) == 2


async def test_what_has_expired_before_redis_came_back_is_given_up(server: Server) -> None:
    async with clients(server) as client:
        copies, stream = copied(client, ttl=600)
        copies.forget(clock.monotonic() + 1_000)
        stream.log.append([end()], TS)
        copies.forget(clock.monotonic() + 599)
        assert copies.find("st_1") is stream
        copies.forget(clock.monotonic() + 600)
        assert copies.find("st_1") is None
        assert stream.log.readers == 0
        await copies.send(client)
        await copies.done()
        assert await buffered(client) == []
