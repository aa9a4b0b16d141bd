"""From the meter to the sums in one process, over each engine there is."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal
from uuid import UUID

import pytest

from service import clock, tasks
from service.settings import Server as ServerSettings
from service.settings import Settings, SettingsError, Usage
from service.usage import report
from service.usage.client import close
from service.usage.pipeline import Pipeline
from service.usage.record import Progress
from service.usage.report import Amounts, Query
from service.usage.scripts import Keys
from service.usage.store import JournalError
from tests.service.telemetry.facts import completed
from tests.service.usage.events import ORIGIN, REPLY, SENT, USED, priced
from tests.service.usage.servers import Server, until

KEYS = Keys("tailrace:usage")
MONTH_NS = 30 * 86_400 * 1_000_000_000

Kind = Literal["auto", "in-process"]
ENGINES: list[Kind] = ["auto", "in-process"]


def unexpected() -> None:
    raise AssertionError("the journal failed")


def made(
    data: Path, engine: Kind = "in-process", redis: str = "", workers: int = 1, **usage: object
) -> Pipeline:
    """A pipeline that finds no server on PATH, but the packaged one."""
    settings = Settings(
        server=ServerSettings(data=data, workers=workers),
        usage=Usage.model_validate({"engine": engine, "ballast_bytes": 0, **usage}),
    )
    return Pipeline(settings, {"PATH": "", "REDIS_URL": redis}, on_failure=unexpected)


@asynccontextmanager
async def running(pipeline: Pipeline) -> AsyncIterator[Pipeline]:
    await pipeline.start()
    try:
        yield pipeline
    finally:
        await pipeline.stop()
        await tasks.settle()


def progress() -> Progress:
    return Progress(reply=REPLY, usage=USED, cost=priced(USED), first_token_ns=None)


async def attempt(pipeline: Pipeline, number: int) -> None:
    """One attempt that answers."""
    sent = replace(SENT, id=UUID(int=number), opened_ns=clock.now_ns())
    metered = pipeline.meter.begin(ORIGIN, sent, progress)
    await metered.before_content()
    closing = metered.close(completed(usage=USED), reply=REPLY, cost=priced(USED))
    assert closing is not None
    await closing


async def counted(pipeline: Pipeline, wanted: Callable[[Amounts], bool]) -> Amounts:
    """The sums, once they are as they should be."""
    total = Amounts()

    async def there() -> bool:
        nonlocal total
        asked = await asyncio.to_thread(report.report, pipeline.rollups.read, Query())
        total = asked.total
        return wanted(total)

    await until(there)
    return total


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_was_used_is_in_the_sums_to_the_nano_usd(engine: Kind, tmp_path: Path) -> None:
    async with running(made(tmp_path, engine)) as pipeline:
        await asyncio.gather(*(attempt(pipeline, number) for number in range(1, 41)))
        total = await counted(pipeline, lambda amounts: amounts.attempts == 40)
        assert total.cost_nano_usd == 40 * (priced(USED).nano_usd or 0)
        assert total.output_tokens == 40 * 255


async def test_with_a_redis_events_are_on_its_stream_and_counted(
    server: Server, tmp_path: Path
) -> None:
    async with running(made(tmp_path, "auto", redis=f"unix://{server.address.path}")) as pipeline:
        assert pipeline.engine.kind == "redis"
        await attempt(pipeline, 1)
        await counted(pipeline, lambda amounts: amounts.attempts == 1)
        client = pipeline.connect()
        try:
            assert await client.xlen(KEYS.stream) == 1
        finally:
            await close(client)


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_a_killed_process_left_open_is_counted_as_interrupted(
    engine: Kind, tmp_path: Path
) -> None:
    first = made(tmp_path, engine)
    await first.start()
    first.meter.begin(ORIGIN, SENT, progress)
    await attempt(first, 7)
    # Ended without a word on the attempt that runs, as by kill -9: the journal keeps what was open.
    await first.stop()
    async with running(made(tmp_path, engine)) as second:
        total = await counted(second, lambda amounts: amounts.attempts == 2)
        assert total.estimated_attempts == 1


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_journal_that_was_left_behind_is_taken_over_at_the_second_look_and_counted(
    engine: Kind, tmp_path: Path
) -> None:
    elder, younger = made(tmp_path, engine), made(tmp_path, engine)
    await elder.start()
    async with running(younger):
        elder.meter.begin(ORIGIN, SENT, progress)
        await elder.stop()
        await younger.adopt()
        assert len(younger._journals) == 1  # who had it may be on its way back
        await younger.adopt()
        total = await counted(younger, lambda amounts: amounts.attempts == 1)
        assert total.estimated_attempts == 1


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_journal_of_which_nothing_is_left_is_let_go_with_the_books_of_its_producers(
    engine: Kind, tmp_path: Path
) -> None:
    elder, younger = made(tmp_path, engine), made(tmp_path, engine)
    await elder.start()
    async with running(younger):
        await attempt(elder, 1)
        producer = elder._journals[0].producer(elder._journals[0].epoch)
        await elder.stop()
        await younger.adopt()
        await younger.adopt()
        await counted(younger, lambda amounts: amounts.attempts == 1)
        assert younger._counting.positions([producer]) == {producer: 1}

        async def let_go() -> bool:
            await younger.purge(clock.now_ns() + MONTH_NS)
            return len(younger._journals) == 1

        await until(let_go)
        assert younger._counting.positions([producer]) == {}
        assert (await counted(younger, lambda _: True)).attempts == 1


async def test_a_journal_that_was_taken_over_and_fails_does_not_end_this_process(
    tmp_path: Path,
) -> None:
    elder, younger = made(tmp_path), made(tmp_path)
    await elder.start()
    async with running(younger):
        await attempt(elder, 1)
        name = elder._journals[0].name
        await elder.stop()
        await younger.adopt()
        await younger.adopt()
        await counted(younger, lambda amounts: amounts.attempts == 1)
        with closing(sqlite3.connect(tmp_path / "usage" / name / "journal.db")) as other:
            other.execute("DROP TABLE ev")

        async def let_go() -> bool:
            with suppress(JournalError, sqlite3.Error):
                await younger.purge(clock.now_ns() + MONTH_NS)
            return len(younger._journals) == 1

        await until(let_go)
        await younger.adopt()
        await younger.adopt()
        assert len(younger._journals) == 1
        await attempt(younger, 2)
        await counted(younger, lambda amounts: amounts.attempts == 2)


async def test_what_waits_for_redis_is_told_as_a_backlog(server: Server, tmp_path: Path) -> None:
    async with running(made(tmp_path, "auto", redis=f"unix://{server.address.path}")) as pipeline:
        await attempt(pipeline, 1)
        await counted(pipeline, lambda amounts: amounts.attempts == 1)
        assert pipeline.backlog() == 0
        await server.kill()
        await attempt(pipeline, 2)
        assert pipeline.backlog() == 1
        await server.start()
        await counted(pipeline, lambda amounts: amounts.attempts == 2)
        assert pipeline.backlog() == 0


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_purge_keeps_what_is_young_or_not_counted(engine: Kind, tmp_path: Path) -> None:
    async with running(made(tmp_path, engine)) as pipeline:
        await attempt(pipeline, 1)
        await counted(pipeline, lambda amounts: amounts.attempts == 1)
        await pipeline.purge(clock.now_ns())
        [own] = pipeline._journals
        assert [row.seq for row in own.rows(own.epoch, 0, 10)] == [1]


async def test_several_workers_without_an_engine_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"server\.workers: 2: only 1 is allowed"):
        await made(tmp_path, workers=2).start()


@pytest.mark.parametrize(
    ("environ", "said"),
    [({"redis": "http://localhost"}, "REDIS_URL"), ({"database": "postgres://:bad:port/x"}, "")],
)
async def test_what_cannot_be_used_is_named_at_the_start(
    environ: dict[str, str], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = made(tmp_path, "auto", **environ)
    if said:
        with pytest.raises(SettingsError, match=said):
            await pipeline.start()
        return
    async with running(pipeline):
        # A database that is away is waited for: the journal holds what is used.
        assert "counted when its database is there" in caplog.text


async def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(SettingsError, match=r"server\.data"):
        await made(tmp_path / "data").start()


async def test_counting_can_be_left_to_another_process(tmp_path: Path) -> None:
    async with running(made(tmp_path, "auto", aggregate=False)) as pipeline:
        await attempt(pipeline, 1)
        client = pipeline.connect()

        async def published() -> bool:
            return bool(await client.exists(KEYS.stream))

        try:
            await until(published)
            assert not await client.exists(KEYS.applied)
        finally:
            await close(client)
