"""Tasks nobody awaits still have an owner: they are kept, reported and settled."""

import asyncio
import gc
import logging
from contextlib import suppress

import pytest

from service import tasks


async def test_a_task_nobody_holds_runs_to_its_end() -> None:
    ended = asyncio.Event()
    started = asyncio.Event()
    release = asyncio.get_running_loop().create_future()

    async def work() -> None:
        started.set()
        await release
        ended.set()

    _ = tasks.spawn(work(), name="work")
    await started.wait()
    gc.collect()
    release.set_result(None)
    await ended.wait()
    await tasks.settle()
    assert tasks.running() == 0


async def test_the_result_can_be_awaited_by_whoever_wants_it() -> None:
    async def answer() -> int:
        return 42

    assert await tasks.spawn(answer(), name="answer") == 42


async def test_an_exception_is_logged_with_the_tasks_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise RuntimeError("the disk is full")

    with caplog.at_level(logging.ERROR, logger="service.tasks"):
        task = tasks.spawn(fail(), name="writer")
        await tasks.settle(patience=1)
    assert task.done()
    (record,) = caplog.records
    assert record.getMessage() == "writer died"
    assert record.exc_info is not None
    assert "the disk is full" in str(record.exc_info[1])


async def test_a_cancelled_task_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    task = tasks.spawn(asyncio.Event().wait(), name="waiter")
    task.cancel()
    await tasks.settle(patience=1)
    assert task.cancelled()
    assert not caplog.records


async def test_settling_waits_for_what_ends_and_cancels_what_does_not() -> None:
    release = asyncio.Event()
    quick = tasks.spawn(release.wait(), name="quick")
    endless = tasks.spawn(asyncio.Event().wait(), name="endless")
    asyncio.get_running_loop().call_soon(release.set)
    await tasks.settle(patience=0.01)
    assert quick.result() is True
    assert endless.cancelled()
    assert tasks.running() == 0


async def test_settling_covers_tasks_that_are_started_meanwhile() -> None:
    late: list[asyncio.Task[bool]] = []

    async def start_another() -> None:
        late.append(tasks.spawn(asyncio.Event().wait(), name="late"))

    _ = tasks.spawn(start_another(), name="early")
    await tasks.settle(patience=0.01)
    assert late[0].cancelled()
    assert tasks.running() == 0


async def test_a_task_whose_cancellation_was_passed_over_ends_all_the_same() -> None:
    passed_over = asyncio.Event()

    async def deaf() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            passed_over.set()
        await asyncio.Event().wait()

    async def heeding() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        while True:
            tasks.heed_cancellation()

    for work in (deaf, heeding):
        task = tasks.spawn(work(), name="work")
        await asyncio.sleep(0)
        await tasks.end(task)
        assert task.cancelled()
    assert passed_over.is_set()


async def test_a_task_that_nobody_asked_to_end_goes_on() -> None:
    tasks.heed_cancellation()
