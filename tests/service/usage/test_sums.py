"""Where the sums are by the settings."""

import asyncio
from pathlib import Path
from threading import Event

import pytest

from service.settings import Settings, SettingsError, Usage
from service.usage import sums
from service.usage.report import Ask
from service.usage.tally import DAY


def settings(data: Path, **usage: object) -> Settings:
    return Settings.model_validate({"server": {"data": data}, "usage": usage})


def test_the_sums_are_a_file_in_the_data_folder(tmp_path: Path) -> None:
    assert sums.url_of(settings(tmp_path)) == str(tmp_path / "usage.db")


def test_they_are_where_the_operator_says_instead() -> None:
    url = "postgresql://usage@db.internal/usage"
    assert sums.url_of(settings(Path("data"), database=url)) == url


def test_they_are_made_when_they_are_first_asked(tmp_path: Path) -> None:
    rollups = sums.opened(settings(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert rollups.read("SELECT COUNT(*) FROM usage_day WHERE at >= ?", [DAY]) == [(0,)]
    rollups.close()
    assert (tmp_path / "usage.db").exists()


def test_a_database_that_needs_what_is_not_there_is_a_setting_that_cannot_stand() -> None:
    own = Settings(usage=Usage.model_construct(database="mysql://db"))
    with pytest.raises(SettingsError, match=r"^usage\.database: mysql://: must be"):
        sums.check(own)


def test_one_that_is_there_is_connected(tmp_path: Path) -> None:
    sums.check(settings(tmp_path)).close()
    assert (tmp_path / "usage.db").exists()


async def test_one_who_reads_waits_for_another_and_takes_no_second_thread(tmp_path: Path) -> None:
    reading = sums.Reading(sums.opened(settings(tmp_path)))
    asked, answer = Event(), Event()
    order: list[str] = []

    def slow(_ask: Ask) -> None:
        asked.set()
        answer.wait()
        order.append("slow")

    def quick(_ask: Ask) -> None:
        order.append("quick")

    async with asyncio.TaskGroup() as group:
        group.create_task(reading.ask(slow))
        await asyncio.to_thread(asked.wait)
        group.create_task(reading.ask(quick))
        await asyncio.sleep(0)
        assert order == []
        answer.set()
    assert order == ["slow", "quick"]
