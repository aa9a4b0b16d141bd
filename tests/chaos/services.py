"""T4, T7, T8, T11, T23 before a whole service: what the double saw is what is in the sums."""

import asyncio
import http
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from adapters.events import Outcome
from service import clock
from service.hedging.runner import LONGEST_CLOSE
from service.usage.journal import BALLAST
from service.usage.record import VERDICT_OF_OUTCOME
from tests.chaos.house import House, ending_well, house, opened, server_pid
from tests.chaos.scenario import Play, Shown, Times
from tests.chaos.stage import staged
from tests.double.answer import Failure
from tests.double.errors import Kind
from tests.double.script import Script, dropped, reply
from tests.double.seen import Seen
from tests.double.steps import Gate, Stall, Wait
from tests.e2e.process import PATIENCE, Served, serving
from tests.e2e.stack import read
from tests.service.usage.servers import until

# --- Streams that are cut -------------------------------------------------------------------

OPEN = 200
WORDS, EVERY_S = 40, 0.1
"""That each stream has said, and how fast."""

BEHIND_S = 2.5
"""Of what was said in the last seconds nothing need be known: two, and a busy machine's."""

VISIBLE_S = 5.0
"""Seconds in which what was cut must be in the sums after the restart."""


async def cut(play: Play) -> Shown:
    """T7, T23: kill -9 while two hundred streams are open; the embedded engine is adopted."""
    gate, streams = Gate(), play.of(OPEN)
    async with house(play.folder, {}) as home:
        words = ["word "] * WORDS
        home.double.choose(lambda _: reply(*words, Wait(gate), "end", between=EVERY_S))
        async with serving(play.folder, environ=home.environ) as home.served:
            answers = await asyncio.gather(*(_asked_for(home) for _ in range(streams)))
            await asyncio.gather(*map(_first_words, answers))
            await gate.reached(streams)
            before = await home.engine()
            home.served.process.kill()
            code = await home.served.process.wait()
            for answer in answers:
                answer.close()
        async with ending_well(serving(play.folder, environ=home.environ)) as home.served:
            seconds = await home.counts(streams)
            told, total = await home.outcomes(), (await home.usage())["total"]
            after = await home.engine()
    shown = Shown(
        attempted=len(home.double.requests),
        aggregated=total["attempts"],
        lost=streams - told.get("interrupted", 0),
        double=max(0, total["attempts"] - streams),
        fault=f"ended with {code}; interrupted ones visible after {seconds:.1f} s, engine"
        f" {after['kind']} {'kept' if before == after else 'replaced'}",
    )
    shown.must(code == -9, f"the service ended with {code}")
    shown.must(told == {"interrupted": streams}, f"the sums have {told}")
    shown.must(total["estimated_attempts"] == streams, "not all are told as estimated")
    tokens = (total["output_tokens"] or 0) / streams
    shown.must(tokens >= WORDS - BEHIND_S / EVERY_S, f"{tokens:.0f} of {WORDS} words are counted")
    shown.must(before == after, f"the engine was {before}, and is {after}")
    shown.must(seconds < VISIBLE_S, f"{seconds:.1f} s until they were visible")
    return shown


async def _asked_for(home: House) -> aiohttp.ClientResponse:
    """A stream, from which nothing was read."""
    answer: aiohttp.ClientResponse = await home.post(open_early_ms=0)
    return answer


async def _first_words(answer: aiohttp.ClientResponse) -> None:
    """Read until there is content."""
    seen = b""
    async with asyncio.timeout(PATIENCE):
        while b"text.delta" not in seen:
            seen += await answer.content.readany()


# --- Attempts that end in every way ---------------------------------------------------------

ASKED = 120
LATE = 0.5
"""Share of those who leave that hear something before."""


def _scripted(seen: Seen) -> Script:
    """What a provider does about a request, which says what it is about."""
    case, _, _ = _content(seen).partition(" ")
    slow = seen.provider == "openai"
    match case:
        case "leave":
            return reply("one ", "two ", "three ", Stall())
        case "fail" if slow:
            return reply("one ", "two ", Failure(Kind.OVERLOADED))
        case "race" if slow:
            return reply(Stall(), "late")
        case "drop" if slow:
            return dropped()
        case "stall":
            return reply("one ", Stall())
        case _:
            return reply("one ", "two ", "three.")


def _content(seen: Seen) -> str:
    return str(seen.body["messages"][-1]["content"])


_BOTH: dict[str, Any] = {"strategy": "normal", "providers": ["openai", "groq"]}

CASES: dict[str, dict[str, Any]] = {
    "answer": {},
    "leave": {"on_disconnect": "cancel_after:0"},
    "fail": {"model": "auto", "latency": _BOTH},
    "race": {
        "model": "auto",
        "latency": _BOTH | {"strategy": "race"},
        "budget_tier": "enterprise",
    },
    "drop": {"model": "auto", "latency": _BOTH},
    "stall": {"deadlines": {"total_ms": 700}},
}
"""How a request is asked, by what its providers do."""


async def every_end(play: Play) -> Shown:
    """T8: clients leave, losers, failures after tokens, drops, timeouts."""
    chance = Random(play.seed)  # noqa: S311 - to be drawn again
    async with opened(play.folder, {}) as home:
        home.double.choose(_scripted)
        cases = [case for case in CASES for _ in range(play.of(ASKED // len(CASES)))]
        chance.shuffle(cases)
        expected: Counter[str] = Counter()
        for start in range(0, len(cases), 12):
            batch = cases[start : start + 12]
            ends = await asyncio.gather(
                *(_ask(home, start + at, case, chance) for at, case in enumerate(batch))
            )
            for outcomes in ends:
                expected.update(VERDICT_OF_OUTCOME[Outcome(outcome)] for outcome in outcomes)
        # A dropped connection is asked again within its attempt, so the double saw more than that.
        attempts = sum(expected.values())
        await home.counts(attempts)
        told = await home.outcomes()
        rows = {row["outcome"]: row for row in (await home.usage("outcome"))["rows"]}
    shown = Shown(
        attempted=attempts,
        aggregated=sum(told.values()),
        lost=max(0, attempts - sum(told.values())),
        double=max(0, sum(told.values()) - attempts),
        fault=", ".join(f"{count} {outcome}" for outcome, count in sorted(told.items())),
    )
    shown.must(told == dict(expected), f"the streams told of {dict(expected)}")
    shown.must(set(told) >= {"winner", "loser", "failed", "cancelled"}, "not every end was met")
    shown.must((rows["cancelled"]["output_tokens"] or 0) > 0, "what was delivered is not counted")
    return shown


async def _ask(home: House, number: int, case: str, chance: Random) -> Sequence[str]:
    """Returns how its attempts ended."""
    content = f"{case} {number}"
    asked: dict[str, Any] = {"model": "openai/auto", "open_early_ms": 0} | CASES[case]
    async with home.post(**asked, messages=[{"role": "user", "content": content}]) as answer:
        if case != "leave":
            return [one["outcome"] for one in (await read(answer)).end["attempts"]]
        await home.double.until(
            lambda: any(_content(seen) == content for seen in home.double.requests),
            lambda: f"{content} to be asked",
        )
        if chance.random() < LATE:
            await _first_words(answer)
        answer.close()
        return [Outcome.CANCELLED]


# --- An engine that is away -----------------------------------------------------------------

RATE = 50
"""Requests a second, whatever becomes of them: a fifth of what fills a core, or the figures would
be those of a queue."""

WARM = 500
AWAY = 60 * RATE
"""Requests without an engine: a minute."""

PATIENCE_MS = 50.0
"""That limits have with an engine: by so much the median would be higher if requests waited for it.
99th percentiles are shown only, see `outage`."""

DRAINED_S = 30.0


async def away(play: Play) -> Shown:
    """T4: requests do not feel that Redis is away, and nothing of what they used is lost."""
    async with staged(play) as stage:
        redis = await stage.serve()
        async with opened(play.folder, {"REDIS_URL": str(stage.url)}) as home:
            home.double.choose(lambda _: reply("Hello."))
            await _asked(home, play.of(WARM))
            before = await _asked(home, play.of(WARM))
            await redis.kill()
            began = clock.monotonic()
            during = await _asked(home, play.of(AWAY))
            seconds = clock.monotonic() - began
            in_stream = len(home.double.requests) - play.of(AWAY)
            seen_then = (await home.usage())["total"]["attempts"]
            await redis.start()
            drained = await home.counts(len(home.double.requests))
            counted = (await home.usage())["total"]["attempts"]
    attempts = len(home.double.requests)
    shown = Shown(
        attempted=attempts,
        acked=attempts,
        aggregated=counted,
        lost=attempts - counted,
        double=max(0, counted - attempts),
        fault=f"away {seconds:.0f} s; a request took {before} before and {during} meanwhile;"
        f" backlog counted in {drained:.1f} s",
    )
    shown.must(seen_then <= in_stream, "what was used meanwhile was counted without an engine")
    slower = during.median - before.median
    shown.must(slower < PATIENCE_MS, f"requests took {slower:.0f} ms longer without an engine")
    shown.must(drained < DRAINED_S, "the backlog took too long")
    return shown


async def _asked(home: House, requests: int) -> Times:
    """How long so many requests took; each must be answered."""
    times: list[float] = []

    async def client() -> None:
        began = clock.monotonic()
        async with home.post() as answer:
            told = await read(answer)
        assert told.end["status"] == "completed", told.end
        times.append(clock.monotonic() - began)

    async with asyncio.TaskGroup() as clients:
        for _ in range(requests):
            clients.create_task(client())
            await asyncio.sleep(1 / RATE)
    times.sort()
    return Times(*(times[len(times) * share // 100] * 1e3 for share in (50, 99)))


# --- An embedded engine that dies -----------------------------------------------------------

DEATHS = 3
BACK_S = 2.0
"""Seconds in which the embedded engine must be back."""


async def engine_dies(play: Play) -> Shown:
    """T23: the embedded engine is killed while requests come; it is back, nothing is lost."""
    async with opened(play.folder, {}) as home:
        home.double.choose(lambda _: reply("Hello."))
        engine = await home.engine()
        gone: list[float] = []
        for _ in range(deaths := play.of(DEATHS)):
            asking = asyncio.gather(_asked(home, play.of(300)), _dies(engine["url"]))
            gone.append((await asking)[1])
        attempts = len(home.double.requests)
        await home.counts(attempts)
        counted = (await home.usage())["total"]["attempts"]
        same = await home.engine() == engine
    shown = Shown(
        attempted=attempts,
        acked=attempts,
        aggregated=counted,
        lost=attempts - counted,
        double=max(0, counted - attempts),
        fault=f"{deaths} deaths, back after {', '.join(f'{one:.1f}' for one in gone)} s",
    )
    shown.must(gone[0] < BACK_S, f"it was away for {gone[0]:.1f} s")
    # Who dies again at once is started ever slower.
    shown.must(max(gone) < 2 * BACK_S, f"it was away for {max(gone):.1f} s")
    shown.must(same, "it came back elsewhere")
    return shown


async def _dies(url: str) -> float:
    """Kill the engine; returns after how many seconds another process answers there."""
    before = await server_pid(url)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    began = clock.monotonic()

    async def back() -> bool:
        return await server_pid(url) not in {None, before}

    await until(back)
    return clock.monotonic() - began


# --- A disk that is full --------------------------------------------------------------------

DISK_MB = 96
"""The ballast is 64 of them."""

RUNNING = 20


async def full_disk(play: Play) -> Shown:
    """T11: without space for the journal nothing new is taken, and what runs is told of."""
    gate = Gate()
    async with staged(play) as stage:
        await stage.serve()
        async with (
            house(play.folder, {"REDIS_URL": str(stage.url)}) as home,
            _on_small_disk(home) as home.served,
        ):
            home.double.choose(lambda _: reply("Hello ", Wait(gate), "world"))
            running = [await home.post(open_early_ms=0) for _ in range(RUNNING)]
            await asyncio.gather(*map(_first_words, running))
            filler = _seen_by(home.served, play.folder / "data" / "filler")
            full = await asyncio.to_thread(_fill, filler)
            refusals: list[Any] = []
            await until(lambda: _refused(home, refusals))
            opened = clock.monotonic()
            gate.open()
            ends = [(await read(answer)).end["status"] for answer in running]
            waited = clock.monotonic() - opened
            filler.unlink()
            await until(lambda: _taken(home))
            attempts = len(home.double.requests)
            await home.counts(attempts)
            told = await home.outcomes()
    status, retry_after = refusals[-1]
    shown = Shown(
        attempted=attempts,
        acked=attempts,
        aggregated=sum(told.values()),
        lost=attempts - sum(told.values()),
        double=max(0, sum(told.values()) - attempts),
        fault=f"{full >> 20} MB written until ENOSPC; new ones got {status}, Retry-After"
        f" {retry_after}; {len(ends)} that ran were closed",
    )
    shown.must(status == http.HTTPStatus.SERVICE_UNAVAILABLE, f"a new request got {status}")
    shown.must(retry_after, "it was not told when to come again")
    shown.must(set(ends) == {"completed"}, f"what ran ended as {Counter(ends)}")
    # Without the ballast its records could not be written, and it would end after that long anyway.
    shown.must(waited < LONGEST_CLOSE, f"what ran was closed after {waited:.1f} s")
    return shown


@asynccontextmanager
async def _on_small_disk(home: House) -> AsyncIterator[Served]:
    """The service with its data on a disk of its own that no other process sees."""
    data = home.folder / "data"
    data.mkdir()
    script = f'mount -t tmpfs -o size={DISK_MB}m none "$0" && exec "$@"'
    unshared = ("unshare", "-rm", "sh", "-c", script, str(data))
    trial = await asyncio.create_subprocess_exec(
        *unshared, "true", stderr=asyncio.subprocess.DEVNULL
    )
    if await trial.wait():
        pytest.skip("no namespace of one's own can be had here")
    environ = {**home.environ, "TAILRACE_USAGE__BALLAST_BYTES": str(BALLAST)}
    async with serving(home.folder, environ=environ, before=unshared) as served:
        yield served


def _seen_by(served: Served, path: Path) -> Path:
    """A file as that process sees it."""
    return Path(f"/proc/{served.process.pid}/root{path}")


def _fill(file: Path) -> int:
    """Take all the space there is; returns how many bytes that was."""
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(1 << 16))
    return file.stat().st_size


async def _refused(home: House, refusals: list[Any]) -> bool:
    """Whether a new request is refused, as `refusals` then has it; it may be the last one taken."""
    async with home.post() as answer:
        if answer.status == http.HTTPStatus.OK:
            return False
        refusals.append((answer.status, answer.headers.get("Retry-After")))
        return True


async def _taken(home: House) -> bool:
    async with home.post() as answer:
        await answer.read()
        return bool(answer.status == http.HTTPStatus.OK)
