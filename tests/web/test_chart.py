"""The chart of costs: what is said of an hour that is pointed at, and what is drawn of nothing."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from adapters.request import UseCase
from tests.double.answer import Tokens
from tests.double.script import reply
from tests.e2e.stack import Stack, stack
from tests.web.visits import Visit, visiting

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEAR = Tokens(input=100_000, output=100_000)


@pytest_asyncio.fixture(loop_scope="session")
async def running() -> AsyncIterator[Stack]:
    """A service that counts, before the double."""
    async with stack("groq", "openai", engine="in-process") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, running: Stack) -> AsyncIterator[Visit]:
    """The page of costs, read on the other side of the world: sums are UTC all the same."""
    async with visiting(browser, running.url, "costs", timezone_id="Pacific/Auckland") as visit:
        yield visit


async def pointed_at_now(page: Page) -> Locator:
    """What is said of the last day."""
    drawing = page.locator(".chart .u-over")
    await expect(drawing).to_be_visible()
    box = await drawing.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] * 13 / 14, box["y"] + box["height"] / 2)
    return page.locator(".tip")


async def test_each_group_s_own_cost_is_said_of_the_day_that_is_pointed_at(
    running: Stack, visit: Visit
) -> None:
    for provider in ("groq", "openai"):
        await running.ask(f"{provider}/auto", reply("Hello.", tokens=DEAR))
    rows = visit.page.locator("tr[data-group]")
    await expect(rows).to_have_count(2)
    tip = await pointed_at_now(visit.page)
    await expect(tip.locator("tbody tr")).to_have_count(2)
    for row in await rows.all():
        cells = await row.locator("th, td").all_inner_texts()
        await expect(tip.locator("tbody tr", has_text=cells[0])).to_contain_text(cells[1].strip())
    total = await visit.page.locator("tfoot td").first.inner_text()
    await expect(tip.locator("thead")).to_contain_text(total.strip())
    # It stays, and follows, while requests end.
    await running.ask("groq/auto", reply("Hello.", tokens=DEAR))
    await expect(tip.locator("thead")).not_to_contain_text(total.strip())
    await visit.page.mouse.move(1, 1)
    await expect(tip).to_have_count(0)


async def test_today_is_the_service_s_day_and_the_table_says_the_same(
    running: Stack, visit: Visit
) -> None:
    await running.ask("groq/auto", reply("Hello.", tokens=DEAR))
    await visit.page.get_by_role("combobox", name="Period", exact=True).select_option("today")
    tile = visit.page.locator("[data-period=today]")
    await expect(tile).to_contain_text("1 attempt")
    cost = await tile.locator("dd").first.inner_text()
    await expect(visit.page.locator("tfoot td").first).to_have_text(cost)
    await expect(visit.page.get_by_text("a day begins at 00:00 UTC")).to_be_visible()


async def test_what_cost_nothing_is_said_in_words_and_not_drawn(
    running: Stack, visit: Visit
) -> None:
    await running.ask("demo/demo")
    await expect(visit.page.get_by_text("has cost anything")).to_be_visible()
    await expect(visit.page.locator("tr[data-group=demo]")).to_be_visible()
    await expect(visit.page.locator(".chart")).to_have_count(0)


async def test_the_smallest_groups_are_one_in_the_legend_and_in_the_page_s_language(
    browser: Browser, running: Stack
) -> None:
    for use_case in list(UseCase)[:8]:
        await running.ask("groq/auto", reply("Hello.", tokens=DEAR), use_case=use_case)
    async with visiting(browser, running.url, "costs", locale="fr-FR") as visit:
        by = visit.page.get_by_role("combobox", name="Par", exact=True)
        await by.select_option("use_case")
        await expect(visit.page.locator("tr[data-group]")).to_have_count(8)
        legend = visit.page.locator("section li")
        await expect(legend).to_have_count(7)
        await expect(legend.last).to_have_text("autres")


async def test_the_days_are_there_in_figures_for_who_points_at_nothing(
    running: Stack, visit: Visit
) -> None:
    await running.ask("groq/auto", reply("Hello.", tokens=DEAR))
    row = visit.page.locator("tr[data-group=groq]")
    await expect(row).to_be_visible()
    cost = (await row.locator("td").first.inner_text()).strip()
    await visit.page.get_by_text("The days in figures").press("Enter")
    day = visit.page.get_by_role("group", name="The days in figures").locator("tbody tr")
    await expect(day).to_have_count(1)
    await expect(day).to_contain_text(cost)


async def test_a_cost_that_nobody_knows_is_never_shown_as_none(
    running: Stack, visit: Visit
) -> None:
    await running.ask("groq/auto", reply("Hello.", tokens=DEAR))
    await running.ask("groq/nobody-knows-it", reply("Hello.", tokens=DEAR))
    by = visit.page.get_by_role("combobox", name="By", exact=True)
    await by.select_option("model")
    unknown = visit.page.locator("tr[data-group='nobody-knows-it']")
    await expect(unknown).to_contain_text("1 of unknown cost")
    await expect(unknown.locator("td").first).to_have_text(re.compile("^\N{EN DASH}"))
    await visit.page.get_by_text("The days in figures").click()
    days = visit.page.get_by_role("group", name="The days in figures")
    names = await days.locator("thead th").all_inner_texts()
    cell = days.locator("tbody tr td").nth(names.index("nobody-knows-it") - 1)
    await expect(cell).to_have_text("\N{EN DASH}")
    tip = await pointed_at_now(visit.page)
    await expect(tip.locator("tbody tr", has_text="nobody-knows-it")).to_contain_text("\N{EN DASH}")
    await visit.show("providers")
    figures = visit.page.locator("article[data-provider=groq] tbody tr")
    shown = figures.filter(has_text="nobody-knows-it").first
    await expect(shown).to_contain_text("1 of unknown cost")
