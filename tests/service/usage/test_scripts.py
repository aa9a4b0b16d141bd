"""The two scripts and the keys they write, on real servers."""

import pytest
from redis.exceptions import ResponseError

from service.usage.client import close
from service.usage.scripts import AHEAD, FULL, PUBLISH, TRIM, UNSHARDED, Keys, Shards
from tests.service.usage.servers import Server, numbers

KEYS = UNSHARDED.all[0]


async def publish(
    server: Server, after: int, first: int, *bodies: str, most: int = 1_000
) -> list[int]:
    """One call for producer `p`."""
    client = server.client()
    try:
        arguments = ["p", after, first, 1, most, *bodies]
        return await PUBLISH.run(client, [KEYS.stream, KEYS.marks], arguments)
    finally:
        await close(client)


async def trim(server: Server, kept_ms: int, most: int, *groups: str) -> list[object]:
    client = server.client()
    try:
        return await TRIM.run(client, [KEYS.stream], [kept_ms, most, *groups])
    finally:
        await close(client)


async def test_a_run_is_appended_once_and_the_mark_moves_with_it(server: Server) -> None:
    assert await publish(server, 0, 1, "a", "b", "c") == [3, 3]
    assert await publish(server, 0, 1, "a", "b", "c") == [0, 3]
    assert await publish(server, 1, 2, "b", "c", "d") == [1, 4]
    assert await server.entries() == [
        ("p", 1, b"a"),
        ("p", 2, b"b"),
        ("p", 3, b"c"),
        ("p", 4, b"d"),
    ]


async def test_a_run_beyond_the_mark_tells_where_to_go_back_to(server: Server) -> None:
    assert await publish(server, 0, 1, "a") == [1, 1]
    assert await publish(server, 2, 3, "c") == [AHEAD, 1]
    assert numbers(await server.entries(), "p") == [1]


async def test_numbers_that_nobody_holds_do_not_stop_a_run(server: Server) -> None:
    assert await publish(server, 0, 5, "e", "f") == [2, 6]
    assert numbers(await server.entries(), "p") == [5, 6]
    assert await publish(server, 6, 9, "i") == [1, 9]


async def test_a_full_stream_takes_nothing_but_what_it_has_is_not_refused(server: Server) -> None:
    assert await publish(server, 0, 1, "a", "b", most=2) == [2, 2]
    assert await publish(server, 2, 3, "c", most=2) == [FULL, 2]
    assert await publish(server, 0, 1, "a", "b", most=2) == [0, 2]


async def test_a_key_of_another_type_leaves_nothing_half_done(server: Server) -> None:
    await server.ask("SET", KEYS.marks, "x")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await publish(server, 0, 1, "a")
    assert await server.ask("EXISTS", KEYS.stream) == 0


async def test_trimming_a_stream_that_does_not_exist_does_nothing(server: Server) -> None:
    assert await trim(server, 0, 0, "cost") == [0, 0, b""]


async def test_without_listed_groups_nothing_is_trimmed(server: Server) -> None:
    await publish(server, 0, 1, *"abc")
    assert await trim(server, 0, 0) == [0, 3, b""]


async def test_trimming_names_the_group_that_is_missing(server: Server) -> None:
    await publish(server, 0, 1, *"abc")
    assert await trim(server, 0, 0, "cost") == [0, 3, b"cost"]


def test_a_producer_is_always_in_the_same_shard_and_producers_are_spread() -> None:
    sixteen = Shards(tuple(Keys(f"{{u{shard}}}:usage") for shard in range(16)))
    assert sixteen.of("a") is sixteen.of("a")
    assert {sixteen.of(str(number)) for number in range(1_000)} == set(sixteen.all)


def test_what_lies_beside_a_stream_is_in_its_slot() -> None:
    keys = Keys("{u3}:usage")
    assert {keys.marks, keys.applied, keys.dead} == {
        "{u3}:usage:hwm",
        "{u3}:usage:applied",
        "{u3}:usage:dead",
    }
    assert UNSHARDED.of("anybody").stream == "tailrace:usage"
