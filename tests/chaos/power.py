"""T5: a loss of power where the journal only promised to survive the end of its process."""

import os
import struct
from typing import Any
from uuid import UUID

import orjson

from service.usage.client import close
from service.usage.record import Verdict
from service.usage.scripts import UNSHARDED
from service.usage.slot import FOLDER
from service.usage.store import FILE
from tests.chaos import ledger
from tests.chaos.attempt import body
from tests.chaos.scenario import Play, Shown
from tests.chaos.stage import Stage, staged

(KEYS,) = UNSHARDED.all

LOSSES = 6

_HEAD, _FRAME_HEAD = 32, 24  # bytes, of the log and of each frame in it


async def lost(play: Play) -> Shown:
    """T5: the journal's tail is gone, some of it was published; numbers are not given twice."""
    async with staged(play) as stage:
        await stage.serve()
        writer = await stage.writer(durability="process")
        await stage.consumer()
        cut = 0
        for turn in range(losses := play.of(LOSSES)):
            await stage.goes_on()
            # Every second time the engine is behind, so that some of the tail is nowhere else.
            if turn % 2:
                stage.engine.freeze()
                await stage.goes_on()
            await writer.kill()
            cut += _cut_tail(stage)
            stage.engine.thaw()
            await writer.start()
            await writer.hears("acked")
        await stage.drain()
        kept = {UUID(bytes=row.id): row.body for _, rows in stage.journals() for row in rows}
        entries = await stage.engine.entries()
        published = {UUID(orjson.loads(event)["id"]) for _, _, event in entries}
        marks = await _marks(stage)
        shown = await stage.settle(
            forgivable=lambda attempt: attempt not in kept.keys() | published, marks=marks
        )
    acknowledged = ledger.noted(stage.ledgers).acknowledged
    rolled_back = {
        attempt
        for attempt in acknowledged
        if attempt not in kept or kept[attempt] != body(attempt, Verdict.WINNER)
    }
    shown.fault = (
        f"{losses} losses, {cut:,} bytes of the log cut: {len(rolled_back)} acknowledged ends"
        f" forgotten, of which {len(rolled_back & published)} are in the stream, {shown.lost}"
        f" of those lost; {len(rolled_back - kept.keys() - published)} are nowhere, as promised"
    )
    shown.must(rolled_back, "nothing was rolled back")
    shown.must(rolled_back & published, "nothing of what was rolled back had been published")
    return shown


def _cut_tail(stage: Stage) -> int:
    """Lose some of what the write-ahead log has not been folded of; returns how many bytes.

    What was folded had been synced before, so a loss of power cannot take it; and behind the last
    frame there may be older ones, which nobody would miss. Where both are, the index says:
    sqlite.org/walformat.html, 2.1 and 2.2.
    """
    (log,) = (stage.play.folder / FOLDER).glob(f"*/{FILE}-wal")
    index = log.with_name(f"{FILE}-shm").read_bytes()
    frames, folded = (_word(index, at) for at in (16, 96))
    page = _word(log.read_bytes(), 8, order=">")
    kept = stage.chance.randint(folded, max(folded, frames - 1))
    os.truncate(log, _HEAD + kept * (_FRAME_HEAD + page))
    return (frames - kept) * (_FRAME_HEAD + page)


def _word(data: bytes, at: int, order: str = "=") -> int:
    number: int = struct.unpack_from(f"{order}I", data, at)[0]
    return number


async def _marks(stage: Stage) -> dict[str, int]:
    """Up to which number the stream has had each producer's events."""
    client = stage.client()
    try:
        stored: Any = await client.hgetall(KEYS.marks)
    finally:
        await close(client)
    return {str(producer, "ascii"): int(mark) for producer, mark in stored.items()}
