"""Every attempt is written down when it is sent, while it runs and at its end."""

from asyncio import sleep
from collections.abc import Coroutine
from typing import Any

import pytest

from adapters.errors import RequestError
from adapters.events import ErrorCode
from service import clock, tasks
from service.usage.meter import CHECKPOINT, Meter, OpenRecord
from service.usage.record import Progress
from service.usage.store import JournalFullError
from tests.service.telemetry.facts import completed
from tests.service.usage.events import ORIGIN, REPLY, SENT, USED, priced
from tests.service.usage.notebook import Notebook

FACTS = completed(usage=USED)


def progress() -> Progress:
    return Progress(reply=REPLY, usage=USED, cost=priced(USED), first_token_ns=None)


async def test_an_attempt_is_written_down_as_interrupted_when_it_is_sent() -> None:
    book = Notebook()
    Meter(book).begin(ORIGIN, SENT, progress)
    [event] = book.opened
    assert event["id"] == str(SENT.id)
    assert (event["data"]["outcome"], event["data"]["estimated"]) == ("interrupted", True)


@pytest.mark.parametrize(("when", "request_waits"), [("async", 0), ("sync", 1)])
async def test_content_waits_for_the_record_and_the_request_only_where_that_is_asked_for(
    when: OpenRecord, request_waits: int
) -> None:
    book = Notebook()
    metered = Meter(book, open_record=when).begin(ORIGIN, SENT, progress)
    assert await _waits(metered.before_request()) == request_waits
    assert await _waits(metered.before_content())
    book.syncing[0].set_result(None)
    assert not await _waits(metered.before_content())


async def _waits(step: Coroutine[Any, Any, None]) -> bool:
    """Whether a step does not come to its end by itself."""
    task = tasks.spawn(step, name="step")
    await sleep(0)
    waits = not task.done()
    await tasks.settle() if waits else task.result()
    return waits


async def test_without_open_records_nothing_is_written_before_the_end() -> None:
    book = Notebook()
    meter = Meter(book, open_record="off")
    metered = meter.begin(ORIGIN, SENT, progress)
    await metered.before_content()
    meter.checkpoint(clock.monotonic() + 10 * CHECKPOINT)
    metered.close(FACTS, reply=REPLY, cost=priced(USED))
    assert (book.opened, book.renewed, len(book.closed)) == ([], [], 1)


async def test_a_running_attempt_is_written_down_of_every_two_seconds_until_it_is_closed() -> None:
    book = Notebook()
    meter = Meter(book)
    metered = meter.begin(ORIGIN, SENT, progress)
    begun = clock.monotonic()
    meter.checkpoint(begun + CHECKPOINT / 2)
    assert book.renewed == []
    meter.checkpoint(begun + CHECKPOINT)
    assert [event["id"] for event in book.renewed] == [str(SENT.id)]
    metered.close(FACTS, reply=REPLY, cost=priced(USED))
    meter.checkpoint(begun + 10 * CHECKPOINT)
    assert len(book.renewed) == 1


async def test_the_end_is_resolved_when_it_is_safe_and_tells_the_outcome() -> None:
    book = Notebook()
    metered = Meter(book).begin(ORIGIN, SENT, progress)
    closing = metered.close(FACTS, reply=REPLY, cost=priced(USED))
    assert closing is not None
    assert not closing.done()
    book.syncing[-1].set_result(None)
    await closing
    assert book.closed[0]["data"]["outcome"] == "winner"


async def test_nothing_is_started_that_cannot_be_written_down() -> None:
    meter = Meter(Notebook(writable=False))
    with pytest.raises(RequestError) as refusal:
        meter.check()
    assert refusal.value.error.code is ErrorCode.NO_CANDIDATES
    assert refusal.value.error.http == 503
    assert refusal.value.error.retry_after_ms


async def test_content_of_an_attempt_that_could_not_be_written_down_is_not_let_in() -> None:
    book = Notebook()
    metered = Meter(book).begin(ORIGIN, SENT, progress)
    book.syncing[0].set_exception(JournalFullError("no space"))
    with pytest.raises(RequestError):
        await metered.before_content()


async def test_where_answers_matter_more_they_are_given_without_a_record() -> None:
    book = Notebook(writable=False)
    meter = Meter(book, lossy=True)
    meter.check()
    metered = meter.begin(ORIGIN, SENT, progress)
    book.syncing[0].set_exception(JournalFullError("no space"))
    await metered.before_content()


async def test_without_a_journal_nothing_waits() -> None:
    meter = Meter()
    meter.check()
    metered = meter.begin(ORIGIN, SENT, progress)
    await metered.before_request()
    await metered.before_content()
    assert metered.close(FACTS, reply=REPLY, cost=priced(USED)) is None
