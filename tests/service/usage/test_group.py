"""A consumer's scripts, on real servers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.usage import group
from service.usage.client import Client, close
from service.usage.rollups import Letter
from service.usage.scripts import UNSHARDED
from tests.service.usage.servers import Server

(KEYS,) = UNSHARDED.all
LETTER = Letter(
    place="s 1-0", producer="p", seq=1, body=b"\xff\0", reason="broken", deliveries=5, at_ns=1
)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    made = server.client()
    await made.xgroup_create(KEYS.stream, "g", id="0", mkstream=True)
    yield made
    await close(made)


async def test_a_batch_is_taken_as_it_was_written(client: Client) -> None:
    written: list[Any] = [
        {b"p": b"p", b"s": b"1", b"v": b"1", b"e": b'{"a": "\xc3\xa9"}'},
        {b"e": b"\xff\0 \r\n", b"": b""},
        {b"e": b"x" * 100_000},
    ]
    ids = [await client.xadd(KEYS.stream, fields) for fields in written]
    packed = await group.take(client, KEYS, "g", "c", 2)
    assert packed is not None
    entries = group.unpacked(packed)
    assert [entry.fields for entry in entries] == written[:2]
    assert [entry.id.encode() for entry in entries] == ids[:2]
    assert {entry.deliveries for entry in entries} == {1}
    rest = await group.take(client, KEYS, "g", "c", 2)
    assert rest is not None
    assert [entry.fields for entry in group.unpacked(rest)] == written[2:]
    assert await group.take(client, KEYS, "g", "c", 2) is None


async def test_a_batch_is_acknowledged_as_a_whole(server: Server, client: Client) -> None:
    for number in range(1_000):
        await client.xadd(KEYS.stream, {"e": str(number)}, id=f"{number + 1}-0")
    packed = await group.take(client, KEYS, "g", "c", 1_000)
    assert packed is not None
    ids = [entry.id for entry in group.unpacked(packed)]
    await group.acknowledge(client, KEYS, "g", ids[:-1], {"p": 7, "q r": 8})
    assert (await server.ask("XPENDING", KEYS.stream, "g"))["pending"] == 1
    assert await client.hgetall(KEYS.applied) == {b"p": b"7", b"q r": b"8"}
    await group.acknowledge(client, KEYS, "g", [], {})
    await group.acknowledge(client, KEYS, "g", ids, {})
    assert (await server.ask("XPENDING", KEYS.stream, "g"))["pending"] == 0


async def test_a_letter_is_buried_once_however_often_it_is_sent(client: Client) -> None:
    key = await client.xadd(KEYS.stream, {"e": b"\xff\0"}, id="1-0")
    assert await group.take(client, KEYS, "g", "c", 1) is not None
    for _ in range(2):
        await group.bury(client, KEYS, "g", "1-0", LETTER)
    found: Any = await client.xrange(KEYS.dead)
    ((_, shown),) = found
    assert shown == {
        b"id": key,
        b"p": b"p",
        b"s": b"1",
        b"e": b"\xff\0",
        b"reason": b"broken",
        b"deliveries": b"5",
    }
