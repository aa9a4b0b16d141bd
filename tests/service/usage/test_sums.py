"""Where the sums are by the settings."""

from pathlib import Path

from service.settings import Settings
from service.usage import sums
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
