"""What the admin API changed: over the settings, in its file, and never half of it."""

import asyncio
from pathlib import Path

import orjson
import pytest

from service import tasks
from service.change import MOST, Change
from service.overrides import FILE, Overrides
from service.settings import Settings, SettingsError, load

KNOWN = ("groq", "openai")


def heed() -> None:
    """Nobody is there to be told."""


def written(folder: Path) -> object:
    return orjson.loads((folder / FILE).read_bytes())


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def refusal(folder: Path, content: bytes) -> str:
    (folder / FILE).write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        Overrides.read(folder)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{folder / FILE}: ")
    return str(caught.value)


# --- Over the settings ---


async def test_a_change_outranks_every_layer_and_says_where_it_stands(tmp_path: Path) -> None:
    config = tmp_path / "tailrace.toml"
    config.write_text(
        "[providers.groq]\nrequests_per_minute = 10\ntokens_per_minute = 20\nregion = 'eu'\n"
    )
    settings = load(config, {"TAILRACE_PROVIDERS__GROQ__CONCURRENT_STREAMS": "5"})
    overrides = Overrides.read(tmp_path)
    change = Change.of({"requests_per_minute": 30, "concurrent_streams": None})
    await overrides.change("groq", change, heed)
    merged = overrides.apply(settings, KNOWN)
    groq = merged.providers["groq"]
    assert (groq.requests_per_minute, groq.concurrent_streams) == (30, None)
    assert (groq.tokens_per_minute, groq.region, groq.enabled) == (20, "eu", True)
    assert merged.origin("providers.groq.requests_per_minute") == str(tmp_path / FILE)
    assert merged.origin("providers.groq.tokens_per_minute") == str(config)


async def test_the_settings_themselves_stay_as_they_were(tmp_path: Path) -> None:
    settings = load(None, {"TAILRACE_PROVIDERS__GROQ__ENABLED": "true"})
    overrides = Overrides.read(tmp_path)
    await overrides.change("groq", Change.of({"enabled": False}), heed)
    assert not overrides.apply(settings, KNOWN).providers["groq"].enabled
    assert settings.providers["groq"].enabled
    assert settings.origin("providers.groq.enabled") == "TAILRACE_PROVIDERS__GROQ__ENABLED"


async def test_a_provider_that_no_setting_names_can_be_changed(tmp_path: Path) -> None:
    overrides = Overrides.read(tmp_path)
    await overrides.change("openai", Change.of({"enabled": False}), heed)
    assert not overrides.apply(Settings(), KNOWN).providers["openai"].enabled


async def test_a_provider_that_is_configured_no_more_is_passed_over_and_kept(
    tmp_path: Path,
) -> None:
    overrides = Overrides.read(tmp_path)
    await overrides.change("ollama", Change.of({"enabled": False}), heed)
    await overrides.change("groq", Change.of({"enabled": False}), heed)
    assert set(overrides.apply(Settings(), KNOWN).providers) == {"groq"}
    configured = load(None, {"TAILRACE_PROVIDERS__OLLAMA__BASE_URL": "http://127.0.0.1:11434"})
    again = Overrides.read(tmp_path).apply(configured, KNOWN).providers["ollama"]
    assert not again.enabled
    assert again.base_url == "http://127.0.0.1:11434"


# --- In the file ---


def test_without_a_file_nothing_is_changed(tmp_path: Path) -> None:
    overrides = Overrides.read(tmp_path / "missing")
    assert overrides.of("groq").given() == {}
    assert overrides.apply(Settings(), KNOWN) == Settings()


async def test_a_restart_finds_every_change_and_only_what_was_changed(tmp_path: Path) -> None:
    overrides = Overrides.read(tmp_path)
    for change in ({"enabled": False}, {"tokens_per_minute": 9}, {"tokens_per_minute": None}):
        await overrides.change("groq", Change.of(change), heed)
    await overrides.change("openai", Change.of({"enabled": True}), heed)
    expected = {"groq": {"enabled": False, "tokens_per_minute": None}, "openai": {"enabled": True}}
    assert written(tmp_path) == expected
    again = Overrides.read(tmp_path)
    assert {name: again.of(name).given() for name in KNOWN} == expected
    assert files(tmp_path) == [FILE]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b'{"groq": {"enabled": fals}}',
            "not JSON: invalid literal, expected 'false': line 1 column 22",
        ),
        (b"\xff", "not JSON: "),
        (b"", "not JSON: "),
        (b"[]", "it holds no object of providers"),
        (b'{"groq": 5}', "groq: 5 is not allowed; must be an object"),
        (b'{"groq": {"rpm": 5}}', "groq: rpm: no such field; known are enabled, requests_per_mi"),
        (
            b'{"openai": {}, "groq": {"tokens_per_minute": 0}}',
            f"groq: tokens_per_minute: 0 is not allowed; must be a whole number from 1 to {MOST}",
        ),
    ],
)
def test_a_file_that_cannot_stand_stops_the_start_with_its_name_and_what_is_wrong(
    tmp_path: Path, content: bytes, said: str
) -> None:
    told = refusal(tmp_path, content)
    assert said in told
    assert told.endswith("mend the file, or delete it to undo what the admin API changed")


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(SettingsError, match=f"{FILE}: cannot be read: Is a directory"):
        Overrides.read(tmp_path)


# --- All of it or none ---


async def test_it_is_in_force_before_it_is_answered(tmp_path: Path) -> None:
    overrides = Overrides.read(tmp_path)
    seen: list[bool] = []

    def look() -> None:
        seen.append(overrides.apply(Settings(), KNOWN).providers["groq"].enabled)

    await overrides.change("groq", Change.of({"enabled": False}), look)
    assert seen == [False]


async def test_what_cannot_be_put_into_force_is_not_kept(tmp_path: Path) -> None:
    def refuse() -> None:
        raise SettingsError("providers.groq.key_file: /missing cannot be read")

    overrides = Overrides.read(tmp_path)
    with pytest.raises(SettingsError, match="/missing"):
        await overrides.change("groq", Change.of({"enabled": True}), refuse)
    assert overrides.of("groq").given() == {}
    assert not (tmp_path / FILE).exists()


async def test_a_fault_in_putting_it_into_force_leaves_nothing_for_the_next_change_to_keep(
    tmp_path: Path,
) -> None:
    def stumble() -> None:
        raise RuntimeError("no room for another client")

    overrides = Overrides.read(tmp_path)
    with pytest.raises(RuntimeError, match="no room"):
        await overrides.change("groq", Change.of({"enabled": False}), stumble)
    assert overrides.of("groq").given() == {}
    await overrides.change("openai", Change.of({"enabled": False}), heed)
    assert written(tmp_path) == {"openai": {"enabled": False}}


async def test_what_cannot_be_kept_is_taken_back(tmp_path: Path) -> None:
    overrides = Overrides.read(tmp_path / "missing")
    seen: list[object] = []
    with pytest.raises(FileNotFoundError):
        await overrides.change(
            "groq",
            Change.of({"enabled": False}),
            lambda: seen.append(overrides.of("groq").given()),
        )
    assert seen == [{"enabled": False}, {}]


async def test_a_change_goes_on_where_the_one_who_asked_for_it_leaves(tmp_path: Path) -> None:
    overrides = Overrides.read(tmp_path)
    change = Change.of({"enabled": False})
    task = tasks.spawn(overrides.change("groq", change, heed), name="who asked")
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await overrides.change("openai", Change.of({"enabled": False}), heed)
    assert written(tmp_path) == {"groq": {"enabled": False}, "openai": {"enabled": False}}


async def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    overrides = Overrides.read(tmp_path)
    names = [f"p{number}" for number in range(20)]
    await asyncio.gather(
        *(overrides.change(name, Change.of({"enabled": False}), heed) for name in names)
    )
    assert written(tmp_path) == {name: {"enabled": False} for name in names}


# --- Several processes, one file ---


async def test_changes_made_by_several_processes_at_once_are_all_kept(tmp_path: Path) -> None:
    told: list[tuple[str, bool]] = []
    several = [Overrides.read(tmp_path, tell=lambda *change: told.append(change)) for _ in "abc"]
    async with asyncio.TaskGroup() as group:
        for number, overrides in enumerate(several):
            change = Change.of({"requests_per_minute": 1 + number})
            group.create_task(overrides.change(f"p{number}", change, heed))
    assert written(tmp_path) == {f"p{n}": {"requests_per_minute": 1 + n} for n in range(3)}
    assert sorted(told) == [(f"p{n}", False) for n in range(3)]


async def test_whoever_follows_knows_what_another_process_changed(tmp_path: Path) -> None:
    told: list[tuple[str, bool]] = []
    one = Overrides.read(tmp_path, tell=lambda *change: told.append(change))
    other = Overrides.read(tmp_path, tell=lambda *_: None)
    await one.change("groq", Change.of({"enabled": False}), heed)
    assert not other.switched_off("groq")
    heeded: list[bool] = []
    await other.follow(lambda: heeded.append(other.switched_off("groq")))
    assert heeded == [True]
    await one.change("groq", Change.of({"enabled": True}), heed)
    assert told == [("groq", False), ("groq", True)]


async def test_whoever_cannot_follow_stays_as_it_was(tmp_path: Path) -> None:
    one, other = (Overrides.read(tmp_path, tell=lambda *_: None) for _ in "ab")
    await one.change("groq", Change.of({"enabled": False}), heed)

    def refuse() -> None:
        raise SettingsError("no")

    with pytest.raises(SettingsError, match="no"):
        await other.follow(refuse)
    assert not other.switched_off("groq")
    (tmp_path / FILE).write_bytes(b"[]")
    with pytest.raises(SettingsError, match=FILE):
        await other.follow(heed)


async def test_a_change_to_a_shared_file_that_somebody_spoilt_is_refused(tmp_path: Path) -> None:
    told: list[tuple[str, bool]] = []
    overrides = Overrides.read(tmp_path, tell=lambda *change: told.append(change))
    (tmp_path / FILE).write_bytes(b"[]")
    with pytest.raises(SettingsError, match=FILE):
        await overrides.change("groq", Change.of({"enabled": False}), heed)
    assert (tmp_path / FILE).read_bytes() == b"[]"
    assert told == []


async def test_a_process_alone_makes_no_lock(tmp_path: Path) -> None:
    await Overrides.read(tmp_path).change("groq", Change.of({"enabled": False}), heed)
    assert files(tmp_path) == [FILE]
