"""Streams of one process, resumed, followed, cancelled and ended by another; a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.errors import RequestError
from adapters.events import BlockKind, ErrorCode, Finish, Status, StreamEnd, TextDelta
from service import clock, ids, tasks
from service.http import folded
from service.streams.log import decode
from service.streams.question import Question
from service.streams.stream import Stream
from service.usage.client import Address, Layout
from tests.e2e import grammar
from tests.service.http.serving import parsed
from tests.service.streams.events_for_tests import end, newer
from tests.service.streams.processes import (
    PATIENCE,
    RHYTHM,
    TS,
    begin,
    cluster,
    processes,
    reaches,
    redis,
    refused,
)
from tests.service.usage.servers import Server, until

ASKING = "streams: ask Redis"
SAME = b"s" * 32
"""A request's digest."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with redis(tmp_path / "r") as server:
        yield server


ASKED = Question(dialect="ui", model="auto", body={"messages": []}, messages=[])


def says(stream: Stream, *words: str) -> None:
    for word in words:
        stream.log.append([TextDelta("b1.0", word)], TS)


async def ended(stream: Stream) -> StreamEnd:
    async with asyncio.timeout(PATIENCE):
        await stream.over()
    last = decode(stream.log.read(stream.log.first)[-1])
    assert isinstance(last, StreamEnd)
    return last


# --- Resuming -------------------------------------------------------------------------------


async def test_a_stream_is_followed_elsewhere_from_its_first_byte_to_its_last(
    server: Server,
) -> None:
    async with processes(server.address, 2) as (here, there):
        stream = begin(here, "st_1")
        replica = await there.shared.get("st_1", after=await copied(server, "st_1", 5))
        assert replica.content_started
        says(stream, *"bcd")
        await reaches(replica, 8)
        here.end(stream, end())
        assert await ended(replica) == end()
        assert replica.log.read(0) == stream.log.read(0)


async def copied(server: Server, name: str, count: int) -> int:
    """Wait until so many events of a stream are in Redis; the last one's number."""

    async def there() -> bool:
        return int(await server.ask("HGET", f"{{r0}}:{name}:meta", "next") or 0) >= count

    await until(there)
    return count - 1


async def test_a_stream_that_has_ended_is_read_elsewhere_as_it_was(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        stream = begin(here, "st_1")
        here.end(stream, end())
        await here.copied()
        replica = await there.shared.get("st_1", after=5)
        assert replica.ended
        assert replica.log.read(0) == stream.log.read(0)
        assert (await folded.answer(replica)).body == (await folded.answer(stream)).body


async def test_several_who_ask_at_once_share_one_replica(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        begin(here, "st_1")
        await copied(server, "st_1", 5)
        found = await asyncio.gather(*(there.shared.get("st_1") for _ in range(5)))
        assert len({id(stream) for stream in found}) == 1


async def test_a_cursor_that_the_buffer_has_not_reached_is_waited_for(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        stream = begin(here, "st_1")
        await copied(server, "st_1", 5)
        asked = tasks.spawn(there.shared.get("st_1", after=6), name="resume")
        says(stream, "b", "c")
        assert (await asked).log.next == 7


async def test_what_a_stream_was_asked_is_known_elsewhere(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        begin(here, "st_1", question=ASKED)
        begin(here, "st_2")
        await copied(server, "st_1", 5)
        assert await there.shared.question("st_1") == ASKED
        assert await there.shared.question("st_2") is None


async def test_what_a_stream_was_asked_in_words_to_come_is_not_known(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with processes(server.address, 1) as (here,):
        await server.ask("HSET", "{r0}:st_1:meta", "question", "{}")
        assert await here.shared.question("st_1") is None
    assert "what stream st_1 was asked cannot be read here" in caplog.text


async def test_an_end_that_its_readers_were_told_there_is_waited_for_here(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        stream = begin(here, "st_1")
        await there.shared.caught_up(stream)  # not another process's: nothing is waited for
        await copied(server, "st_1", 5)
        replica = await there.shared.get("st_1")
        waiting = tasks.spawn(there.shared.caught_up(replica), name="continue")
        here.end(stream, end())
        await waiting
        assert replica.ended


async def test_an_end_that_does_not_come_is_not_waited_for_for_long(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        begin(here, "st_1")
        await copied(server, "st_1", 5)
        replica = await there.shared.get("st_1")
        async with asyncio.timeout(PATIENCE):
            await there.shared.caught_up(replica)
        assert not replica.ended


async def test_what_nobody_has_is_not_found_and_what_was_there_is_expired(server: Server) -> None:
    async with processes(server.address, 2, ttl=0.05) as (here, there):
        assert await refused(there.shared.get("st_none")) is ErrorCode.NOT_FOUND
        stream = begin(here, "st_1")
        here.end(stream, end())
        await here.copied()

        async def gone() -> bool:
            return not await server.ask("EXISTS", "{r0}:st_1:meta")

        await until(gone)
        assert await refused(there.shared.get("st_1")) is ErrorCode.STREAM_EXPIRED


async def test_what_the_log_has_dropped_is_folded_elsewhere_too(server: Server) -> None:
    async with processes(server.address, 3, max_bytes=20_000) as (here, there, late):
        stream = begin(here, "st_1")
        await copied(server, "st_1", 5)
        replica = await there.shared.get("st_1")
        for number in range(40):
            says(stream, *(f"{number}-{part} " for part in range(20)))
            await reaches(replica, stream.log.next)
        latest = await late.shared.get("st_1")
        assert latest.log.first > 0
        assert latest.content_started
        here.end(stream, end())
        whole = stream.log.fold().text(BlockKind.TEXT)
        for other in (replica, latest):
            assert await ended(other) == end()
            assert other.log.fold().text(BlockKind.TEXT) == whole
            assert other.log.read(stream.log.next - 20) == stream.log.read(stream.log.next - 20)


async def test_a_stream_that_was_just_made_is_waited_for(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        name = ids.new("st", clock.now_ms())
        asked = tasks.spawn(there.shared.get(name), name="attach")
        await until_asked(server)
        begin(here, name)
        assert (await asked).id == name


async def until_asked(server: Server) -> None:
    """Wait until somebody has looked for a stream."""

    async def looked() -> bool:
        return "cmdstat_hmget" in await server.ask("INFO", "commandstats")

    await until(looked)


async def test_a_replica_that_nobody_reads_is_forgotten_and_found_again(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        begin(here, "st_1")
        await copied(server, "st_1", 5)
        first = await there.shared.get("st_1")
        there.shared._replicas.forget(1e12)
        second = await there.shared.get("st_1")
        assert second is not first
        assert second.log.read(0) == first.log.read(0)


# --- Cancelling and following ---------------------------------------------------------------


async def test_a_stream_is_cancelled_from_elsewhere_with_the_readers_words(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        stream = begin(here, "st_1")
        stopped: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        stream.on_stop(lambda error: stopped.set_result(f"{error.code}: {error.message}"))
        await copied(server, "st_1", 5)
        (await there.shared.get("st_1")).cancel("the reader had enough")
        async with asyncio.timeout(PATIENCE):
            assert await stopped == "cancelled: the reader had enough"


async def test_a_reader_elsewhere_keeps_a_stream_alive_and_its_leaving_ends_it(
    server: Server,
) -> None:
    async with processes(server.address, 2) as (here, there):
        stream = begin(here, "st_1", cancel_after=0)
        stopped = asyncio.Event()
        stream.on_stop(lambda _: stopped.set())
        ours, theirs = object(), object()
        stream.attach(ours)
        await copied(server, "st_1", 5)
        replica = await there.shared.get("st_1")
        replica.attach(theirs)

        async def heard() -> bool:
            return len(stream._attached) == 2

        await until(heard)
        stream.detach(ours)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(RHYTHM.followed + 3 * RHYTHM.beat):
                await stopped.wait()
        replica.detach(theirs)
        async with asyncio.timeout(PATIENCE):
            await stopped.wait()


async def test_a_reader_elsewhere_counts_no_longer_when_redis_has_been_away_for_a_while(
    server: Server,
) -> None:
    async with processes(server.address, 2) as (here, there):
        stream = begin(here, "st_1", cancel_after=0)
        stopped = asyncio.Event()
        stream.on_stop(lambda _: stopped.set())
        await copied(server, "st_1", 5)
        (await there.shared.get("st_1")).attach(object())

        async def heard() -> bool:
            return stream.attached

        await until(heard)
        await server.kill()
        async with asyncio.timeout(PATIENCE):
            await stopped.wait()


# --- A process that dies --------------------------------------------------------------------


async def test_the_stream_of_a_process_that_died_ends_once_and_the_same_for_everybody(
    server: Server,
) -> None:
    async with processes(server.address, 4) as (here, *others):
        begin(here, "st_1")
        await copied(server, "st_1", 5)
        following = [await other.shared.get("st_1") for other in others[:2]]
        for replica in following:
            replica.attach(object())
        await here.dies()
        for replica in following:
            last = await ended(replica)
            assert (last.status, last.finish) == (Status.FAILED, Finish.INTERRUPTED)
            assert last.error is not None
            assert last.error.code is ErrorCode.STREAM_INTERRUPTED
        late = await others[2].shared.get("st_1")
        told = [replica.log.read(0) for replica in (*following, late)]
        assert told[0] == told[1] == told[2]
        grammar.check([seen.data for seen in parsed(b"".join(told[0]))])


async def test_a_process_that_wakes_up_after_its_stream_was_ended_leaves_that_ending(
    server: Server,
) -> None:
    async with processes(server.address, 2) as (here, there):
        stream = begin(here, "st_1")
        await copied(server, "st_1", 5)
        replica = await there.shared.get("st_1")
        await here.sleeps("lease")
        last = await ended(replica)
        says(stream, "more")
        here.end(stream, end())
        await here.copied()
        there.shared._replicas.forget(1e12)
        assert await ended(await there.shared.get("st_1")) == last
        assert stream.log.end == end()


async def test_a_stream_of_which_redis_has_lost_everything_ends_for_its_readers(
    server: Server,
) -> None:
    async with processes(server.address, 2) as (here, there):
        begin(here, "st_1")
        await copied(server, "st_1", 5)
        replica = await there.shared.get("st_1")
        replica.attach(object())
        await here.dies()
        await server.ask("FLUSHALL")
        assert (await ended(replica)).finish is Finish.INTERRUPTED


async def test_a_stream_of_which_redis_has_lost_the_middle_ends_for_who_missed_it(
    server: Server,
) -> None:
    async with processes(server.address, 3) as (here, there, late):
        stream = begin(here, "st_1")
        await copied(server, "st_1", 5)
        replica = await there.shared.get("st_1")
        await server.ask("DEL", "{r0}:st_1:buf")
        says(stream, "b")
        await reaches(replica, 6)
        behind = await late.shared.get("st_1")
        says(stream, "c")
        assert (await ended(behind)).finish is Finish.INTERRUPTED
        await reaches(replica, 7)
        assert replica.log.read(0) == stream.log.read(0)


# --- Redis goes away ------------------------------------------------------------------------


async def test_without_redis_a_stream_goes_on_and_is_whole_when_redis_is_back(
    server: Server,
) -> None:
    async with processes(server.address, 2) as (here, there):
        stream = begin(here, "st_1")
        await copied(server, "st_1", 5)
        replica = await there.shared.get("st_1")
        await server.kill()
        says(stream, *"bcdef")
        await server.start()  # empty
        says(stream, "g")
        here.end(stream, end())
        assert await ended(replica) == end()
        assert replica.log.read(0) == stream.log.read(0)
        await here.copied()
        there.shared._replicas.forget(1e12)
        assert (await there.shared.get("st_1")).log.read(0) == stream.log.read(0)


async def test_without_redis_everybody_is_alone_and_hardly_waits(server: Server) -> None:
    async with processes(server.address, 2) as (here, there):
        begin(here, "st_1")
        await copied(server, "st_1", 5)
        server.freeze()
        before = time.monotonic()
        assert await there.shared.claim("key", SAME, "st_2") is None
        assert time.monotonic() - before < 5  # the client's own patience
        assert (await here.shared.get("st_1")).id == "st_1"
        with pytest.raises(RequestError) as refusal:
            await there.shared.get("st_1")
        assert refusal.value.error.http == 503
        assert refusal.value.error.retryable
        server.thaw()


async def test_what_nobody_waits_for_any_more_is_asked_no_longer_than_it_is_there(
    server: Server,
) -> None:
    """Tried once more with a client that is closed, it would connect anew and stay connected."""
    async with processes(server.address, 1) as (here,):
        server.freeze()
        assert await here.shared.claim("key", SAME, "st_1") is None
        assert ASKING in {task.get_name() for task in asyncio.all_tasks()}
    assert ASKING not in {task.get_name() for task in asyncio.all_tasks()}
    server.thaw()


async def test_without_redis_what_has_expired_is_kept_nowhere(tmp_path: Path) -> None:
    nowhere = Address(Layout.SINGLE, path=str(tmp_path / "nobody"))
    async with processes(nowhere, 1, ttl=0.1) as (here,):
        streams = [begin(here, f"st_{number}") for number in range(50)]
        for stream in streams:
            here.end(stream, end())
        assert len(here.shared._copies) == 50

        async def forgotten() -> bool:
            return len(here.shared._copies) == 0

        await until(forgotten)
        assert {stream.log.readers for stream in streams} == {0}
        assert here.shared._copies._pending == []


# --- What cannot be read --------------------------------------------------------------------


@pytest.mark.parametrize("message", [("m", "[1]"), ("m", "{"), ("of", "another kind")], ids=str)
async def test_a_message_that_cannot_be_read_is_passed_over(
    server: Server, message: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with processes(server.address, 2) as (here, there):
        stream = begin(here, "st_1")
        stopped = asyncio.Event()
        stream.on_stop(lambda _: stopped.set())
        await copied(server, "st_1", 5)
        replica = await there.shared.get("st_1")
        await server.ask("XADD", f"{{r0}}:{here.shared.process}:in", "*", *message)
        replica.cancel("enough")
        async with asyncio.timeout(PATIENCE):
            await stopped.wait()
    assert "a message cannot be read here" in caplog.text
    assert "failed, and go on" not in caplog.text


async def test_a_stream_that_cannot_be_read_any_more_ends_and_the_others_go_on(
    server: Server,
) -> None:
    async with processes(server.address, 2) as (here, there):
        strange, other = begin(here, "st_1"), begin(here, "st_2")
        await copied(server, "st_1", 5)
        await copied(server, "st_2", 5)
        replica, following = await there.shared.get("st_1"), await there.shared.get("st_2")
        last = newer(strange.log, {"type": "stream.end", "status": "transcended"})
        await server.ask("XADD", "{r0}:st_1:buf", "6-0", "f", "5", "e", last[0])
        assert (await ended(replica)).finish is Finish.INTERRUPTED
        grammar.check([seen.data for seen in parsed(b"".join(replica.log.read(0)))])
        says(other, "b")
        await reaches(following, 6)


async def test_whatever_goes_wrong_with_a_message_the_next_one_is_heard(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with processes(server.address, 2) as (here, there):
        first, second = begin(here, "st_1"), begin(here, "st_2")
        stopped = asyncio.Event()
        first.on_stop(lambda _: {}["a fault of ours"])
        second.on_stop(lambda _: stopped.set())
        for stream in (first, second):
            await copied(server, stream.id, 5)
            (await there.shared.get(stream.id)).cancel("enough")
        async with asyncio.timeout(PATIENCE):
            await stopped.wait()
    assert caplog.text.count("followed streams 0 failed, and go on") == 1


# --- A cluster ------------------------------------------------------------------------------


async def test_on_a_cluster_streams_of_every_shard_are_resumed_cancelled_and_ended(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path / "c") as server, processes(server.as_cluster(), 2) as pair:
        here, there = pair
        now = clock.now_ms()
        streams = [begin(here, ids.new("st", now)) for _ in range(12)]
        stopped: list[str] = []
        assert len({here.shared._shards.find(stream.id) for stream in streams}) > 1
        for stream in streams:
            stream.on_stop(lambda _, name=stream.id: stopped.append(name))
        replicas = [await there.shared.get(stream.id, after=4) for stream in streams]
        for stream, replica in zip(streams, replicas, strict=True):
            says(stream, "b", "c")
            await reaches(replica, stream.log.next)
            replica.attach(object())
            replica.cancel("enough")

        async def all_stopped() -> bool:
            return sorted(stopped) == sorted(stream.id for stream in streams)

        await until(all_stopped)
        await here.dies()
        for replica in replicas:
            assert (await ended(replica)).finish is Finish.INTERRUPTED
        assert await there.shared.claim("key", SAME, "st_1") is None
