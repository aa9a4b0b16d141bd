"""T1, T2, T15, T24: everything is killed, at any moment, again and again."""

import asyncio
from collections import Counter

from tests.chaos.scenario import Play, Shown
from tests.chaos.stage import Stage, staged, told

ATTEMPTS = 10_000

KILLS = Counter({"writers": 7, "consumers": 7, "engine": 6})
"""Of T1."""

LOSSES = Counter({"writers": 7, "consumers": 7, "tails": 4, "wipes": 2, "engine": 1})
"""Of T2: the engine's are worse."""

TAIL = 400_000
"""Bytes of the log that are lost at most."""


async def everything(play: Play) -> Shown:
    """T1: two writers, two consumers, twenty kills."""
    return await _killed(play, KILLS)


async def forgetful(play: Play) -> Shown:
    """T2: the same, and the engine comes back without its last seconds, or with nothing."""
    shown = await _killed(play, LOSSES)
    shown.must(shown.redelivered, "nothing came twice, so nothing was forgotten")
    shown.must(shown.rewinds, "no publisher saw the engine go back")
    return shown


async def _killed(play: Play, planned: Counter[str]) -> Shown:
    async with staged(play) as stage:
        await stage.serve()
        await asyncio.gather(*(start() for start in (stage.writer, stage.consumer) * 2))
        plan = [kind for kind, count in planned.items() for _ in range(play.of(count))]
        stage.chance.shuffle(plan)
        done: Counter[str] = Counter()
        forgotten = 0
        for moment, kind in zip(stage.moments(len(plan), play.of(ATTEMPTS)), plan, strict=True):
            await stage.reaches(moment)
            forgotten += await _fault(stage, kind)
            done[kind] += 1
        await stage.reaches(play.of(ATTEMPTS))
        shown = await stage.settle()
    shown.fault = f"killed: {told(done)}"
    if forgotten:
        shown.fault += f"; {forgotten:,} bytes of its log lost"
    return shown


async def _fault(stage: Stage, kind: str) -> int:
    """Returns how much the engine has forgotten of it, bytes."""
    match kind:
        case "writers":
            await stage.die_and_return(stage.chance.choice(stage.writers))
        case "consumers":
            await stage.die_and_return(stage.chance.choice(stage.consumers))
        case "tails":
            return await stage.lose_engine(cut=TAIL)
        case "wipes":
            return await stage.lose_engine(wipe=True)
        case _:
            await stage.lose_engine()
    return 0


DEATHS = 50


async def halted(play: Play) -> Shown:
    """T15: a consumer dies between the commit of its batch and the acknowledgement."""
    async with staged(play) as stage:
        await stage.serve()
        await stage.writer(at_once=8)
        dying = await stage.consumer(halt=True, batch=20)
        for death in range(deaths := play.of(DEATHS)):
            await stage.news.until(
                lambda: len(dying.times.get("committed", ())) >= dying.lives, "a batch is counted"
            )
            await dying.kill()
            if death + 1 < deaths:
                await dying.start()
        stage.consumers.remove(dying)
        await stage.consumer()
        shown = await stage.settle()
    shown.fault = f"{deaths} deaths after {dying.heard['committed']} events were committed"
    shown.must(shown.redelivered, "nothing came twice, so nobody died with something owed")
    return shown


async def without_engine(play: Play) -> Shown:
    """T24: no Redis; the only process is killed while it writes and counts."""
    async with staged(play) as stage:
        worker = await stage.writer()
        for moment in stage.moments(deaths := play.of(20), play.of(ATTEMPTS)):
            await stage.reaches(moment)
            await stage.die_and_return(worker)
        await stage.reaches(play.of(ATTEMPTS))
        shown = await stage.settle()
    shown.fault = f"{deaths} deaths, {stage.heard('recovered')} attempts left open by them"
    shown.must(stage.heard("recovered"), "no attempt was open when its process died")
    return shown
