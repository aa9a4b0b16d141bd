"""A made-up week in a data folder: counted by the normal path, and only where it belongs."""

import asyncio
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from service.demo.load import MARK, Loaded, LoadError, load
from service.settings import Settings, SettingsError
from service.usage import sums
from service.usage.archive import replayed
from service.usage.cost import usd
from service.usage.report import Query, Report, report
from tests.service.usage.attempts import body
from tests.service.usage.journals import journal

NOW = 1_795_421_700_000_000_000
"""2026-11-23T08:15:00Z."""


def settings(data: Path) -> Settings:
    return Settings.model_validate({"server": {"data": data}, "usage": {"durability": "process"}})


def loaded(data: Path, *, seed: int = 0, force: bool = False, days: int = 2, **env: str) -> Loaded:
    return load(settings(data), env, days=days, seed=seed, force=force, now_ns=NOW)


def counted(data: Path, group_by: str | None = None) -> Report:
    """The sums, once all that is in the journals is counted."""
    replayed(settings(data), None, now_ns=NOW)
    with closing(sums.opened(settings(data))) as rollups:
        return report(rollups.read, Query.parse(None, None, group_by))


async def used(data: Path) -> None:
    """Write down that an attempt was made there, as a service does."""
    told = body(1)
    async with journal(data) as own:
        await own.close(UUID(orjson.loads(told)["id"]).bytes, told)


def test_what_is_said_to_be_loaded_is_what_is_counted(tmp_path: Path) -> None:
    said = loaded(tmp_path)
    total = counted(tmp_path).total
    assert said.attempts == total.attempts > 500
    assert said.nano_usd == total.cost_nano_usd
    assert said.unknown == total.unknown_cost_attempts
    assert said.requests < said.attempts
    assert f"${usd(total.cost_nano_usd)}," in said.lines()[1]
    assert str(tmp_path) in said.lines()[2]


def test_it_is_counted_in_the_days_in_which_it_was_over(tmp_path: Path) -> None:
    loaded(tmp_path)
    days = [row[0] for row, _ in counted(tmp_path, "day").rows]
    assert days == ["2026-11-21", "2026-11-22", "2026-11-23"]


def test_the_folder_is_marked_with_what_made_it(tmp_path: Path) -> None:
    loaded(tmp_path, seed=7)
    assert orjson.loads((tmp_path / MARK).read_bytes()) == {"seed": 7, "days": 2, "until_ns": NOW}
    assert datetime.fromtimestamp(NOW / 1e9, UTC).hour == 8


def test_a_second_demo_is_refused_with_or_without_force(tmp_path: Path) -> None:
    loaded(tmp_path)
    for force in (False, True):
        with pytest.raises(LoadError, match="has demo data already; delete the folder"):
            loaded(tmp_path, seed=1, force=force)


def test_a_folder_that_a_service_holds_is_refused_with_or_without_force(tmp_path: Path) -> None:
    async def held() -> None:
        async with journal(tmp_path):
            for force in (False, True):
                with pytest.raises(LoadError, match="is held by a running service; stop it"):
                    await asyncio.to_thread(loaded, tmp_path, force=force)

    asyncio.run(held())
    assert not (tmp_path / MARK).exists()


def test_a_folder_that_was_served_and_never_used_will_do(tmp_path: Path) -> None:
    async def served() -> None:
        async with journal(tmp_path):
            pass

    asyncio.run(served())
    assert loaded(tmp_path).attempts == counted(tmp_path).total.attempts


def test_real_usage_is_not_mixed_with_it_unasked(tmp_path: Path) -> None:
    asyncio.run(used(tmp_path))
    with pytest.raises(LoadError, match=r"has usage of its own.*--force"):
        loaded(tmp_path)
    assert not (tmp_path / MARK).exists()
    said = loaded(tmp_path, force=True)
    by_provider = dict(counted(tmp_path, "provider").rows)
    assert by_provider[("demo",)].attempts == said.attempts
    assert len(by_provider) == 2


def test_real_usage_is_noticed_when_only_its_sums_are_left(tmp_path: Path) -> None:
    asyncio.run(used(tmp_path))
    counted(tmp_path)
    for file in (tmp_path / "usage" / "0").iterdir():
        file.unlink()
    with pytest.raises(LoadError, match="has usage of its own"):
        loaded(tmp_path)


def test_sums_that_are_empty_are_no_usage(tmp_path: Path) -> None:
    with closing(sums.check(settings(tmp_path))):
        pass
    assert loaded(tmp_path).attempts > 0


def test_sums_that_cannot_be_read_are_an_answer_too(tmp_path: Path) -> None:
    (tmp_path / "usage.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(LoadError, match="not a database"):
        loaded(tmp_path)


def test_a_redis_of_others_is_not_given_it_unasked(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"REDIS_URL is set.*--force"):
        loaded(tmp_path, REDIS_URL="redis://10.0.0.1/0")
    assert loaded(tmp_path, REDIS_URL="redis://10.0.0.1/0", force=True).attempts > 0


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"server\.data: .*file: usage cannot be written"):
        loaded(tmp_path / "file")
