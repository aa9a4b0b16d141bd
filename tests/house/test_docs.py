"""The documents: those that are named exist, and the figures they repeat are the code's."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from adapters.contract import CancelBilling
from adapters.registry import COMPATIBLE, FIFTEEN, PROVIDERS
from adapters.request import Strategy, Tier
from service import endpoints
from service.hedging.budget import BudgetSettings
from service.hedging.delay import DelaySettings
from service.hedging.exclusions import Denied
from service.hedging.hedger import HedgeSettings
from service.hedging.overload import OverloadSettings
from service.hedging.race import Options
from service.routing import table
from service.routing.health import HealthSettings
from service.routing.plan import Kinship, Reason
from service.settings import Settings, load
from tests.house.tree import ROOT, modules, shown

DOCS = sorted((ROOT / "docs").rglob("*.md"))
HEDGING = ROOT / "docs" / "hedging.md"
ROUTING = ROOT / "docs" / "routing.md"

NAMED = re.compile(r"\bdocs/[\w-]+\.\w+")
LINKED = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(\w+)\.(\w+)` \| ([^|]+) \|", re.MULTILINE)
PLAYED = re.compile(r"^\| (S\d)(?:: [^|]+)? \| (\d.*) \|$", re.MULTILINE)
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:/\d+)?")

SETTINGS = (DelaySettings, BudgetSettings, OverloadSettings, HedgeSettings, HealthSettings)


def rows() -> dict[tuple[str, str], list[float]]:
    """The figures that the tables of defaults give, by class and field."""
    found = ROW.findall(HEDGING.read_text(encoding="utf-8"))
    return {(owner, name): numbers(cell) for owner, name, cell in found}


def numbers(cell: str) -> list[float]:
    return [float(Fraction(number.replace(",", ""))) for number in NUMBER.findall(cell)]


def defaults(owner: type) -> Iterator[tuple[str, list[float]]]:
    """A class's own default figures, by field; what is made of other settings is their business."""
    assert is_dataclass(owner)
    for field in fields(owner):
        value = _default(field)
        if isinstance(value, Mapping):
            yield field.name, list(value.values())
        elif isinstance(value, int | float):
            yield field.name, [float(value)]


def _default(field: Field[object]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def test_every_document_that_is_named_exists() -> None:
    naming = [*modules("adapters", "service", "bench"), ROOT / "README.md", *DOCS]
    missing = [
        f"{shown(path)}: {name}"
        for path in naming
        for name in NAMED.findall(path.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("document", [*DOCS, ROOT / "README.md"], ids=shown)
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    links = LINKED.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("owner", SETTINGS, ids=lambda owner: owner.__name__)
def test_the_page_on_hedging_has_every_default_as_it_is(owner: type) -> None:
    told = {name: figures for (of, name), figures in rows().items() if of == owner.__name__}
    assert told == {name: pytest.approx(figures) for name, figures in defaults(owner)}


def test_the_page_on_hedging_has_the_race_s_defaults_as_they_are() -> None:
    told = {name: figures for (owner, name), figures in rows().items() if owner == "Options"}
    known = dict(defaults(Options))
    assert told == {name: known[name] for name in told}
    assert told


def test_the_page_on_hedging_has_every_reason_not_to() -> None:
    text = HEDGING.read_text(encoding="utf-8")
    assert [reason for reason in Denied if f"`{reason}`" not in text] == []


@pytest.mark.parametrize("billing", ["stops", "full", "unknown"])
def test_the_page_on_hedging_has_who_bills_a_cancelled_answer(billing: CancelBilling) -> None:
    row = re.search(rf"^\| `{billing}`[^|]*\| ([^|]+) \|", HEDGING.read_text("utf-8"), re.MULTILINE)
    assert row is not None
    told = {name.strip() for name in row[1].split(",")}
    assert told == {name for name in FIFTEEN if PROVIDERS[name].cancel_billing == billing}


def test_the_readme_has_the_figures_of_the_page_on_hedging() -> None:
    pages = [path.read_text(encoding="utf-8") for path in (HEDGING, ROOT / "README.md")]
    told, repeated = (
        {name: row.split(" | ")[:6] for name, row in PLAYED.findall(p)} for p in pages
    )
    assert repeated == told
    assert set(told) == {"S1", "S2", "S3"}


# --- The page on routing --------------------------------------------------------------------


def table_of(*heads: str) -> list[list[str]]:
    """The cells, without their marks, of the table on the page that has these columns."""
    text = ROUTING.read_text(encoding="utf-8")
    head = f"| {' | '.join(heads)} |\n"
    assert text.count(head) == 1
    _, _, *lines = f"{head}{text.partition(head)[2]}".partition("\n\n")[0].splitlines()
    return [[cell.strip().replace("`", "") for cell in line.split("|")[1:-1]] for line in lines]


def test_the_page_on_routing_has_every_reason_for_passing_somebody_over() -> None:
    assert [row[0] for row in table_of("reason", "what it means", "it ends")] == list(Reason)


def test_the_page_on_routing_has_every_kinship_the_closest_first() -> None:
    told = table_of("kinship", "what the stand-in has in common with it")
    assert [row[0] for row in told] == list(Kinship)


def test_the_page_on_routing_has_the_packaged_table() -> None:
    assert table_of("use case", "complexity", "tokens out", "prefers") == [
        [name, own.complexity, f"{own.expected_output_tokens:,}", ", ".join(own.prefer)]
        for name, own in Settings().use_cases.items()
    ]


def test_the_page_on_routing_has_the_rows_of_single_tiers() -> None:
    assert table_of("use case", "tier", "prefers") == [
        [name, tier, ", ".join(row.prefer)]
        for name, own in Settings().use_cases.items()
        for tier in Tier
        if (row := getattr(own, tier.value)) is not None
    ]


def test_the_page_on_routing_has_what_each_tier_allows() -> None:
    told = table_of("tier", "US dollars a request")
    tiers = Settings().tiers
    assert [name.removesuffix(" (default)") for name, _ in told] == list(Tier)
    assert [float(cap) for _, cap in told] == [getattr(tiers, tier.value) for tier in Tier]


def test_the_page_on_routing_has_the_packaged_presets() -> None:
    presets = Settings().presets
    assert table_of("preset", "use case", "tier") == [
        [name, own.use_case, own.tier] for name, own in presets.items()
    ]
    assert {own.latency for own in presets.values()} == {Strategy.NORMAL}


# --- Settings on the pages ------------------------------------------------------------------


def examples(*pages: str) -> list[tuple[str, str]]:
    """Each example of settings, with the page it is on."""
    return [
        (page, example)
        for page in pages
        for example in TOML.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(
    ("page", "example"),
    examples(
        "routing.md",
        "catalog.md",
        "providers-admin.md",
        "consuming-usage.md",
        "integrations/agent-pipelines.md",
    ),
)
def test_each_example_of_settings_on_a_page_is_taken_as_it_stands(
    page: str, example: str, tmp_path: Path
) -> None:
    file = tmp_path / Path(page).name
    file.write_text(example, encoding="utf-8")
    loaded = load(file, {})
    table.build(loaded, endpoints.resolve(PROVIDERS, COMPATIBLE, loaded, {}))
