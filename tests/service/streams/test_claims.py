"""An Idempotency-Key that several processes get at once, and what becomes of its holder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.events import ErrorCode
from service import clock, ids, tasks
from service.streams.stream import Stream
from tests.service.streams.events_for_tests import end
from tests.service.streams.processes import Process, begin, processes, redis, refused
from tests.service.usage.proxy import Proxy
from tests.service.usage.servers import Server, until

SAME, OTHER = b"s" * 32, b"o" * 32
"""Digests of requests."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with redis(tmp_path / "r") as server:
        yield server


async def test_of_two_who_come_at_once_with_a_key_one_generates_and_the_other_attaches(
    server: Server,
) -> None:
    async with processes(server.address, 2) as both:

        async def ask(process: Process, name: str) -> Stream:
            theirs = await process.shared.claim("key", SAME, name)
            return theirs or begin(process, name)

        one, other = await asyncio.gather(ask(both[0], "st_1"), ask(both[1], "st_2"))
        assert one.id == other.id
        assert {len(process.store) for process in both} == {0, 1}


async def test_a_key_that_was_used_for_another_request_is_a_conflict_everywhere(
    server: Server,
) -> None:
    async with processes(server.address, 2) as (here, there):
        assert await here.shared.claim("key", SAME, "st_1") is None
        begin(here, "st_1")
        assert await refused(there.shared.claim("key", OTHER, "st_2")) is ErrorCode.CONFLICT


async def test_a_key_of_which_nothing_came_is_free_again(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        assert await here.shared.claim("key", SAME, "st_1") is None
        waiting = tasks.spawn(there.shared.claim("key", SAME, "st_2"), name="claim")
        await here.shared.release("key", SAME, "st_1")
        assert await waiting is None


async def test_a_key_of_a_stream_that_has_expired_starts_another_one(server: Server) -> None:
    async with processes(server.address, 2, ttl=0.05) as (here, there):
        assert await here.shared.claim("key", SAME, "st_1") is None
        here.end(begin(here, "st_1"), end())
        await here.copied()

        async def gone() -> bool:
            return not await server.ask("EXISTS", "{r0}:st_1:meta")

        await until(gone)
        assert await there.shared.claim("key", SAME, "st_2") is None


async def test_a_key_whose_request_was_given_up_while_it_was_claimed_is_free(
    server: Server,
) -> None:
    async with processes(server.address, 2) as (here, there):
        assert await here.shared.claim("key", SAME, "st_1") is None
        waiting = tasks.spawn(there.shared.claim("key", SAME, "st_2"), name="claim")
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await tasks_named("streams: release")
        held = await server.ask("GET", here.shared._shards.find("key").claim("key"))
        assert held.startswith(b"st_1 ")


async def test_a_key_that_is_given_back_before_it_was_taken_is_free(tmp_path: Path) -> None:
    async with held(tmp_path) as (server, proxy, here):
        proxy.hold()
        assert await here.shared.claim("key", SAME, "st_1") is None
        proxy.cut()  # the claim is tried again, after a moment
        await here.shared.release("key", SAME, "st_1")
        proxy.release()
        await tasks_named("streams: ask Redis")
        assert (await server.ask("INFO", "commandstats"))["cmdstat_set"]["calls"] >= 1
        assert await server.ask("EXISTS", here.shared._shards.find("key").claim("key")) == 0


async def test_who_does_not_wait_for_redis_leaves_the_connection_as_it_was(tmp_path: Path) -> None:
    async with held(tmp_path) as (_, proxy, here):
        before = proxy.connections
        for number in range(3):
            proxy.hold()
            assert await here.shared.claim(f"key {number}", SAME, "st_1") is None
            proxy.release()
            await tasks_named("streams: ask Redis")
        assert proxy.connections == before


@asynccontextmanager
async def held(folder: Path) -> AsyncIterator[tuple[Server, Proxy, Process]]:
    """A process whose Redis can be made to wait."""
    async with redis(folder / "r") as server:
        assert server.address.path is not None
        async with (
            Proxy(Path(server.address.path)) as proxy,
            processes(proxy.address, 1) as (here,),
        ):
            yield server, proxy, here


async def tasks_named(name: str) -> None:
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == name))


async def test_of_two_who_come_to_one_process_with_a_key_one_waits_for_the_other(
    server: Server,
) -> None:
    async with processes(server.address, 1) as (here,):
        name = ids.new("st", clock.now_ms())
        assert await here.shared.claim("key", SAME, name) is None
        waiting = tasks.spawn(here.shared.claim("key", SAME, "st_2"), name="claim")
        await asyncio.sleep(0)
        stream = begin(here, name)
        assert await waiting is stream


async def test_a_key_that_is_known_to_be_another_s_is_not_taken_where_redis_is_slow(
    server: Server,
) -> None:
    """Generated twice, it would be paid twice."""
    async with processes(server.address, 2) as (owner, other):
        assert await owner.shared.claim("key", SAME, "st_1") is None
        find = other.shared._claims._find

        async def finds(name: str) -> Stream:
            try:
                return await find(name)
            finally:
                server.freeze()

        other.shared._claims._find = finds
        assert await refused(other.shared.claim("key", SAME, "st_2")) is ErrorCode.INTERNAL
        server.thaw()


async def test_a_key_whose_owner_died_is_taken_over_and_one_whose_owner_lives_is_not(
    server: Server,
) -> None:
    async with processes(server.address, 3) as (doomed, slow, third):
        assert await doomed.shared.claim("dead", SAME, "st_1") is None
        assert await slow.shared.claim("slow", SAME, "st_2") is None
        await doomed.dies()
        taken, refusal = await asyncio.gather(
            third.shared.claim("dead", SAME, "st_3"),
            refused(third.shared.claim("slow", SAME, "st_4")),
        )
        assert (taken, refusal) == (None, ErrorCode.INTERNAL)
