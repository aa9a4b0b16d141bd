"""Limits that processes share, on real servers that freeze, die and come back."""

import asyncio
import logging
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.ratelimits import RateLimits, Window
from service import clock, tasks
from service.limits.account import MOST_ENDS
from service.limits.limit_scripts import GONE, REPLICAS, keys
from service.limits.provider_limits import BUSY, Limits, ProviderLimits, Reservation
from service.limits.shared_limits import FAREWELL, PATIENCE, SharedLimits, _Line
from service.usage.client import Client, connect
from tests.service.usage.servers import Server, until

ROOT = Path(__file__).parents[3]


@dataclass
class Process:
    """One that shares limits, or its like in this process."""

    limits: Limits
    shared: SharedLimits

    async def ask(self, number: int, tokens: int = 0, lease: float = 60) -> list[Reservation]:
        """So many requests at once; those that are admitted."""
        got = await asyncio.gather(
            *(self.shared.reserve("groq", tokens, lease=lease) for _ in range(number))
        )
        return [reservation for reservation in got if reservation is not None]

    def here(self, number: int) -> int:
        """So many requests, none of which asks the engine; how many are admitted."""
        now = clock.monotonic()
        got = [self.shared.reserve_here("groq", 0, now) for _ in range(number)]
        return sum(reservation is not None for reservation in got)

    def settle(self, reservation: Reservation, tokens: int | None = None) -> None:
        self.shared.settle(reservation, tokens, clock.monotonic())

    def wait(self, tokens: int = 0) -> float:
        return self.limits.wait("groq", tokens, clock.monotonic())

    @property
    def tokens(self) -> int:
        return self.limits.left("groq", clock.monotonic()).tokens.used

    @property
    def streams(self) -> int:
        return self.limits.left("groq", clock.monotonic()).streams.used

    async def back(self) -> None:
        """Until it asks the engine again."""
        await until(self._together)

    async def _together(self) -> bool:
        return self.shared.asks("groq")


Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(server: Server) -> AsyncIterator[Start]:
    """Starts one with these limits; it is stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(connect: Callable[[], Client] = server.client, **limits: int) -> Process:
            own = Limits()
            own.configure("groq", ProviderLimits(**limits))
            made = Process(own, SharedLimits(own))
            await made.shared.start(connect)
            stack.push_async_callback(made.shared.stop)
            return made

        yield start
    await tasks.settle(patience=2)


async def minute(server: Server) -> int:
    """The server's clock, microseconds."""
    seconds, microseconds = await server.ask("TIME")
    return int(seconds) * 1_000_000 + int(microseconds)


# --- Together -------------------------------------------------------------------------------


async def test_of_two_processes_requests_as_many_are_admitted_as_the_limit_has(
    start: Start,
) -> None:
    one, other = await start(requests_per_minute=20), await start(requests_per_minute=20)
    got = await asyncio.gather(one.ask(15), other.ask(15))
    assert sum(map(len, got)) == 20
    assert not await one.ask(1)
    assert 0 < one.wait() <= 3
    left = one.limits.left("groq", clock.monotonic())
    assert (left.shared, left.requests.limit, left.requests.left) == (True, 20, 0)


async def test_who_has_no_limit_is_never_asked_about(start: Start, server: Server) -> None:
    process = await start()
    assert not process.shared.asks("groq")
    assert process.here(50) == 50
    assert await server.ask("KEYS", "*") == [REPLICAS.encode()]


async def test_a_stream_that_ends_in_one_process_makes_room_in_the_other(start: Start) -> None:
    one, other = await start(concurrent_streams=1), await start(concurrent_streams=1)
    (running,) = await one.ask(1)
    assert not await other.ask(1)
    assert other.wait() == BUSY
    one.settle(running)

    async def admitted() -> bool:
        return bool(await other.ask(1))

    await until(admitted)


async def test_what_an_attempt_took_takes_the_estimates_place_once(start: Start) -> None:
    process = await start(tokens_per_minute=100_000)
    first, second, *_ = await process.ask(100, 1_000)
    before = process.wait(10_000)
    process.settle(first, 100)
    await until(lambda: _is(process.tokens < 99_200))
    assert process.wait(10_000) == pytest.approx(before - 0.54, abs=0.2)
    process.settle(first, 0)
    process.settle(second, 6_000)
    await until(lambda: _is(process.tokens > 103_000))
    assert process.tokens <= 104_100
    assert process.wait(10_000) == pytest.approx(before - 0.54 + 3, abs=0.4)


async def test_what_was_not_sent_is_given_back(start: Start) -> None:
    process = await start(requests_per_minute=2, tokens_per_minute=100)
    (reservation,) = await process.ask(1, 100)
    assert not await process.ask(1, 50)
    process.shared.release(reservation, clock.monotonic())
    process.shared.release(reservation, clock.monotonic())
    await until(lambda: _is(process.wait(100) == 0))
    assert len(await process.ask(2, 50)) == 2


@pytest.mark.parametrize("turns", [1, 20], ids=["before it is heard", "before it is answered"])
async def test_a_request_that_is_cancelled_while_it_asks_has_reserved_nothing(
    start: Start, server: Server, turns: int
) -> None:
    process = await start(concurrent_streams=5)
    server.freeze()
    asking = [tasks.spawn(process.shared.reserve("groq", 0), name="ask") for _ in range(5)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for one in asking:
        one.cancel()
    await asyncio.wait(asking)
    server.thaw()
    assert all(one.cancelled() for one in asking)

    async def free() -> bool:
        return await server.ask("ZCARD", keys("groq")[1]) == 0 and len(await process.ask(5)) == 5

    await until(free)


async def test_of_a_thousand_requests_half_of_which_are_cancelled_any_time_each_counts_once(
    start: Start, server: Server
) -> None:
    process = await start(concurrent_streams=1_000)
    chance = random.Random(7)  # noqa: S311 - luck, no secret

    async def ask(turns: int | None) -> Reservation | None:
        asking = tasks.spawn(process.shared.reserve("groq", 0, lease=600), name="ask")
        if turns is not None:
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
        await asyncio.wait([asking])
        return None if asking.cancelled() else asking.result()

    turns = [chance.choice([None, chance.randrange(40)]) for _ in range(1_000)]
    got = [one for one in await asyncio.gather(*map(ask, turns)) if one is not None]
    assert turns.count(None) <= len(got) < 1_000

    async def held() -> bool:
        return await server.ask("ZCARD", keys("groq")[1]) == len(got)

    await until(held)
    assert process.shared.asks("groq")
    for reservation in got:
        process.settle(reservation)
    got.clear()
    await until(held)


async def test_on_a_cluster_it_is_the_same(start: Start, cluster: list[Server]) -> None:
    def of_cluster() -> Client:
        return connect(cluster[0].as_cluster())

    one = await start(of_cluster, requests_per_minute=20)
    other = await start(of_cluster, requests_per_minute=20)
    got = await asyncio.gather(one.ask(15), other.ask(15))
    assert sum(map(len, got)) == 20
    assert one.shared.asks("groq")


async def test_what_the_provider_says_is_heeded_before_the_engine_is_asked(
    start: Start, server: Server
) -> None:
    process = await start(requests_per_minute=5)
    said = RateLimits(requests=Window(limit=5, remaining=0, reset=30))
    process.limits.observe("groq", said, clock.monotonic(), model="m")
    assert await process.shared.reserve("groq", 0, model="m") is None
    assert await server.ask("EXISTS", *keys("groq")) == 0


async def test_a_process_that_is_killed_gives_its_streams_back_with_their_lease(
    start: Start,
) -> None:
    one, other = await start(concurrent_streams=1), await start(concurrent_streams=1)
    assert await one.ask(1, lease=0.2)
    assert not await other.ask(1)

    async def admitted() -> bool:
        return bool(await other.ask(1))

    await until(admitted)


async def test_what_is_left_to_tell_at_the_end_is_told(start: Start, server: Server) -> None:
    process = await start(concurrent_streams=9)
    for reservation in await process.ask(9):
        process.settle(reservation)
    await process.shared.stop()
    assert await server.ask("ZCARD", keys("groq")[1]) == 0
    assert await server.ask("EXISTS", REPLICAS) == 0


# --- Without the engine ---------------------------------------------------------------------


async def test_without_an_engine_each_process_counts_for_itself() -> None:
    limits = Limits()
    limits.configure("groq", ProviderLimits(requests_per_minute=2))
    process = Process(limits, SharedLimits(limits))
    assert not process.shared.asks("groq")
    assert process.here(3) == 2
    assert len(await process.ask(1)) == 0
    await process.shared.stop()


async def test_an_engine_that_freezes_costs_no_request_more_than_the_patience_and_only_once(
    start: Start, server: Server
) -> None:
    one, other = await start(requests_per_minute=40), await start(requests_per_minute=40)
    assert len(await one.ask(5)) == 5  # the first of them knows of the second only with its beat
    frozen = clock.monotonic()
    server.freeze()
    begun = clock.monotonic()
    got = await asyncio.gather(*(other.ask(1) for _ in range(100)))
    waited = clock.monotonic() - begun
    # Of a process that has the machine to itself 53 ms; in any case not the client's own 5 s.
    assert PATIENCE <= waited < 5
    assert sum(map(len, got)) == 20  # its part of 40, as it knows of two
    assert not other.shared.asks("groq")
    assert not await other.ask(100)
    assert other.here(100) == 0
    server.thaw()
    await other.back()
    # What was admitted meanwhile counts for all, the five before as well, and nothing twice.
    admitted = len(await other.ask(40))
    assert 15 <= admitted <= 16 + (clock.monotonic() - frozen) * 40 / 60


async def test_a_client_is_asked_nothing_any_more_when_it_is_closed(server: Server) -> None:
    """Tried once more, it would connect anew, and nobody would close that connection."""
    line = _Line(server.client)
    await line.run(GONE, [REPLICAS], ["nobody"], 10)
    server.freeze()
    async with asyncio.TaskGroup() as group:
        group.create_task(hung_up_on(line.run(GONE, [REPLICAS], ["nobody"], 60)))
        with pytest.raises(TimeoutError):
            await line.run(GONE, [REPLICAS], ["nobody"], 0.2)
    await until(lambda: _is("limits hung up" not in names()))
    assert "limits asked" not in names()
    server.thaw()


async def hung_up_on(asked: Awaitable[object]) -> None:
    with pytest.raises(ConnectionError, match="another question has waited in vain"):
        await asked


def names() -> set[str]:
    """What runs."""
    return {task.get_name() for task in asyncio.all_tasks()}


async def test_while_it_is_away_each_holds_its_part_and_what_it_sent_before_counts(
    start: Start, server: Server
) -> None:
    _ = await start(requests_per_minute=30, concurrent_streams=100)
    other = await start(requests_per_minute=30, concurrent_streams=100)
    sent = await other.ask(12)
    await server.kill()
    assert len(await other.ask(30)) == 3
    left = other.limits.left("groq", clock.monotonic())
    assert (left.shared, left.requests.limit, left.requests.used) == (False, 15, 15)
    assert left.streams.limit == 50
    other.settle(sent[0])
    await server.start()
    await other.back()
    await until(lambda: _is(other.streams == 14))  # the new server is told what the old one knew
    left = other.limits.left("groq", clock.monotonic())
    assert left.shared
    assert left.requests.used == pytest.approx(14, abs=2)


async def test_a_server_that_comes_back_empty_is_told_what_runs_here_since_it_left(
    start: Start, server: Server
) -> None:
    process = await start(concurrent_streams=10)
    await server.kill()
    running = await process.ask(8)
    assert len(running) == 8
    process.settle(running[0])
    await server.start()
    await process.back()
    await until(lambda: _is(process.streams == 7))
    assert len(await process.ask(10)) == 3
    for reservation in running:
        process.settle(reservation)
    await until(lambda: _is(process.streams <= 3))


async def test_a_server_that_refuses_is_as_good_as_away(
    start: Start, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    process = await start(requests_per_minute=10)
    await server.ask("SET", keys("groq")[0], "not a hash")
    assert len(await process.ask(20)) == 10
    assert "the engine is away" in caplog.text
    assert "WRONGTYPE" in caplog.text
    await server.ask("DEL", keys("groq")[0])
    await process.back()
    assert not await process.ask(1)
    assert "held by all processes together again, 1 of them" in caplog.text


async def test_a_server_that_answers_less_than_it_was_asked_is_as_good_as_away(
    start: Start, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    whole = asyncio.Event()

    def cut(reply: list[int], **_options: object) -> list[int]:
        return reply if whole.is_set() or len(reply) < 5 else reply[:-1]

    def cutting() -> Client:
        client = server.client()
        client.set_response_callback("EVALSHA", cut)
        client.set_response_callback("EVAL", cut)
        return client

    process = await start(cutting, requests_per_minute=10)
    async with asyncio.timeout(10):
        assert len(await process.ask(20)) == 10
    assert "the engine is away" in caplog.text
    assert "19 answers to 20 entries" in caplog.text
    whole.set()
    await process.back()
    assert not await process.ask(1)


async def test_an_engine_that_is_away_from_the_start_is_joined_when_it_comes(
    start: Start, server: Server
) -> None:
    await server.kill()
    process = await start(requests_per_minute=4)
    assert process.here(5) == 4
    await server.start()
    await process.back()
    assert not await process.ask(1)


async def test_what_cannot_be_told_at_the_end_is_said_and_waited_for_no_longer(
    start: Start, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    process = await start(concurrent_streams=9)
    running = await process.ask(3)
    server.freeze()
    for reservation in running:
        process.settle(reservation)
    begun = clock.monotonic()
    await process.shared.stop()
    assert clock.monotonic() - begun < 2 * FAREWELL + 5  # the client's own patience, once at most
    server.thaw()
    assert "3 attempts count against limits until their leases end" in caplog.text
    process.settle(running[0])
    assert not process.shared.asks("groq")


async def test_more_ends_than_are_kept_for_an_engine_that_is_away_are_said_to_be_lost(
    start: Start, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    process = await start(concurrent_streams=20_000)
    # By the hundred: ten thousand at once are more than an engine answers within its 50 ms.
    running = [held for _ in range(MOST_ENDS // 100) for held in await process.ask(100)]
    running += await process.ask(2)
    assert len(running) == MOST_ENDS + 2
    await server.kill()
    assert await process.ask(1)
    for reservation in running:
        process.settle(reservation)
    await server.start()
    await process.back()
    assert "groq: 2 ends were not told while the engine was away" in caplog.text


# --- Processes ------------------------------------------------------------------------------


@asynccontextmanager
async def processes(server: Server, number: int, *limits: str) -> AsyncIterator[list["Asking"]]:
    """So many real ones that have joined."""
    started = [await Asking.start(server, *limits) for _ in range(number)]
    try:
        for one in started:
            assert await one.says() == ["ready"]
        yield started
    finally:
        for one in started:
            if one.process.returncode is None:
                one.process.kill()
            await one.process.communicate()


@dataclass
class Asking:
    """`asking_process`."""

    process: asyncio.subprocess.Process

    @classmethod
    async def start(cls, server: Server, *limits: str) -> "Asking":
        module = "tests.service.limits.asking_process"
        return cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, str(server.address.path), *limits),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        )

    def tell(self, *words: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())

    async def says(self) -> list[str]:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().split()


async def test_four_processes_share_a_burst_exactly_and_settling_moves_the_next_one(
    server: Server, start: Start
) -> None:
    async with processes(server, 4, "-", "100000", "-") as four:
        first = await minute(server)
        for one, asks in zip(four, (38, 38, 37, 37), strict=True):
            one.tell("ask", asks, 1_000)
        admitted = [int((await one.says())[1]) for one in four]
        last = await minute(server)
        assert 100 <= sum(admitted) <= 100 + (last - first) * 100 // 60_000_000

        here = await start(tokens_per_minute=100_000)
        before = here.wait(10_000)
        down = max(range(4), key=lambda one: admitted[one])
        four[down].tell("settle", 10, 100)  # 9,000 tokens that were not taken
        assert await four[down].says() == ["settled", "10"]
        for one in four:
            one.tell("end")
            assert await one.says() == ["ended"]
        assert not await here.ask(1, 100_000)
        elapsed = (await minute(server) - last) / 1_000_000
        assert here.wait(10_000) == pytest.approx(max(0, before - 5.4 - elapsed), abs=1)


async def _is(fact: bool) -> bool:  # noqa: FBT001 - the fact itself
    return fact
