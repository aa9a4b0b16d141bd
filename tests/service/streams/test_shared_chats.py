"""Where chats are, between processes on a real Redis that comes and goes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.streams.chats import At
from service.streams.shared_chats import MOST
from service.usage.client import close
from tests.service.http.serving import becomes
from tests.service.streams.processes import Process, cluster, processes, redis
from tests.service.usage.servers import Server, until

OLD, NEW = "st_1", "st_2"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with redis(tmp_path / "r") as server:
        yield server


def key(process: Process, chat: str) -> str:
    return process.shared._shards.find(chat).chat(chat)


async def test_what_was_put_here_is_found_there(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        here.stream(NEW)
        here.store.chats.put("c", At(NEW))
        await here.shared._chats.done()
        await until_there(there, "c", At(NEW))
        there.store.chats.put("c", At(NEW, told=True))
        await there.shared._chats.done()
        await until_there(here, "c", At(NEW, told=True))
        assert await there.store.chats.find("another") is None


async def test_of_two_processes_the_one_with_the_newer_stream_is_right(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        there.store.chats.put("c", At(NEW))
        await there.shared._chats.done()
        here.store.chats.put("c", At(OLD, told=True))
        await here.shared._chats.done()
        for process in (here, there):
            await until_there(process, "c", At(NEW))


async def test_a_chat_lies_there_without_its_name_and_not_for_ever(server: Server) -> None:
    async with processes(server.address, 1, ttl=60) as (here,):
        here.store.chats.put("what I told my doctor", At(NEW))
        await here.shared._chats.done()
        (name,) = await server.ask("KEYS", "*chat*")
        assert name.decode() == key(here, "what I told my doctor")
        assert b"doctor" not in name
        assert await server.ask("PTTL", name) > 3_600_000
        here.store.chats.put("what I told my doctor", At(NEW, told=True))
        await here.shared._chats.done()
        assert 0 < await server.ask("PTTL", name) <= 60_000


async def test_without_redis_a_process_knows_its_own_and_tells_them_when_it_is_back(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with processes(server.address, 2) as (here, there):
        await server.kill()
        here.stream(NEW)
        for number in range(3):
            here.store.chats.put(f"c{number}", At(NEW))
        async with asyncio.timeout(5):
            assert await here.store.chats.find("c1") == At(NEW)
            assert await there.store.chats.find("c1") is None
        await becomes(lambda: "chats wait for Redis" in caplog.text)
        await server.start()

        async def told() -> bool:
            return bool(await server.ask("EXISTS", *(key(here, f"c{n}") for n in range(3))) == 3)

        await until(told)
        await until_there(there, "c1", At(NEW))
    assert caplog.text.count("chats wait for Redis") == 1


async def until_there(process: Process, chat: str, at: At) -> None:
    """A process that could not greet Redis in time knows nothing of it before its first beat."""

    async def there() -> bool:
        return await process.store.chats.find(chat) == at

    await until(there)


async def test_a_redis_that_was_emptied_is_told_again(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        here.stream(NEW)
        here.store.chats.put("c", At(NEW))
        await here.shared._chats.done()
        await server.ask("FLUSHALL")
        await until_there(there, "c", At(NEW))


async def test_of_too_many_that_wait_for_redis_the_oldest_are_dropped(server: Server) -> None:
    async with processes(server.address, 1) as (here,):
        shared = here.shared._chats
        shared.put("first", At(NEW))
        await shared.done()
        await here.sleeps("chats")
        for number in range(MOST + 1):
            shared.put(f"c{number}", At(NEW))
        client = server.client()
        await shared.send(client)
        await close(client)
        assert await server.ask("EXISTS", key(here, "c0")) == 0
        assert await server.ask("EXISTS", key(here, f"c{MOST}")) == 1


async def test_on_a_cluster_chats_of_every_shard_are_found(tmp_path: Path) -> None:
    async with cluster(tmp_path / "c") as server, processes(server.as_cluster(), 2) as pair:
        here, there = pair
        names = [f"chat {number}" for number in range(12)]
        assert len({here.shared._shards.find(name) for name in names}) > 1
        for name in names:
            here.store.chats.put(name, At(NEW))
        await here.shared._chats.done()
        for name in names:
            await until_there(there, name, At(NEW))
