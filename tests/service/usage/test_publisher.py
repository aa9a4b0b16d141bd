"""The publisher against real servers that are killed, cut, filled, frozen and refuse."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from service import clock, tasks
from service.settings import Usage
from service.usage import embedded
from service.usage.client import Client, close, connect
from service.usage.journal import Journal
from service.usage.publisher import BATCH, BATCH_BYTES, MOST_ENTRIES, Janitor, Publisher
from service.usage.scripts import META, Keys, Shards, shards
from service.usage.slot import Slot
from service.usage.store import JournalError
from tests.service.usage.attempts import body
from tests.service.usage.ledger import Entry, Ledger
from tests.service.usage.proxy import Proxy
from tests.service.usage.refusals import REFUSALS
from tests.service.usage.servers import Server, numbers, until

PRODUCER = "ledger-1"


class Seen:
    """What an observer was told."""

    def __init__(self) -> None:
        self.events = 0
        self.rewinds: list[tuple[str, int, int]] = []
        self.is_full = False
        self.failures: list[str] = []
        self.last: str | None = None
        self.times: list[float] = []
        self.some = asyncio.Event()

    def published(self, events: int) -> None:
        self.events += events
        self.some.set()

    def rewound(self, producer: str, known: int, mark: int) -> None:
        self.rewinds.append((producer, known, mark))

    def full(self, full: bool) -> None:  # noqa: FBT001 - as in Observer
        self.is_full = full

    def failed(self, reason: str | None) -> None:
        self.last = reason
        if reason:
            self.failures.append(reason)
            self.times.append(clock.monotonic())

    async def healthy_again(self) -> bool:
        return bool(self.failures) and self.last is None


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@asynccontextmanager
async def publishing(
    ledger: Ledger | Journal,
    make: Callable[[], Client],
    seen: Seen | None = None,
    *,
    groups: tuple[str, ...] = ("cost",),
    kept_s: float = 3_600,
    every_s: float = 30,
    most: int = 1_000_000,
) -> AsyncIterator[Publisher]:
    janitor = Janitor(groups, kept_s=kept_s, every_s=every_s)
    publisher = Publisher(ledger, make, janitor=janitor, schema=1, most=most, observer=seen)
    task = tasks.spawn(publisher.run(), name="publisher")
    try:
        yield publisher
    finally:
        task.cancel()
        await asyncio.wait([task])


async def read_all(server: Server, group: str, acknowledge: bool = True) -> int:  # noqa: FBT001, FBT002 - a test's shorthand
    """Let a group read whatever there is for it; returns how many entries."""
    entries = await server.ask("XREADGROUP", "GROUP", group, "c", "STREAMS", "tailrace:usage", ">")
    ids = [entry for entry, _ in entries.get(b"tailrace:usage", [])]
    if ids and acknowledge:
        await server.ask("XACK", "tailrace:usage", group, *ids)
    return len(ids)


async def make_group(server: Server, group: str) -> None:
    await server.ask("XGROUP", "CREATE", "tailrace:usage", group, "0", "MKSTREAM")


# --- Publishing -----------------------------------------------------------------------------


async def test_every_event_is_in_the_stream_once_in_order_and_labelled(
    server: Server, ledger: Ledger, seen: Seen
) -> None:
    ledger.append(BATCH * 2 + 1)
    async with publishing(ledger, server.client, seen) as publisher:
        await publisher.caught_up()
        ledger.append(3)
        await publisher.caught_up()
    entries = await server.entries()
    assert numbers(entries, PRODUCER) == list(range(1, BATCH * 2 + 5))
    assert entries[0][2] == b'{"n":1}'
    client = server.client()
    ((_, fields),) = await client.xrange("tailrace:usage", count=1)
    assert fields[b"v"] == b"1"
    assert await client.hgetall("tailrace:usage:hwm") == {b"ledger-1": str(BATCH * 2 + 4).encode()}
    await close(client)
    assert seen.events == BATCH * 2 + 4


async def test_what_an_earlier_process_left_does_not_keep_the_present_waiting(
    server: Server, ledger: Ledger
) -> None:
    ledger.append(9_000, epoch=1)
    ledger.append(1, epoch=2)
    async with publishing(ledger, server.client) as publisher:
        await publisher.caught_up()
    order = [(name, seq) for name, seq, _ in await server.entries()]
    assert len(order) == 9_001
    assert order.index(("ledger-2", 1)) <= 4_000


async def test_a_publisher_that_starts_anew_sends_nothing_twice(
    server: Server, ledger: Ledger, seen: Seen
) -> None:
    ledger.append(1_000)
    async with publishing(ledger, server.client) as publisher:
        await publisher.caught_up()
    ledger.append(5)
    async with publishing(ledger, server.client, seen) as publisher:
        await publisher.caught_up()
    assert seen.events == 5
    assert numbers(await server.entries(), PRODUCER) == list(range(1, 1_006))


async def test_large_events_go_in_smaller_batches(server: Server, ledger: Ledger) -> None:
    ledger.append(5, size=BATCH_BYTES // 2 + 1)
    ledger.append(1, size=BATCH_BYTES * 2)
    async with publishing(ledger, server.client) as publisher:
        await publisher.caught_up()
    entries = await server.entries()
    assert numbers(entries, PRODUCER) == [1, 2, 3, 4, 5, 6]
    assert len(entries[5][2]) == BATCH_BYTES * 2


async def test_numbers_that_the_journal_does_not_hold_are_passed_over(
    server: Server, ledger: Ledger
) -> None:
    ledger.append(10)
    ledger.purge(through=4)
    async with publishing(ledger, server.client) as publisher:
        await publisher.caught_up()
    assert numbers(await server.entries(), PRODUCER) == [5, 6, 7, 8, 9, 10]


async def test_the_mark_of_an_epoch_that_the_journal_is_done_with_is_deleted(
    server: Server, ledger: Ledger
) -> None:
    ledger.append(3, epoch=1)
    ledger.append(3, epoch=2)
    async with publishing(ledger, server.client) as publisher:
        await publisher.caught_up()
        ledger.drop(epoch=1)
        await publisher.caught_up()
    marks = await server.ask("HGETALL", "tailrace:usage:hwm")
    assert marks == {b"ledger-2": b"3"}


# --- Faults ---------------------------------------------------------------------------------


async def test_a_hundred_lost_replies_leave_no_event_twice(
    server: Server, ledger: Ledger, seen: Seen
) -> None:
    async with Proxy(server.folder / "s") as proxy:
        async with publishing(ledger, lambda: connect(proxy.address), seen) as publisher:
            for round_ in range(100):
                # Two in a row are more than the client's own retry: the publisher begins anew.
                proxy.drop_replies = 2 if round_ % 20 == 0 else 1
                ledger.append(50)
                await publisher.caught_up()
        assert proxy.dropped == 105
    assert len(seen.failures) == 5
    assert numbers(await server.entries(), PRODUCER) == list(range(1, 5_001))


async def test_a_plain_xadd_whose_reply_is_lost_is_there_twice(server: Server) -> None:
    """What the script is for: redis-py sends it again."""
    async with Proxy(server.folder / "s") as proxy:
        proxy.mark, proxy.drop_replies = b"XADD", 1
        ((host, port),) = proxy.address.hosts
        client = Redis(host=host, port=port, retry=Retry(NoBackoff(), 10))
        await client.xadd("plain", {"n": 1})
        await client.aclose()
        assert proxy.dropped == 1
    assert await server.ask("XLEN", "plain") == 2


async def test_a_server_that_is_killed_while_events_come_loses_none_of_them(
    server: Server, ledger: Ledger, seen: Seen
) -> None:
    async with publishing(ledger, server.client, seen) as publisher:
        for _ in range(3):
            ledger.append(6_000)
            before = len(seen.failures)
            seen.some.clear()
            await asyncio.wait_for(seen.some.wait(), 10)
            await server.kill()
            ledger.append(10)
            await until(lambda: _true(len(seen.failures) > before))  # noqa: B023 - awaited here
            await server.start()
        await publisher.caught_up()
    assert len(seen.failures) >= 3
    assert numbers(await server.entries(), PRODUCER) == list(range(1, 18_031))


async def test_what_a_server_forgot_with_the_tail_of_its_log_is_published_again(
    server: Server, ledger: Ledger, seen: Seen
) -> None:
    async with publishing(ledger, server.client, seen) as publisher:
        ledger.append(2_000)
        await publisher.caught_up()
        await server.kill()
        assert server.cut_tail(lambda size: size // 2) > 10_000
        await server.start()
        ledger.append(1)
        await publisher.caught_up()
    ((producer, known, mark),) = seen.rewinds
    assert (producer, known) == (PRODUCER, 2_000)
    assert seen.events == 2_001 + 2_000 - mark
    assert numbers(await server.entries(), PRODUCER) == list(range(1, 2_002))


async def test_an_idle_publisher_notices_that_a_server_was_emptied(
    server: Server, ledger: Ledger, seen: Seen
) -> None:
    ledger.append(700)
    async with publishing(ledger, server.client, seen) as publisher:
        await publisher.caught_up()
        await server.ask("FLUSHALL")
        await until(lambda: _true(bool(seen.rewinds)))
        await publisher.caught_up()
    assert seen.rewinds == [(PRODUCER, 700, 0)]
    assert numbers(await server.entries(), PRODUCER) == list(range(1, 701))


async def test_a_busy_publisher_notices_that_a_server_went_back(
    server: Server, ledger: Ledger, seen: Seen
) -> None:
    ledger.append(700)
    ledger.purge(through=100)
    async with publishing(ledger, server.client, seen) as publisher:
        await publisher.caught_up()
        await server.ask("HSET", "tailrace:usage:hwm", PRODUCER, "650")
        ledger.append(1)
        await publisher.caught_up()
    assert (PRODUCER, 700, 650) in seen.rewinds
    assert numbers(await server.entries(), PRODUCER)[-51:] == list(range(651, 702))


async def test_a_frozen_server_is_waited_for_and_nothing_is_twice(
    server: Server, ledger: Ledger, seen: Seen
) -> None:
    async with publishing(ledger, lambda: connect(server.address, timeout=0.2), seen) as publisher:
        ledger.append(10)
        await publisher.caught_up()
        server.freeze()
        ledger.append(1_000)
        await until(lambda: _true(bool(seen.failures)))
        server.thaw()
        await publisher.caught_up()
    assert seen.failures
    assert numbers(await server.entries(), PRODUCER) == list(range(1, 1_011))


@pytest.mark.parametrize("protocol", [2, 3])
async def test_connections_that_the_server_dropped_while_idle_are_no_failure(
    server: Server, ledger: Ledger, seen: Seen, protocol: int
) -> None:
    address = replace(server.address, protocol=protocol)
    async with publishing(ledger, lambda: connect(address), seen) as publisher:
        for _ in range(5):
            ledger.append(1)
            await publisher.caught_up()
            dropped = await server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert dropped >= 1
        ledger.append(1)
        await publisher.caught_up()
    assert seen.failures == []
    assert numbers(await server.entries(), PRODUCER) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("reason", REFUSALS)
async def test_a_refusal_is_waited_out_without_a_busy_loop(
    server: Server, ledger: Ledger, seen: Seen, reason: str
) -> None:
    provoke, end = REFUSALS[reason]
    await provoke(server)
    ledger.append(5)
    async with publishing(ledger, lambda: connect(server.address, timeout=1), seen) as publisher:
        await until(lambda: _true(len(seen.times) >= 4))
        assert seen.times[3] - seen.times[0] > 0.5
        assert set(seen.failures) == {reason}
        await end(server)
        await publisher.caught_up()
    assert seen.last is None
    assert numbers(await server.entries(), PRODUCER) == [1, 2, 3, 4, 5]


async def test_a_password_that_is_missing_is_named_with_the_newer_protocol_too(
    server: Server, ledger: Ledger, seen: Seen
) -> None:
    provoke, end = REFUSALS["NOAUTH"]
    await provoke(server)
    ledger.append(1)
    address = replace(server.address, protocol=3)
    async with publishing(ledger, lambda: connect(address), seen) as publisher:
        await until(lambda: _true(bool(seen.failures)))
        await end(server)
        await publisher.caught_up()
    assert set(seen.failures) == {"NOAUTH"}


async def test_a_server_that_forgot_the_script_is_told_it_again(
    server: Server, ledger: Ledger, seen: Seen
) -> None:
    async with publishing(ledger, server.client, seen) as publisher:
        ledger.append(1)
        await publisher.caught_up()
        await server.ask("SCRIPT", "FLUSH")
        ledger.append(1)
        await publisher.caught_up()
    assert seen.failures == []
    assert numbers(await server.entries(), PRODUCER) == [1, 2]


async def test_a_journal_that_cannot_be_read_is_tried_again(server: Server, seen: Seen) -> None:
    class Stuck(Ledger):
        left = 2

        def rows(self, epoch: int, after: int, limit: int) -> list[Entry]:
            self.left -= 1
            if self.left > 0:
                raise OSError("disk error")
            return super().rows(epoch, after, limit)

    ledger = Stuck()
    ledger.append(5)
    async with publishing(ledger, server.client, seen) as publisher:
        await publisher.caught_up()
    assert seen.failures == ["OSError"]
    assert numbers(await server.entries(), PRODUCER) == [1, 2, 3, 4, 5]


# --- A stream that is full, and who may empty it --------------------------------------------


async def test_events_wait_while_the_stream_is_full_and_go_on_when_they_are_read(
    server: Server, ledger: Ledger, seen: Seen
) -> None:
    await make_group(server, "cost")
    async with publishing(ledger, server.client, seen, most=1_000) as publisher:
        ledger.append(5_000)
        await until(lambda: _true(seen.is_full))
        held = await server.ask("XLEN", "tailrace:usage")
        assert 1_000 <= held < 1_000 + BATCH
        assert numbers(await server.entries(), PRODUCER) == list(range(1, held + 1))
        total = 0
        while total < 5_000:
            total += await read_all(server, "cost")
        await publisher.caught_up()
        assert not seen.is_full
    assert total == 5_000
    assert seen.events == 5_000


async def test_a_full_stream_leaves_streams_and_limits_a_third_of_the_embedded_engine(
    server: Server, ledger: Ledger
) -> None:
    ledger.append(2_000, size=len(body(1)))
    async with publishing(ledger, server.client) as publisher:
        await publisher.caught_up()
    taken = await server.ask("MEMORY", "USAGE", "tailrace:usage", "SAMPLES", "0")
    assert taken / 2_000 * MOST_ENTRIES < embedded.MEMORY * 2 / 3
    assert Usage().stream_entries == MOST_ENTRIES


async def test_nothing_is_trimmed_that_a_listed_group_has_not_acknowledged(
    server: Server, ledger: Ledger
) -> None:
    for group in ("cost", "billing", "unlisted"):
        await make_group(server, group)
    ledger.append(2_000)
    janitor = {"groups": ("cost", "billing"), "kept_s": 0.0, "every_s": 0.0}
    async with publishing(ledger, server.client, **janitor) as publisher:
        await publisher.caught_up()
        await read_all(server, "cost")
        await read_all(server, "billing", acknowledge=False)
        await publisher.caught_up()
        assert await server.ask("XLEN", "tailrace:usage") == 2_000
        client = server.client()
        pending = await client.xpending_range("tailrace:usage", "billing", "-", "+", 2_000)
        await close(client)
        ids = [entry["message_id"] for entry in pending]
        await server.ask("XACK", "tailrace:usage", "billing", *ids[:1_000], *ids[1_001:])
        await publisher.caught_up()
    left = numbers(await server.entries(), PRODUCER)
    assert left[-1] == 2_000
    # Whole nodes of a hundred entries go, so up to that many more stay than must.
    assert 900 < left[0] <= 1_001


async def test_a_listed_group_that_does_not_exist_keeps_everything(
    server: Server, ledger: Ledger
) -> None:
    await make_group(server, "cost")
    ledger.append(2_000)
    janitor = {"groups": ("cost", "later"), "kept_s": 0.0, "every_s": 0.0}
    async with publishing(ledger, server.client, **janitor) as publisher:
        await publisher.caught_up()
        await read_all(server, "cost")
        await publisher.caught_up()
    assert await server.ask("XLEN", "tailrace:usage") == 2_000


async def test_what_was_read_stays_for_a_while_for_those_who_look_back(
    server: Server, ledger: Ledger
) -> None:
    await make_group(server, "cost")
    ledger.append(2_000)
    async with publishing(ledger, server.client, every_s=0) as publisher:
        await publisher.caught_up()
        await read_all(server, "cost")
        await publisher.caught_up()
        assert await server.ask("XLEN", "tailrace:usage") == 2_000
    async with publishing(ledger, server.client, every_s=0, most=2_500) as publisher:
        await publisher.caught_up()
    assert await server.ask("XLEN", "tailrace:usage") < 200


# --- The journal itself ---------------------------------------------------------------------


async def test_what_the_journal_confirms_is_published_through_its_restarts(
    server: Server, tmp_path: Path
) -> None:
    def failed(failure: JournalError) -> None:
        pytest.fail(str(failure))

    producers = []
    for turn in range(2):
        slot = Slot.claim(tmp_path / "usage", volatile=True)
        journal = await Journal.start(slot, on_failure=failed)
        producers.append(journal.producer(max(journal.epochs())))
        async with publishing(journal, server.client) as publisher:
            for number in range(20):
                await journal.close(bytes([turn, number]) * 8, b"{}")
            if turn:
                await publisher.caught_up()
        await journal.stop()
    entries = await server.entries()
    assert [numbers(entries, producer) for producer in producers] == [list(range(1, 21))] * 2


# --- A cluster ------------------------------------------------------------------------------


async def test_on_a_cluster_a_producers_events_are_in_its_shard_once(
    cluster: list[Server], ledger: Ledger
) -> None:
    ledger.append(700, epoch=1)
    ledger.append(5, epoch=2)
    async with publishing(ledger, lambda: connect(cluster[0].as_cluster())) as publisher:
        await publisher.caught_up()
    client = connect(cluster[0].as_cluster())
    assert await client.hget(META, "shards") == b"16"
    known = await shards(client)
    for producer, events in (("ledger-1", 700), ("ledger-2", 5)):
        keys = known.of(producer)
        assert re.fullmatch(r"\{u\d+\}:usage", keys.stream)
        found = [fields for _, fields in await client.xrange(keys.stream)]
        own = [int(fields[b"s"]) for fields in found if fields[b"p"] == producer.encode()]
        assert own == list(range(1, events + 1))
        assert await client.hget(keys.marks, producer) == str(events).encode()
    await close(client)


async def test_a_shard_that_moves_to_another_node_is_followed(
    cluster: list[Server], ledger: Ledger, seen: Seen
) -> None:
    first, second = cluster
    stream = Shards(tuple(Keys(f"{{u{k}}}:usage") for k in range(16))).of(PRODUCER).stream
    ledger.append(1, epoch=2)
    ledger.append(0, epoch=1)
    async with publishing(ledger, lambda: connect(first.as_cluster()), seen) as publisher:
        await publisher.caught_up()
        slot = await first.ask("CLUSTER", "KEYSLOT", stream)
        one, other = await first.ask("CLUSTER", "MYID"), await second.ask("CLUSTER", "MYID")
        # Who imports a slot is believed by all; else what they tell each other may undo the move.
        await second.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", one)
        await first.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", other)
        for node in (second, first):
            await node.ask("CLUSTER", "SETSLOT", slot, "NODE", other)
        ledger.append(10, epoch=1)
        await publisher.caught_up()
    assert "errorstat_MOVED" in await first.ask("INFO", "errorstats")
    assert await second.ask("XLEN", stream) == 10


async def test_a_cluster_that_is_down_is_waited_for(
    cluster: list[Server], ledger: Ledger, seen: Seen
) -> None:
    first = cluster[0]
    async with publishing(ledger, lambda: connect(first.as_cluster()), seen) as publisher:
        ledger.append(1)
        await publisher.caught_up()
        await first.ask("CLUSTER", "DELSLOTSRANGE", "0", "100")
        ledger.append(9)
        await until(lambda: _true(len(seen.times) >= 4))
        assert seen.times[3] - seen.times[0] > 0.5
        await first.ask("CLUSTER", "ADDSLOTSRANGE", "0", "100")
        await publisher.caught_up()
    assert "CLUSTERDOWN" in seen.failures
    assert seen.last is None


async def _true(fact: bool) -> bool:  # noqa: FBT001 - it is the whole argument
    return fact
