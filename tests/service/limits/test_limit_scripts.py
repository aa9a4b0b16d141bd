"""The scripts on real servers: what is admitted, by whose clock, and what is given back."""

from collections.abc import AsyncIterator

import pytest

from service.limits.account import Counted
from service.limits.limit_scripts import COUNT, GONE, PRESENT, REPLICAS, keys
from service.usage.client import Client, close
from tests.service.usage.servers import Server, until

HOUR = 3_600_000_000
NONE = -1


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    client = server.client()
    yield client
    await close(client)


async def count(
    client: Client,
    *entries: tuple[object, ...],
    rpm: int = NONE,
    tpm: int = NONE,
    streams: int = NONE,
) -> Counted:
    words = [word for entry in entries for word in entry]
    return Counted.of(await COUNT.run(client, keys("groq"), [rpm, tpm, streams, *words]))


def ask(name: str, tokens: int = 0, lease: int = HOUR) -> tuple[object, ...]:
    return "ask", name, tokens, lease, 1


def own(name: str, tokens: int = 0, lease: int = HOUR) -> tuple[object, ...]:
    return "own", name, tokens, lease, 1


def end(name: str, more: int, counted: int, requests: int = 0) -> tuple[object, ...]:
    return "end", name, more, counted, requests


def asks(number: int, tokens: int = 0) -> list[tuple[object, ...]]:
    return [ask(str(n), tokens) for n in range(number)]


async def wait_for_clock(client: Client, microseconds: int) -> int:
    """Until the server's clock is there; the time that it is."""

    async def there() -> bool:
        return (await count(client)).now >= microseconds

    await until(there)
    return (await count(client)).now


# --- Admission ------------------------------------------------------------------------------


async def test_a_burst_of_the_limit_is_admitted_and_not_one_more(client: Client) -> None:
    counted = await count(client, *asks(150), rpm=100)
    assert counted.done == (True,) * 100 + (False,) * 50
    assert counted.requests == 100


async def test_then_one_more_is_admitted_each_time_the_servers_clock_has_room_for_it(
    client: Client,
) -> None:
    first = await count(client, *asks(1_000), rpm=1_000)
    admitted, asked = 1_000, 0
    while admitted < 1_003:
        asked += 1
        counted = await count(client, ask(f"more {asked}"), rpm=1_000)
        room = 1_000 + (counted.now - first.now) * 1_000 // 60_000_000
        assert counted.done == (admitted < room,)
        admitted += counted.done[0]


async def test_what_does_not_fit_one_limit_is_taken_from_none(client: Client) -> None:
    full = await count(client, ask("a", 60), rpm=10, tpm=100)
    refused = await count(client, ask("b", 60), rpm=10, tpm=100)
    assert (full.done, refused.done) == ((True,), (False,))
    assert (refused.requests, refused.streams) == (pytest.approx(1, abs=0.1), 1)
    small = await count(client, ask("c", 40), rpm=10, tpm=100)
    assert small.done == (True,)


async def test_more_than_a_limit_is_never_admitted(client: Client) -> None:
    assert (await count(client, ask("a", 101), tpm=100)).done == (False,)


async def test_as_many_streams_run_at_once_as_may_until_one_has_ended(client: Client) -> None:
    counted = await count(client, *asks(3), streams=2)
    assert counted.done == (True, True, False)
    counted = await count(client, end("0", 0, counted.now), ask("3"), ask("4"), streams=2)
    assert counted.done == (True, True, False)


async def test_what_was_admitted_and_asks_again_is_not_counted_twice(client: Client) -> None:
    await count(client, ask("a", 10), rpm=2, tpm=100)
    again = await count(client, ask("a", 10), ask("a", 10), rpm=2, tpm=100)
    assert again.done == (True, True)
    assert (again.requests, again.tokens) == (pytest.approx(1, abs=0.1), pytest.approx(10, abs=1))


async def test_what_others_admitted_counts_even_beyond_the_limit_and_once(client: Client) -> None:
    counted = await count(client, *(own(str(n), 10) for n in range(5)), own("0", 10), rpm=3)
    assert counted.done == (True,) * 5 + (False,)
    assert counted.requests == 5
    assert (await count(client, ask("a"), rpm=3)).done == (False,)


async def test_without_a_limit_nothing_is_counted(client: Client) -> None:
    counted = await count(client, *asks(5, tokens=1_000))
    assert (counted.requests, counted.tokens, counted.streams) == (0, 0, 5)


async def test_providers_are_counted_apart(client: Client) -> None:
    await count(client, ask("a"), rpm=1)
    other = await COUNT.run(client, keys("openai"), [1, -1, -1, *ask("a")])
    assert Counted.of(other).done == (True,)


# --- Ends -----------------------------------------------------------------------------------


async def test_an_end_corrects_the_estimate_once(client: Client) -> None:
    begun = await count(client, *asks(100, tokens=1_000), tpm=100_000)
    once = await count(client, end("0", -900, begun.now), tpm=100_000)
    again = await count(client, end("0", -900, begun.now), tpm=100_000)
    assert (once.done, again.done) == ((True,), (False,))
    assert once.tokens == pytest.approx(99_100, abs=100)
    assert again.tokens <= once.tokens
    beyond = await count(client, end("1", 5_000, begun.now), tpm=100_000)
    assert beyond.tokens == pytest.approx(104_100, abs=100)


async def test_a_request_that_was_not_sent_is_given_back_whole(client: Client) -> None:
    begun = await count(client, ask("a", 50), ask("b", 50), rpm=2, tpm=100)
    left = await count(client, end("a", -50, begun.now, -1), rpm=2, tpm=100)
    assert left.requests == pytest.approx(1, abs=0.1)
    assert left.tokens == pytest.approx(50, abs=1)
    assert left.streams == 1


async def test_what_has_drained_in_the_meantime_is_not_given_back(client: Client) -> None:
    begun = await count(client, ask("a", 1_000), tpm=6_000_000)  # drained in 10 ms
    await wait_for_clock(client, begun.now + 15_000)
    full = await count(client, ask("b", 6_000_000), tpm=6_000_000)
    left = await count(client, end("a", -1_000, begun.now), tpm=6_000_000)
    assert (full.done, left.done) == ((True,), (True,))
    drained = (left.now - full.now) / 10
    assert left.tokens == pytest.approx(6_000_000 - drained, abs=0.001)


async def test_a_reservation_that_nobody_ends_lapses_with_its_lease(client: Client) -> None:
    begun = await count(client, ask("a", 10, lease=20_000), streams=1)
    assert (await count(client, ask("b"), streams=1)).done == (False,)
    await wait_for_clock(client, begun.now + 20_000)
    after = await count(client, end("a", -10, begun.now), ask("b"), streams=1)
    assert after.done == (False, True)


async def test_keys_vanish_when_they_say_nothing_any_more(client: Client) -> None:
    await count(client, ask("a", 10, lease=5_000_000), rpm=60, tpm=20)
    limits, held = keys("groq")
    # A minute after the last bucket is empty, and with the last lease.
    assert 85_000 < await client.pttl(limits) <= 90_000
    assert 3_000 < await client.pttl(held) <= 5_001


async def test_a_limit_that_changes_keeps_what_was_used(client: Client) -> None:
    await count(client, *asks(10), rpm=100)
    assert (await count(client, ask("a"), rpm=10)).done == (False,)
    assert (await count(client, ask("a"), rpm=12)).done == (True,)


# --- Processes ------------------------------------------------------------------------------


async def present(client: Client, name: str, forgotten: int = HOUR) -> int:
    (there,) = await PRESENT.run(client, [REPLICAS], [name, forgotten])
    return int(there)


async def test_processes_count_for_as_long_as_they_tell_of_themselves(client: Client) -> None:
    assert [await present(client, name) for name in ("a", "b", "a")] == [1, 2, 2]
    await GONE.run(client, [REPLICAS], ["a"])
    assert await present(client, "b") == 1
    await present(client, "c")
    await wait_for_clock(client, (await count(client)).now + 2_000)
    assert await present(client, "b", forgotten=1_000) == 1
