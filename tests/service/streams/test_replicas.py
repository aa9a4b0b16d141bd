"""How another process's entries become a stream of this one."""

from pathlib import Path

import msgspec
import pytest
from redis.exceptions import RedisError

from adapters.errors import RequestError
from adapters.events import BlockKind, TextDelta
from service.streams.buffer_scripts import Shard, Shards
from service.streams.log import StreamLog
from service.streams.replicas import (
    WAKE,
    Replica,
    Replicas,
    cancelling,
    following,
    message_of,
    run_of,
)
from service.streams.stream import Stream
from service.usage.client import Address, Layout, close, connect
from tests.service.streams.events_for_tests import NEWER, attempt, end, start, text_block
from tests.service.streams.processes import REQUEST, TS, redis


def made(*, max_events: int = 50_000) -> StreamLog:
    """Another process's log: nine events, the third of which commits."""
    log = StreamLog("st_1", max_events=max_events)
    for event in [start(), *attempt(), *text_block("b1.0", "a\n", "b\n\n", "c"), end()]:
        log.append([event], TS)
    return log


@pytest.fixture
def replica() -> Replica:
    return Replica(
        Stream(StreamLog("st_1"), REQUEST, cancel_after=None), "pr_1", False, Shard(0), 0.0
    )


def test_a_run_is_taken_apart_where_entries_end_whatever_they_say() -> None:
    entries = made().read(0)
    assert run_of({b"f": b"0", b"e": b"".join(entries)}) == (0, entries)


def test_runs_that_overlap_are_taken_once(replica: Replica) -> None:
    entries = made().read(0)
    assert replica.take(0, entries[:4])
    assert replica.take(2, entries[2:6])
    assert replica.take(2, entries[2:6])
    assert replica.stream.log.read(0) == entries[:6]
    assert replica.position == "6-0"


def test_a_run_behind_a_gap_is_not_taken(replica: Replica) -> None:
    entries = made().read(0)
    assert replica.take(0, entries[:2])
    assert not replica.take(3, entries[3:])
    assert replica.stream.log.next == 2


def test_content_has_begun_when_its_commit_has_come(replica: Replica) -> None:
    entries = made().read(0)
    replica.take(0, entries[:2])
    assert not replica.stream.content_started
    replica.take(2, entries[2:3])
    assert replica.stream.content_started


async def test_the_last_event_ends_it_and_nothing_comes_after(replica: Replica) -> None:
    log = made()
    replica.take(0, log.read(0))
    await replica.stream.over()
    assert replica.stream.ended
    log.end = None
    log.append([TextDelta("b1.0", "more")], TS)
    assert replica.take(log.next - 1, log.read(log.next - 1))
    assert replica.stream.log.next == log.next - 1


def test_a_fold_stands_for_what_is_not_there_any_more(replica: Replica) -> None:
    log = made(max_events=3)
    gone = log.evicted()
    assert gone is not None
    replica.resume(log.first, msgspec.json.encode(gone.events()))
    assert replica.stream.content_started
    assert replica.take(log.first, log.read(log.first))
    assert replica.stream.log.snapshot() == log.snapshot()


def test_a_fold_is_read_but_for_what_only_a_newer_version_knows(replica: Replica) -> None:
    said = [msgspec.to_builtins(event) for event in [*attempt(), *text_block("b1.0", "a", "b")]]
    replica.resume(8, msgspec.json.encode([*said[:4], *NEWER, *said[4:]]))
    assert replica.stream.content_started
    assert replica.stream.log.fold().text(BlockKind.TEXT) == "ab"


@pytest.mark.parametrize(
    "command",
    [
        ("HSET", "{r0}:st_1:meta", "first", "4", "fold", "[1"),
        ("XADD", "{r0}:st_1:buf", "1-0", "f", "zero", "e", "-"),
        ("XADD", "{r0}:st_1:buf", "1-0", "f", "0", "e", "no entry\n\n"),
        ("XADD", "{r0}:st_1:buf", "1-0", "of", "a kind that is not known"),
    ],
    ids=["fold", "number", "entry", "fields"],
)
async def test_a_buffer_that_cannot_be_read_is_said_to_be_that(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    async with redis(tmp_path / "r") as server:
        client = server.client()
        await server.ask("HSET", "{r0}:st_1:meta", "owner", "pr_2", "next", "1")
        await server.ask(*command)
        replicas = Replicas(Shards.of(client), max_bytes=1 << 20, max_events=100)
        with pytest.raises(RequestError, match="in a form that this process cannot read"):
            await replicas.load(client, "st_1")
        assert len(replicas) == 0
        await close(client)


def test_messages_say_what_they_were_made_of() -> None:
    assert message_of(following("pr_1", ["st_1", "st_2"])) == ["f", "pr_1", "st_1", "st_2"]
    assert message_of(cancelling("st_1", "enough")) == ["c", "st_1", "enough"]
    assert message_of(WAKE) == ["w"]


async def test_what_could_not_be_said_to_an_owner_is_said_later(
    replica: Replica, tmp_path: Path
) -> None:
    async with redis(tmp_path / "r") as server:
        client, unreachable = server.client(), connect(nowhere(tmp_path))
        replicas = Replicas(Shards.of(client), max_bytes=1 << 20, max_events=100)
        replicas.post(replica, cancelling("st_1", "enough"))
        with pytest.raises((RedisError, OSError)):
            await replicas.send(unreachable)
        await replicas.send(client)
        assert await server.ask("XLEN", "{r0}:pr_1:in") == 1
        assert await server.ask("PTTL", "{r0}:pr_1:in") > 0
        await close(client)
        await close(unreachable)


def nowhere(folder: Path) -> Address:
    return Address(Layout.SINGLE, path=str(folder / "nobody"))
