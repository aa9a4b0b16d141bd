"""Where buffers lie, and that a script adds only what continues them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import RedisCluster

from service.streams.buffer_scripts import (
    AT,
    CLAIM,
    END,
    FENCED,
    GONE,
    KEEP,
    RELEASE,
    SHARDS,
    Shard,
    Shards,
)
from service.usage.client import Address, Client, Layout, close, connect
from tests.service.streams.processes import redis

SHARD = Shard(0)
BUFFER = SHARD.stream("st_1")
LIFE = (60_000, 30_000, 10_000)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with redis(tmp_path / "r") as server:
        client = server.client()
        yield client
        await close(client)


async def keep(
    client: Client,
    first: int,
    *entries: bytes,
    ends: bool = False,
    fold: tuple[int, bytes] = (0, b""),
    question: bytes = b"",
) -> int:
    """Add a run to a stream's buffer; the number that is wanted next."""
    after = first + len(entries)
    of_stream = ("0", question, *fold, first, after, "1" if ends else "0", b"".join(entries))
    (upto,) = await KEEP.run(client, BUFFER.all, ["pr_1", *LIFE, *of_stream])
    return int(upto)


async def ending(client: Client, first: int) -> int:
    keys = [*BUFFER.all, SHARD.lease("pr_1")]
    return int(await END.run(client, keys, [first, first + 1, b"end\n\n", *LIFE[1:]]))


async def runs(client: Client) -> list[tuple[bytes, bytes, bytes]]:
    return [(key, f[b"f"], f[b"e"]) for key, f in await client.xrange(BUFFER.entries)]


async def test_everything_of_a_shard_lies_in_one_slot_and_a_cluster_has_several() -> None:
    cluster = connect(Address(Layout.CLUSTER, hosts=(("127.0.0.1", 1),)))
    assert isinstance(cluster, RedisCluster)
    shards = Shards.of(cluster)
    assert len(shards.all) == SHARDS
    assert {shards.find(f"st_{number}") for number in range(100)} == set(shards.all)
    shard = shards.find("st_1")
    buffer = shard.stream("st_1")
    keys = [
        *buffer.all,
        shard.lease("pr_1"),
        shard.inbox("pr_1"),
        shard.claim("key"),
        shard.chat("c"),
    ]
    assert len({cluster.keyslot(key) for key in keys}) == 1
    await close(cluster)


async def test_a_run_that_was_sent_twice_is_there_once(client: Client) -> None:
    assert [await keep(client, 0, b"a", b"b") for _ in range(2)] == [2, 2]
    assert await runs(client) == [(b"2-0", b"0", b"ab")]


async def test_a_run_that_would_leave_a_gap_is_not_taken_and_told_where_to_go_on(
    client: Client,
) -> None:
    assert await keep(client, 0, b"a") == 1
    assert await keep(client, 2, b"c") == 1
    assert await keep(client, 1, b"b", b"c") == 3


async def test_a_fold_takes_the_place_of_what_is_before_it(client: Client) -> None:
    for number, entry in enumerate((b"a", b"b", b"c")):
        await keep(client, number, entry)
    assert await keep(client, 3, b"d", fold=(2, b"ab")) == 4
    assert [key for key, _, _ in await runs(client)] == [b"3-0", b"4-0"]
    assert await keep(client, 9, b"j", fold=(9, b"a to i")) == 10
    assert await runs(client) == [(b"10-0", b"9", b"j")]


async def test_a_buffer_whose_hash_redis_has_dropped_begins_anew(client: Client) -> None:
    await keep(client, 0, b"a", b"b", b"c")
    await client.delete(BUFFER.meta)
    assert await keep(client, 3, b"d") == 0
    assert await keep(client, 0, b"a") == 1
    assert await runs(client) == [(b"1-0", b"0", b"a")]


async def test_what_has_ended_is_kept_for_its_time_and_its_name_for_longer(client: Client) -> None:
    await keep(client, 0, b"a")
    assert await client.pttl(BUFFER.meta) > LIFE[1]
    await keep(client, 1, b"b", ends=True)
    for key in (BUFFER.entries, BUFFER.meta):
        assert 0 < await client.pttl(key) <= LIFE[1]
    assert await client.pttl(BUFFER.was) > LIFE[1]


async def test_what_was_asked_lies_beside_the_stream_and_goes_with_it(client: Client) -> None:
    await keep(client, 0, b"a", question=b"why")
    await keep(client, 1, b"b", ends=True)
    assert await client.hget(BUFFER.meta, "question") == b"why"
    assert 0 < await client.pttl(BUFFER.meta) <= LIFE[1]


async def test_a_chat_is_at_its_newest_stream_and_what_was_told_stays_told(client: Client) -> None:
    chat = SHARD.chat("c")

    async def put(stream: str, told: str = "0") -> list[bytes]:
        await AT.run(client, [chat, SHARD.chat("d")], [*LIFE[:2], stream, told, "st_0", "0"])
        held: list[bytes] = await client.hmget(chat, ["stream", "told"])
        return held

    assert await put("st_2") == [b"st_2", b"0"]
    assert await client.pttl(chat) > LIFE[1]
    assert await put("st_1", "1") == [b"st_2", b"0"]
    assert await put("st_2", "1") == [b"st_2", b"1"]
    assert await put("st_2") == [b"st_2", b"1"]
    assert 0 < await client.pttl(chat) <= LIFE[1]
    assert await put("st_3") == [b"st_3", b"0"]
    assert await client.hget(SHARD.chat("d"), "stream") == b"st_0"


async def test_only_a_dead_process_stream_is_ended_and_only_once(client: Client) -> None:
    assert await ending(client, 0) == GONE
    await keep(client, 0, b"a")
    await client.set(SHARD.lease("pr_1"), "1")
    assert await ending(client, 1) == 1
    await client.delete(SHARD.lease("pr_1"))
    assert await ending(client, 0) == 1
    assert await ending(client, 1) == 2
    assert await ending(client, 2) == 2
    assert await keep(client, 2, b"c") == FENCED
    assert [run for _, _, run in await runs(client)] == [b"a", b"end\n\n"]


async def test_a_key_is_held_by_one_until_it_is_given_back_or_taken_over(client: Client) -> None:
    async def claim(value: str, stale: str = "") -> bytes:
        held: bytes = await CLAIM.run(client, ["k"], [value, 1_000, stale])
        return held

    assert [await claim("one"), await claim("two"), await claim("one")] == [b"one"] * 3
    assert await RELEASE.run(client, ["k"], ["two"]) == 0
    assert await claim("two", stale="zero") == b"one"
    assert await claim("two", stale="one") == b"two"
    assert await RELEASE.run(client, ["k"], ["two"]) == 1
    assert await claim("three") == b"three"
