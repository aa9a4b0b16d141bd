"""Sums made anew from all journals of a data folder, in use or not."""

import asyncio
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from service.settings import Settings, SettingsError
from service.usage import sums
from service.usage.archive import replayed
from service.usage.journal import Journal
from service.usage.report import Amounts, Query, report
from service.usage.rollups import HistoryError
from service.usage.store import JournalError
from tests.service.usage.attempts import arrivals, body
from tests.service.usage.journals import journal

NOW = 1_795_400_000_000_000_000


async def write(journal: Journal, numbers: range) -> None:
    for told in map(body, numbers):
        await journal.close(UUID(orjson.loads(told)["id"]).bytes, told)


def settings(data: Path, **usage: object) -> Settings:
    return Settings.model_validate({"server": {"data": data}, "usage": usage})


def total(own: Settings) -> Amounts:
    rollups = sums.opened(own)
    try:
        return report(rollups.read, Query()).total
    finally:
        rollups.close()


async def again(own: Settings, since: str | None = None) -> int:
    return await asyncio.to_thread(replayed, own, since, now_ns=NOW)


async def test_what_two_processes_have_written_is_counted_while_they_run(tmp_path: Path) -> None:
    own = settings(tmp_path)
    async with journal(tmp_path) as first, journal(tmp_path) as second:
        await write(first, range(10))
        await write(second, range(10, 30))
        assert await again(own) == 30
        before = total(own)
        await write(first, range(30, 31))
        assert await again(own) == 31
    assert before.attempts == 30
    # And after they have ended.
    assert await again(own) == 31
    assert total(own).attempts == 31


async def test_sums_of_what_is_in_no_journal_are_left_alone(tmp_path: Path) -> None:
    own = settings(tmp_path)
    async with journal(tmp_path) as kept:
        await write(kept, range(3))
    rollups = sums.opened(own)
    rollups.take(arrivals(range(5)), NOW)
    rollups.close()
    with pytest.raises(HistoryError, match="2 attempts of the sums"):
        await again(own)
    assert total(own).attempts == 5
    assert await again(own, "2026-11-24") == 0
    assert total(own).attempts == 5


@pytest.mark.parametrize("since", ["never", "2026-13-01"])
async def test_what_is_no_date_is_refused(tmp_path: Path, since: str) -> None:
    with pytest.raises(SettingsError, match=f"^--since: '{since}' is not allowed; must be a date"):
        await again(settings(tmp_path), since)


async def test_a_folder_without_journals_is_told_from_one_without_events(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="there is no journal in"):
        await again(settings(tmp_path))
    async with journal(tmp_path):
        assert await again(settings(tmp_path)) == 0


async def test_a_journal_that_is_none_is_named(tmp_path: Path) -> None:
    slot = tmp_path / "usage" / "0"
    slot.mkdir(parents=True)
    (slot / "journal.db").write_bytes(b"something else" * 100)
    with pytest.raises(JournalError, match="usage cannot be read: file is not a database"):
        await again(settings(tmp_path))
    (slot / "journal.db").unlink()
    (slot / "journal.db").mkdir()
    with pytest.raises(JournalError, match=r"journal\.db: "):
        await again(settings(tmp_path))
