"""T4, T9, T12, T13, T20: an engine that is away, frozen or full, refuses, or is not heard."""

import asyncio
from itertools import pairwise

from service.usage.client import close
from service.usage.publisher import BATCH
from service.usage.scripts import UNSHARDED
from tests.chaos.scenario import Play, Shown, Times
from tests.chaos.stage import Stage, staged
from tests.chaos.worker import Worker
from tests.service.usage.proxy import Proxy
from tests.service.usage.refusals import LOADING, REFUSALS

(KEYS,) = UNSHARDED.all

WARM = 3_000
"""Attempts, by which the time of a close is known."""

AWAY = 30_000
"""Attempts without an engine: half a minute and more of them."""

DRAINED_S = 30.0
"""Seconds in which a backlog of that must be in the stream."""

SLACK_MS = 20.0
"""By which medians may differ on a machine that does other things too. 99th percentiles are shown
only: where others want the processor, they differ by three between two runs of the same."""


async def away(play: Play) -> Shown:
    """T4: who closes an attempt does not feel that the engine is away."""
    async with staged(play) as stage:
        await stage.serve()
        writer, _ = await asyncio.gather(stage.writer(), stage.consumer())
        await _measured(stage, writer)
        await stage.reaches(stage.acked + play.of(WARM))
        before = await _measured(stage, writer)
        await stage.engine.kill()
        began, first = _now(), stage.acked
        await stage.reaches(stage.acked + play.of(AWAY))
        during = await _measured(stage, writer)
        seconds, backlog = _now() - began, stage.acked - first
        await stage.engine.start()
        drained = await _caught_up(writer)
        shown = await stage.settle()
    shown.fault = (
        f"away {seconds:.0f} s; a close took {before} before and {during} meanwhile;"
        f" {backlog:,} events drained in {drained:.1f} s"
    )
    shown.must(writer.heard["failed ConnectionError"], "the publisher never missed its engine")
    slower = during.median - before.median
    shown.must(slower < SLACK_MS, f"closing took {slower:.1f} ms longer without an engine")
    shown.must(drained < DRAINED_S, "the backlog took too long")
    return shown


async def frozen(play: Play) -> Shown:
    """T20: the engine neither answers nor goes away; then it goes on."""
    async with staged(play) as stage:
        await stage.serve()
        writer, _ = await asyncio.gather(stage.writer(), stage.consumer())
        await stage.goes_on()
        stage.engine.freeze()
        began = _now()
        # What does not answer is given up after five seconds, and so is the next connection.
        await writer.hears("failed ConnectionError")
        seconds = _now() - began
        stage.engine.thaw()
        await _caught_up(writer)
        shown = await stage.settle()
    shown.fault = f"frozen {seconds:.0f} s"
    return shown


async def _measured(stage: Stage, writer: Worker) -> Times:
    """What a close took since it was last asked for."""
    before = writer.heard.copy()
    writer.tell("measure")
    await stage.news.until(lambda: writer.heard["measured"] > before["measured"], "it has measured")
    median, p99 = (writer.heard[word] - before[word] for word in ("median", "p99"))
    return Times(median / 1e3, p99 / 1e3)


async def _caught_up(writer: Worker) -> float:
    """Seconds until all that the journal holds now is in the stream."""
    began = _now()
    writer.tell("catch up")
    await writer.hears("caught up")
    return _now() - began


def _now() -> float:
    return asyncio.get_running_loop().time()


# --- Replies that get lost ---

DROPPED = 100


async def speechless(play: Play) -> Shown:
    """T9: the engine has published, and nobody is told."""
    async with staged(play) as stage:
        server = await stage.serve()
        async with Proxy(server.folder / "s") as proxy:
            ((host, port),) = proxy.address.hosts
            url = f"redis://{host}:{port}?protocol={play.engine.protocol}"
            writer, _ = await asyncio.gather(stage.writer(url=url, at_once=4), stage.consumer())
            for turn in range(drops := play.of(DROPPED)):
                # Two in a row are more than the client's own retry: the publisher begins anew.
                proxy.drop_replies = 2 if turn % 20 == 0 else 1
                await stage.news.until(lambda: not proxy.drop_replies, "replies are dropped")
            await stage.drain()
            entries = await server.entries()
            shown = await stage.settle()
    twice = len(entries) - len({(producer, seq) for producer, seq, _ in entries})
    shown.fault = f"{proxy.dropped} replies lost; {twice} events twice in the stream"
    shown.must(proxy.dropped >= drops, "replies were not lost")
    shown.must(not twice, f"{twice} events are in the stream twice")
    shown.must(writer.heard["failed ConnectionError"], "no session was ever lost")
    return shown


# --- Refusals ---

TRIES = 5
"""A second, at most."""


async def refusing(play: Play) -> Shown:
    """T12: every error that a server answers with, each really provoked."""
    async with staged(play) as stage:
        server = await stage.serve("--enable-debug-command", "yes")
        writer, _ = await asyncio.gather(stage.writer(), stage.consumer())
        times: dict[str, int] = {}
        refusals = {"LOADING": LOADING, **REFUSALS}
        for reason in stage.chance.sample(list(refusals), len(refusals)):
            provoke, end = refusals[reason]
            before = writer.heard[f"failed {reason}"]
            await provoke(server)
            # Of LOADING as many as there is time for.
            await writer.hears(f"failed {reason}", 1 if reason == "LOADING" else TRIES)
            await end(server)
            await _caught_up(writer)
            times[reason] = writer.heard[f"failed {reason}"] - before
        await server.ask("SCRIPT", "FLUSH")
        await _caught_up(writer)
        flushed = await server.ask("INFO", "errorstats")
        shown = await stage.settle()
    shown.fault = f"{', '.join(f'{n} {reason}' for reason, n in times.items())}, and NOSCRIPT"
    shown.must("NOSCRIPT" in str(flushed), "the server never missed its script")
    tries = sorted(t for word, at in writer.times.items() if word.startswith("failed") for t in at)
    busiest = max((_within_a_second(tries, at) for at in tries), default=0)
    shown.must(busiest <= TRIES, f"{busiest} tries within a second")
    return shown


def _within_a_second(tries: list[float], at: float) -> int:
    return sum(at <= other < at + 1 for other in tries)


# --- A full stream ---

CAP = 2_000


async def full(play: Play) -> Shown:
    """T13: nobody reads, the stream is at its cap; nothing is trimmed, events wait."""
    async with staged(play) as stage:
        server = await stage.serve()
        writer = await stage.writer(most=CAP, kept_s=0, sweep_s=0.2)
        await stage.news.until(lambda: bool(writer.heard["full"]), "the stream is full")
        await stage.reaches(stage.acked + play.of(4_000))
        entries = await server.entries()
        waiting = stage.acked - len(entries)
        await stage.consumer()
        shown = await stage.settle()
        left = await _length(stage)
    shown.fault = f"{len(entries):,} in the stream at a cap of {CAP:,}, {waiting:,} waited"
    shown.must(CAP <= len(entries) < CAP + BATCH, f"the stream held {len(entries)}")
    numbers = [seq for _, seq, _ in entries]
    shown.must(
        numbers[0] == 1 and all(b == a + 1 for a, b in pairwise(numbers)), "something was trimmed"
    )
    shown.must(waiting > 0, "nothing waited in the journal")
    shown.must(left < CAP, "what was read was not trimmed either")
    return shown


async def _length(stage: Stage) -> int:
    client = stage.client()
    try:
        return int(await client.xlen(KEYS.stream))
    finally:
        await close(client)
