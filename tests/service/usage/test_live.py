"""Watchers on real servers: each sees every event, wherever it begins and whatever happens."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

import pytest

from service import tasks
from service.usage import scripts
from service.usage.client import Client, close, connect
from service.usage.live import PAGE, WAITING, Begun, Gap, Live, PositionError, parse, shown
from service.usage.scripts import UNSHARDED
from service.usage.sources import _Reads, of_redis
from tests.service.http.serving import becomes
from tests.service.usage.conftest import StartServer
from tests.service.usage.servers import Server
from tests.service.usage.watching import (
    ids,
    live,
    numbered,
    publish,
    published,
    watching,
)

(KEYS,) = UNSHARDED.all
MANY = range(1, WAITING + PAGE + 1)


@pytest.fixture(autouse=True)
async def settled() -> AsyncIterator[None]:
    """Who has stopped reading has stopped when the next test begins."""
    yield
    await tasks.settle()


# --- Positions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("0", ((0, 0),)),
        ("0-0", ((0, 0),)),
        ("1795392906123-4", ((1_795_392_906_123, 4),)),
        ("1795392906123", ((1_795_392_906_123, 0),)),
        ("5-1.0.7-2", ((5, 1), (0, 0), (7, 2))),
        ("18446744073709551615-1", ((2**64 - 1, 1),)),
    ],
)
def test_a_position_is_read_as_it_was_shown(
    text: str, position: tuple[tuple[int, int], ...]
) -> None:
    assert parse(text) == position
    assert parse(shown(position)) == position


@pytest.mark.parametrize(
    "text",
    ["", "$", "-1", "1-", "1-2-3", "1.", "\u0661", "1 ", "18446744073709551616", "0." * 1_024],
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(PositionError, match="must be the id of an event that was shown, or 0"):
        parse(text)


# --- Watching -------------------------------------------------------------------------------


async def test_a_watcher_that_begins_now_sees_what_comes_and_where_it_began(server: Server) -> None:
    await published(server, numbered(range(3)))
    watched = live(server)
    async with watching(watched) as watcher:
        (begun,) = watcher.heard
        await published(server, numbered(range(3, 6)), first=4)
        assert await watcher.events(3) == numbered(range(3, 6))
    assert isinstance(begun, Begun)
    async with watching(watched, begun.id) as again:
        assert await again.events(3) == numbered(range(3, 6))
        assert ids(again.heard) == ids(watcher.heard)


async def test_a_watcher_from_the_beginning_sees_all_that_is_kept_under_the_entries_ids(
    server: Server,
) -> None:
    told = numbered(MANY)
    await published(server, told)
    async with watching(live(server), "0") as watcher:
        assert await watcher.events(len(told)) == told
    client = server.client()
    entries = await client.xrange(KEYS.stream)
    await close(client)
    assert ids(watcher.heard) == [key.decode() for key, _ in entries]


async def test_whoever_watches_sees_each_event_once_while_more_come(server: Server) -> None:
    watched = live(server)
    told = numbered(range(1, 601))
    await published(server, told[:300])
    async with watching(watched, "0") as first:
        await first.events(100)
        middle = ids(first.heard)[99]

        async def more() -> None:
            for start in range(300, 600, 20):
                await published(server, told[start : start + 20], first=start + 1)

        async with watching(watched) as now, watching(watched, middle) as second:
            seen = await asyncio.gather(
                more(), first.events(600), second.events(500), now.events(300)
            )
    assert seen[1:] == [told, told[100:], told[300:]]


async def test_one_that_is_slow_misses_nothing_and_keeps_nobody_waiting(server: Server) -> None:
    watched = live(server)
    told = numbered(MANY)
    async with watching(watched) as slow, watching(watched) as quick:
        for start in range(0, len(told), 100):
            await published(server, told[start : start + 100], first=start + 1)
            await quick.events(start + 100)
        await published(server, numbered([0]), first=len(told) + 1)
        assert await slow.events(len(told) + 1) == [*told, *numbered([0])]


async def test_a_position_that_may_be_behind_what_is_kept_is_said_to_be(server: Server) -> None:
    await published(server, numbered(range(1, 11)))
    client = server.client()
    entries = await client.xrange(KEYS.stream)
    await client.xtrim(KEYS.stream, minid=entries[5][0].decode(), approximate=False)
    await close(client)
    old, kept = entries[2][0].decode(), entries[7][0].decode()
    watched = live(server)
    async with watching(watched, old) as watcher:
        assert await watcher.events(5) == numbered(range(6, 11))
        assert watcher.heard[0] == Gap(old)
    async with watching(watched, kept) as watcher:
        assert await watcher.events(2) == numbered([9, 10])
        assert ids(watcher.heard) == [entry[0].decode() for entry in entries[8:]]


@pytest.mark.parametrize("position", ["9" * 15, "1-1.2-2"])
async def test_a_position_that_is_not_known_is_said_to_be(server: Server, position: str) -> None:
    await published(server, numbered([1]))
    async with watching(live(server), position) as watcher:
        assert await watcher.events(1) == numbered([1])
        assert isinstance(watcher.heard[0], Gap)


async def test_a_stream_that_was_trimmed_empty_is_watched_on(server: Server) -> None:
    await published(server, numbered([1]))
    await server.ask("XTRIM", KEYS.stream, "MAXLEN", "0")
    watched = live(server)
    async with watching(watched, "0") as watcher, watching(watched) as begun:
        await published(server, numbered([2]), first=2)
        assert await watcher.events(1) == numbered([2])
        assert await begun.events(1) == numbered([2])


async def test_what_is_no_event_is_passed_over(server: Server) -> None:
    await server.ask("XADD", KEYS.stream, "*", "else", "what")
    await published(server, numbered([1]))
    async with watching(live(server), "0") as watcher:
        assert await watcher.events(1) == numbered([1])


# --- An engine that is away -----------------------------------------------------------------


async def test_an_engine_that_comes_back_is_watched_on_and_nothing_is_skipped(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watched = live(server)
    async with watching(watched) as watcher:
        await published(server, numbered([1]))
        await watcher.events(1)
        await server.kill()
        await becomes(lambda: "cannot be shown" in caplog.text)
        await server.start()
        await published(server, numbered([2, 3]), first=2)
        assert await watcher.events(3) == numbered([1, 2, 3])
    said = [record.message for record in caplog.records]
    assert sum("cannot be shown" in line for line in said) == 1
    assert sum("are shown again" in line for line in said) == 1


async def test_one_who_comes_while_the_engine_is_away_is_served_when_it_is_back(
    server: Server,
) -> None:
    await published(server, numbered([1]))
    await server.kill()
    async with watching(live(server), "0") as watcher:
        seen = tasks.spawn(watcher.events(1), name="watching")
        await server.start()
        assert await seen == numbered([1])


async def test_an_engine_that_has_lost_its_last_events_is_read_again_from_there(
    start_server: StartServer,
) -> None:
    server = await start_server()  # it keeps nothing
    watched = live(server)
    async with watching(watched) as watcher:
        await server.ask("XADD", KEYS.stream, f"{2**60}-1", "e", "lost")
        assert await watcher.events(1) == [b"lost"]
        await server.kill()
        await server.start()
        await published(server, [b"again", b"more"])
        assert await watcher.events(3) == [b"lost", b"again", b"more"]


async def test_nothing_is_read_when_nobody_watches(server: Server) -> None:
    watched = live(server)
    async with watching(watched), watching(watched):
        assert tasks.running() == 1
    await tasks.settle()
    clients = await server.ask("CLIENT", "LIST")
    assert len(clients.splitlines()) == 1
    async with watching(watched) as later:
        await published(server, numbered([1]))
        assert await later.events(1) == numbered([1])


async def test_when_it_is_closed_who_has_seen_everything_is_let_go(server: Server) -> None:
    watched = live(server)
    async with watching(watched) as watcher:
        await published(server, numbered([1]))
        await watcher.events(1)
        watched.close()
        with pytest.raises(StopAsyncIteration):
            await watcher.events(2)


async def test_one_who_leaves_while_the_engine_is_away_leaves_nothing_behind() -> None:
    async def nowhere() -> list[object]:
        raise ConnectionRefusedError

    watched = Live(nowhere)  # type: ignore[arg-type] # it never gets as far as giving any
    async with watching(watched, "0") as watcher:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await watcher.events(1)
    await tasks.settle()


# --- Clusters -------------------------------------------------------------------------------


async def test_a_cluster_is_watched_whole_and_resumed_in_every_shard(
    cluster: list[Server],
) -> None:
    dial = partial(connect, cluster[0].as_cluster())
    client = dial()
    shards = await scripts.shards(client)
    watched = Live(partial(of_redis, dial))
    async with watching(watched) as watcher:
        for number, keys in enumerate(shards.all):
            await publish(client, keys, numbered([number]), producer=f"p{number}")
        seen = await watcher.events(len(shards.all))
        async with watching(watched, ids(watcher.heard)[7]) as resumed:
            await publish(client, shards.all[0], numbered([99]), producer="late")
            rest = await resumed.events(len(seen) - 7)
        async with watching(watched, "0") as whole:
            everything = await whole.events(len(seen) + 1)
    await close(client)
    assert sorted(seen) == sorted(numbered(range(len(shards.all))))
    assert sorted(rest) == sorted([*seen[8:], *numbered([99])])
    assert sorted(everything) == sorted([*seen, *numbered([99])])


async def test_reads_that_fail_beside_each_other_leave_no_connection_behind(server: Server) -> None:
    reads, failed = _Reads(server.client), asyncio.Event()

    async def pings(client: Client) -> None:
        await client.ping()
        await failed.wait()
        await client.ping()

    async def fails(client: Client) -> None:
        await client.ping()
        raise ConnectionError

    async with asyncio.TaskGroup() as group:
        group.create_task(reads.ask(pings))
        with pytest.raises(ConnectionError):
            await reads.ask(fails)
        failed.set()
    assert "name=tailrace" not in str(await server.ask("CLIENT", "LIST"))
