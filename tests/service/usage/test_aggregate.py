"""A consumer on real servers: whatever happens to it, to them or the database, sums are right."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from service import tasks
from service.usage import scripts
from service.usage.aggregate import GROUP, Aggregator, Pace, Silent
from service.usage.batch import DELIVERIES
from service.usage.client import close, connect
from service.usage.database import Database
from service.usage.database import connect as connect_database
from service.usage.report import Amounts, Query, report
from service.usage.rollups import Arrival, Letter, Rollups, Taken
from service.usage.scripts import UNSHARDED
from tests.service.usage.attempts import body, oracle
from tests.service.usage.servers import Server, until

(KEYS,) = UNSHARDED.all
BRISK = Pace(block_ms=20, look_s=0.02, idle_s=0.03)


@dataclass
class Witness:
    """Remembers what it was told."""

    new: int = 0
    repeated: int = 0
    letters: list[Letter] = field(default_factory=list)
    gaps: list[tuple[str, int, int]] = field(default_factory=list)
    failures: list[str | None] = field(default_factory=list)

    def counted(self, new: int, repeated: int) -> None:
        self.new += new
        self.repeated += repeated

    def buried(self, letter: Letter) -> None:
        self.letters.append(letter)

    def missing(self, producer: str, after: int, mark: int) -> None:
        self.gaps.append((producer, after, mark))

    def failed(self, reason: str | None) -> None:
        self.failures.append(reason)


@pytest.fixture
def sums(tmp_path: Path) -> Callable[[], Rollups]:
    """Another connection to the same sums."""
    return partial(Rollups, partial(connect_database, str(tmp_path / "usage" / "sums.db")))


@asynccontextmanager
async def running(
    server: Server,
    rollups: Rollups,
    *,
    consumer: str = "here",
    pace: Pace = BRISK,
    protocol: int = 2,
) -> AsyncIterator[Witness]:
    """A consumer, for as long as it is wanted."""
    witness = Witness()
    aggregator = Aggregator(
        rollups,
        partial(connect, replace(server.address, protocol=protocol)),
        consumer=consumer,
        pace=pace,
        observer=witness,
    )
    task = tasks.spawn(aggregator.run(), name="aggregator")
    try:
        yield witness
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(rollups.close)


async def publish(
    server: Server, bodies: Sequence[bytes], *, first: int = 1, producer: str = "p", major: int = 1
) -> None:
    """As the publisher does."""
    client = server.client()
    try:
        args = [producer, first - 1, first, major, 1_000_000, *bodies]
        await scripts.PUBLISH.run(client, [KEYS.stream, KEYS.marks], args)
    finally:
        await close(client)


def bodies(numbers: Sequence[int]) -> list[bytes]:
    return [body(number) for number in numbers]


def total(rollups: Rollups) -> Amounts:
    return report(rollups.read, Query()).total


async def counted(sums: Callable[[], Rollups], attempts: int) -> Amounts:
    """The sums, once they hold so many attempts."""
    reader = sums()

    async def there() -> bool:
        return (await asyncio.to_thread(total, reader)).attempts >= attempts

    await until(there)
    amounts = total(reader)
    reader.close()
    return amounts


async def acknowledged(server: Server) -> None:
    """Once nothing is pending."""

    async def nothing() -> bool:
        summary: dict[str, Any] = await server.ask("XPENDING", KEYS.stream, GROUP)
        return not summary["pending"]

    await until(nothing)


async def owed(server: Server) -> list[int]:
    """How often each pending entry was delivered."""
    client = server.client()
    try:
        pending: Any = await client.xpending_range(KEYS.stream, GROUP, "-", "+", 1_000)
    finally:
        await close(client)
    return [one["times_delivered"] for one in pending]


def holds(amounts: Amounts, told: Sequence[bytes]) -> bool:
    """Whether sums are those of the events, each once, by somebody else's reckoning."""
    ((attempts, known, cost, output),) = oracle(told).values()
    ends = amounts.attempts, amounts.attempts - amounts.unknown_cost_attempts
    used = amounts.cost_nano_usd, amounts.output_tokens
    return ends == (attempts, known) and used == (cost, output)


# --- Counting ---


@pytest.mark.parametrize("protocol", [2, 3])
async def test_what_is_published_is_counted_and_acknowledged(
    server: Server, sums: Callable[[], Rollups], protocol: int
) -> None:
    told = bodies(range(1_200))
    await publish(server, told[:700])
    async with running(server, sums(), protocol=protocol) as witness:
        await counted(sums, 700)
        await publish(server, told[700:], first=701)
        amounts = await counted(sums, 1_200)
        await acknowledged(server)
    assert holds(amounts, told)
    assert (witness.new, witness.repeated, witness.letters, witness.gaps) == (1_200, 0, [], [])
    assert await server.ask("HGET", KEYS.applied, "p") == b"1200"


async def test_consumers_share_a_stream_and_know_together_how_far_it_is(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    told = bodies(range(2_000))
    pace = replace(BRISK, batch=50)

    async def applied() -> bool:
        return bool(await server.ask("HGET", KEYS.applied, "p") == b"2000")

    async with (
        running(server, sums(), consumer="a", pace=pace) as one,
        running(server, sums(), consumer="b", pace=pace) as other,
    ):
        for start in range(0, 2_000, 100):
            await publish(server, told[start : start + 100], first=start + 1)
        amounts = await counted(sums, 2_000)
        await acknowledged(server)
        await until(applied)
    assert holds(amounts, told)
    assert one.new + other.new == 2_000


async def test_an_event_that_is_in_the_stream_twice_is_counted_once(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    told = bodies(range(30))
    await publish(server, told)
    await publish(server, told, producer="q")
    async with running(server, sums()) as witness:
        await counted(sums, 30)
        await acknowledged(server)
    assert (witness.new, witness.repeated) == (30, 30)
    assert holds(total(sums()), told)


async def test_how_far_it_is_told_again_after_redis_has_forgotten_it(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    await publish(server, bodies(range(3)))
    async with running(server, sums()):
        await counted(sums, 3)
        await server.ask("DEL", KEYS.applied)

        async def there() -> bool:
            return bool(await server.ask("HGET", KEYS.applied, "p") == b"3")

        await until(there)


# --- What cannot be counted ---


async def test_a_poisoned_event_is_given_up_after_five_deliveries_and_the_others_are_counted(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    told = bodies(range(200))
    told[99] = b'{"type": "llm.attempt.v1"}'
    await publish(server, told)
    async with running(server, sums()) as witness:
        amounts = await counted(sums, 199)
        await acknowledged(server)
        assert await server.ask("HGET", KEYS.applied, "p") == b"200"
    assert holds(amounts, told[:99] + told[100:])
    assert witness.new == 199
    (letter,) = witness.letters
    assert (letter.producer, letter.seq, letter.deliveries) == ("p", 100, DELIVERIES)
    assert sums().letters() == [letter]
    ((_, shown),) = await server.ask("XRANGE", KEYS.dead, "-", "+")
    assert shown[b"s"] == b"100"
    assert shown[b"e"] == told[99]
    assert shown[b"id"].decode() == letter.place.partition(" ")[2]
    assert b"missing required field" in shown[b"reason"]


async def test_an_unknown_major_version_is_given_up_with_an_alarm(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    await publish(server, bodies([0]), major=2)
    await publish(server, bodies([1, 2]), first=2)
    async with running(server, sums()) as witness:
        await counted(sums, 2)
        await acknowledged(server)
    (letter,) = witness.letters
    assert letter.reason == "schema major '2' is not known here, only 1 is"
    assert letter.deliveries == 1


async def test_giving_up_twice_writes_one_dead_letter(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    await publish(server, bodies([0]), major=2)
    async with running(server, sums()):
        await until(lambda: server.ask("XLEN", KEYS.dead))
    # Read once more by a group that is new, as after its loss.
    await server.ask("XGROUP", "SETID", KEYS.stream, GROUP, "0")
    async with running(server, sums()) as witness:

        async def again() -> bool:
            return bool(witness.letters)

        await until(again)
        await acknowledged(server)
    assert len(sums().letters()) == 1


# --- Death ---


class Dying(Rollups):
    """Ends its consumer when a batch is in the sums and not yet acknowledged."""

    __slots__ = ("deaths", "end")
    end: Callable[[], object]
    deaths: int

    @override
    def take(self, arrivals: Sequence[Arrival], now_ns: int) -> Taken:
        taken = Rollups.take(self, arrivals, now_ns)
        if arrivals:
            self.deaths += 1
            self.end()
        return taken


async def test_a_consumer_that_dies_between_counting_and_acknowledging_costs_nothing(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    told = bodies(range(250))
    deaths = 0
    for life in range(50):
        await publish(server, told[life * 5 : life * 5 + 5], first=life * 5 + 1)
        rollups = Dying(sums().connect)
        aggregator = Aggregator(
            rollups, partial(connect, server.address), consumer="here", pace=BRISK
        )
        loop = asyncio.get_running_loop()
        task = tasks.spawn(aggregator.run(), name="aggregator")
        rollups.deaths = 0
        rollups.end = partial(loop.call_soon_threadsafe, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(rollups.close)
        deaths += rollups.deaths
    assert deaths >= 50
    pending = await owed(server)
    assert max(pending) > DELIVERIES  # so the fault was there
    async with running(server, sums()) as witness:
        amounts = await counted(sums, 250)
        await acknowledged(server)
    assert holds(amounts, told)
    assert (witness.letters, sums().letters()) == ([], [])


async def test_what_a_consumer_left_behind_is_taken_over_by_another(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    told = bodies(range(40))
    await publish(server, told)
    await server.ask("XGROUP", "CREATE", KEYS.stream, GROUP, "0")
    await server.ask("XREADGROUP", "GROUP", GROUP, "dead", "COUNT", 25, "STREAMS", KEYS.stream, ">")
    async with running(server, sums()) as witness:
        amounts = await counted(sums, 40)
        await acknowledged(server)
    assert holds(amounts, told)
    assert witness.new == 40


async def test_what_its_own_name_owes_is_taken_up_at_once(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    await publish(server, bodies(range(40)))
    await server.ask("XGROUP", "CREATE", KEYS.stream, GROUP, "0")
    await server.ask("XREADGROUP", "GROUP", GROUP, "here", "STREAMS", KEYS.stream, ">")
    async with running(server, sums(), pace=replace(BRISK, look_s=3_600)):
        await counted(sums, 40)
        await acknowledged(server)


async def test_what_somebody_deleted_from_the_stream_is_owed_no_more(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    await publish(server, bodies(range(3)))
    await server.ask("XGROUP", "CREATE", KEYS.stream, GROUP, "0")
    found = await server.ask("XREADGROUP", "GROUP", GROUP, "x", "STREAMS", KEYS.stream, ">")
    (entries,) = found.values()
    await server.ask("XDEL", KEYS.stream, entries[1][0])
    async with running(server, sums()) as witness:
        await acknowledged(server)
        await counted(sums, 2)

        async def told() -> bool:
            return bool(witness.gaps)

        await until(told)
    assert witness.gaps == [("p", 1, 3)]


# --- Groups that are lost, and what they lost ---


async def test_a_group_that_is_gone_is_made_again_from_the_beginning(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    told = bodies(range(60))
    await publish(server, told[:30])
    async with running(server, sums()) as witness:
        await counted(sums, 30)
        await server.ask("XGROUP", "DESTROY", KEYS.stream, GROUP)
        await publish(server, told[30:], first=31)
        amounts = await counted(sums, 60)
        await acknowledged(server)
    assert holds(amounts, told)
    assert witness.repeated >= 30
    assert "ResponseError" in " ".join(map(str, witness.failures))


async def test_what_was_deleted_with_a_consumer_is_found_without_the_group(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    told = bodies(range(50))
    told[7] = b"broken"
    await publish(server, told)
    await server.ask("XGROUP", "CREATE", KEYS.stream, GROUP, "0")
    await server.ask("XREADGROUP", "GROUP", GROUP, "gone", "COUNT", 30, "STREAMS", KEYS.stream, ">")
    assert await server.ask("XGROUP", "DELCONSUMER", KEYS.stream, GROUP, "gone") == 30
    async with running(server, sums()) as witness:
        amounts = await counted(sums, 49)

        async def buried() -> bool:
            return bool(witness.letters)

        await until(buried)
    assert holds(amounts, told[:7] + told[8:])
    assert witness.gaps == []


async def test_what_is_in_no_stream_is_told_once(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    await publish(server, bodies(range(20)))
    await server.ask("XTRIM", KEYS.stream, "MAXLEN", "=", 12)
    async with running(server, sums()) as witness:
        await counted(sums, 12)

        async def told() -> bool:
            return bool(witness.gaps)

        await until(told)
        await publish(server, bodies([20]), first=21)
        await counted(sums, 13)

        async def again() -> bool:
            return len(witness.gaps) > 1

        await until(again)
    assert witness.gaps == [("p", 0, 20), ("p", 0, 21)]


# --- Redis or the database away ---


async def test_a_server_that_was_emptied_and_filled_again_is_counted_once(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    told = bodies(range(80))
    await publish(server, told[:50])
    async with running(server, sums()):
        await counted(sums, 50)
        await server.ask("FLUSHALL")
        await publish(server, told)
        amounts = await counted(sums, 80)
        await acknowledged(server)
    assert holds(amounts, told)


async def test_a_server_that_was_killed_is_waited_for(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    told = bodies(range(40))
    async with running(server, sums()) as witness:
        await publish(server, told[:20])
        await counted(sums, 20)
        await server.kill()

        async def noticed() -> bool:
            return bool(witness.failures)

        await until(noticed)
        await server.start()
        await publish(server, told[20:], first=21)
        assert holds(await counted(sums, 40), told)

        async def well() -> bool:
            return witness.failures[-1] is None

        await until(well)


async def test_a_server_that_is_not_there_yet_is_waited_for(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    await publish(server, bodies(range(4)))
    await server.kill()
    async with running(server, sums()) as witness:

        async def noticed() -> bool:
            return bool(witness.failures)

        await until(noticed)
        await server.start()
        await counted(sums, 4)


async def test_a_database_that_is_away_loses_nothing_and_makes_no_dead_letters(
    server: Server, sums: Callable[[], Rollups], tmp_path: Path
) -> None:
    (tmp_path / "usage").write_text("in the way")
    told = bodies(range(10))
    await publish(server, told)
    tries: list[None] = []

    def connecting() -> Database:
        tries.append(None)
        return connect_database(str(tmp_path / "usage" / "sums.db"))

    async with running(server, Rollups(connecting), pace=replace(BRISK, idle_s=60)) as witness:

        async def tried() -> bool:
            return len(tries) > 2

        await until(tried)
        pending = await owed(server)
        assert pending == [1] * 10
        (tmp_path / "usage").unlink()
        assert holds(await counted(sums, 10), told)
        await acknowledged(server)
    assert witness.failures == ["UnavailableError", None]  # once, however often it was tried
    assert witness.letters == []


async def test_it_ends_whenever_it_is_cancelled(
    server: Server, sums: Callable[[], Rollups]
) -> None:
    for steps in range(150):
        aggregator = Aggregator(sums(), server.client, consumer="here", pace=BRISK)
        task = tasks.spawn(aggregator.run(), name="aggregator")
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(10):
            with suppress(asyncio.CancelledError):
                await task


async def test_nobody_need_be_told(server: Server, sums: Callable[[], Rollups]) -> None:
    silent = Silent()
    silent.counted(1, 0)
    silent.failed(None)
    silent.missing("p", 0, 1)
    await publish(server, bodies([0]), major=2)
    await publish(server, bodies([1]), first=2)
    rollups = sums()
    aggregator = Aggregator(rollups, server.client, consumer="here", pace=BRISK)
    task = tasks.spawn(aggregator.run(), name="aggregator")
    await counted(sums, 1)
    await acknowledged(server)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await asyncio.to_thread(rollups.close)
