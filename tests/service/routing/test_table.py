"""The settings become a table whose names exist."""

from pathlib import Path

import pytest

from adapters.registry import PROVIDERS
from adapters.request import Complexity, Strategy, Tier, UseCase
from service.routing.table import QUALITY, Preference, build
from service.settings import Settings, SettingsError, load
from tests.service.routing.market import PACKAGED, market, model, provider

EVERYBODY = market(*PROVIDERS.values())


def read(folder: Path, text: str) -> Settings:
    path = folder / "tailrace.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, {})


def test_every_use_case_and_tier_has_a_row_and_every_packaged_name_exists() -> None:
    table = build(PACKAGED, EVERYBODY)
    assert set(table.use_cases) == set(UseCase)
    for row in table.use_cases.values():
        assert set(row.prefer) == set(Tier)
        for name in (p for preferences in row.prefer.values() for p in preferences):
            listed = PROVIDERS[name.provider].models
            assert name.model is None or any(name.model in (m.id, m.alias) for m in listed)


def test_the_tiers_cap_what_the_public_interface_says() -> None:
    assert list(build(PACKAGED, {}).caps.values()) == [0.001, 0.01, 0.05, 0.20, 1.00]


def test_every_complexity_has_a_class_and_they_rise() -> None:
    assert [QUALITY[complexity] for complexity in Complexity] == [1, 2, 3, 4]


def test_one_field_of_a_row_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    table = build(
        read(
            tmp_path,
            "[use_cases.analysis]\nprefer = ['groq', 'claude/opus', 'kimi/auto']\n"
            "latency = 'hedge'\n[use_cases.analysis.premium]\nprefer = ['openai']\n"
            "[tiers]\npremium = 0.3\n",
        ),
        EVERYBODY,
    )
    row = table.use_cases[UseCase.ANALYSIS]
    assert row.prefer[Tier.STANDARD] == (
        Preference("groq"),
        Preference("claude", "opus"),
        Preference("kimi"),
    )
    assert row.prefer[Tier.PREMIUM] == (Preference("openai"),)
    assert (row.complexity, row.latency) == (Complexity.COMPLEX, Strategy.HEDGE)
    assert (table.caps[Tier.PREMIUM], table.caps[Tier.STANDARD]) == (0.3, 0.05)


def test_a_tier_without_a_row_of_its_own_has_that_of_its_use_case(tmp_path: Path) -> None:
    settings = read(tmp_path, "[use_cases.expert.premium]\nprefer = ['openai']")
    row = build(settings, EVERYBODY).use_cases[UseCase.EXPERT].prefer
    assert row[Tier.PREMIUM] == (Preference("openai"),)
    assert row[Tier.ECONOMY] == row[Tier.STANDARD] != row[Tier.PREMIUM]


def test_a_word_on_the_whole_use_case_beats_the_packaged_rows_of_its_tiers(tmp_path: Path) -> None:
    packaged = build(PACKAGED, EVERYBODY).use_cases[UseCase.CODE_GENERATION].prefer
    assert packaged[Tier.PREMIUM] != packaged[Tier.STANDARD]
    settings = read(tmp_path, "[use_cases.code_generation]\nprefer = ['openai']")
    row = build(settings, EVERYBODY).use_cases[UseCase.CODE_GENERATION].prefer
    assert set(row.values()) == {(Preference("openai"),)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[use_cases.analysis]\nprefer = ['claud/sonnet']",
            (
                "use_cases.analysis.prefer in {}: 'claud/sonnet' is not allowed; must be "
                "<provider> or <provider>/<model> of claude, openai,"
            ),
        ),
        (
            "[use_cases.expert.premium]\nprefer = ['claude', 'claude/sonet']",
            (
                "use_cases.expert.premium.prefer in {}: 'claude/sonet' is not allowed; must be "
                "claude or one of claude/opus, claude/sonnet,"
            ),
        ),
    ],
)
def test_a_name_that_does_not_exist_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    settings = read(tmp_path, text)
    with pytest.raises(SettingsError) as refusal:
        build(settings, EVERYBODY)
    line = str(refusal.value)
    assert line.startswith(said.format(tmp_path / "tailrace.toml"))
    assert "\n" not in line


def test_while_nobody_is_known_no_name_is_checked(tmp_path: Path) -> None:
    settings = read(tmp_path, "[use_cases.analysis]\nprefer = ['ollama']")
    row = build(settings, {}).use_cases[UseCase.ANALYSIS]
    assert row.prefer[Tier.ECONOMY] == (Preference("ollama"),)


def test_packaged_names_need_not_exist_where_the_operator_lists_other_models() -> None:
    known = market(provider("claude", model("my-own")))
    assert build(PACKAGED, known).use_cases[UseCase.EXPERT].prefer[Tier.PREMIUM][0] == Preference(
        "claude", "opus"
    )


def test_who_could_be_asked_is_sorted_again_only_when_they_are_others() -> None:
    table = build(PACKAGED, EVERYBODY)
    roster = table.roster(EVERYBODY)
    assert table.roster(EVERYBODY) is roster
    assert table.roster(dict(EVERYBODY)) is not roster
