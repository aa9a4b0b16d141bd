"""Costs: what is shown is what the API says, while requests run; with a real engine behind it."""

import asyncio
import csv
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from math import inf
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Route, expect

from service.hedging.overload import OverloadSettings
from tests.double.answer import Tokens
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.double.steps import Gate, Wait
from tests.e2e.stack import Stack, stack
from tests.web.hidden import hide, see
from tests.web.visits import Visit, answer, ask, visiting
from tests.web.written import money

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVENTS = "**/v1/usage/events"

NONE = "\N{EN DASH}"
"""What has no such group."""


@pytest_asyncio.fixture(loop_scope="session")
async def running() -> AsyncIterator[Stack]:
    """A service with an engine, as it is installed."""
    async with stack("groq", "openai", engine="auto") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, running: Stack) -> AsyncIterator[Visit]:
    """The page of costs, live, by a clock at the service's hour that a test may hurry."""
    async with visiting(browser, running.url, timezone_id="UTC") as visit:
        await visit.page.clock.install()
        await visit.show("costs")
        await expect(visit.page.get_by_text("live", exact=True)).to_be_visible()
        yield visit


async def heard(page: Page, count: int = 1) -> None:
    """The page has heard of so many attempts, and may ask for the sums: a second has passed."""
    await expect(page.locator("tr[data-event]")).to_have_count(count)
    await page.clock.run_for(1_000)


async def usage(running: Stack, **query: str) -> dict[str, Any]:
    async with running.client.get(f"{running.url}/v1/usage", params=query) as response:
        found: dict[str, Any] = await response.json()
    return found


def row(page: Page, group: str) -> Locator:
    return page.locator(f"tr[data-group='{group}']")


def tile(page: Page, period: str) -> Locator:
    return page.locator(f"[data-period={period}]")


async def test_what_a_request_cost_is_shown_and_is_the_api_s_figure(
    running: Stack, visit: Visit
) -> None:
    await expect(tile(visit.page, "today")).to_contain_text("0 attempts")
    await visit.show("playground")
    running.double.script(reply("Worth it.", tokens=Tokens(input=1000, output=5000)))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_attribute("data-state", "over")
    cost = await visit.page.get_by_test_id("cost").inner_text()

    await visit.show("costs")
    await expect(row(visit.page, "groq")).to_contain_text(cost)
    (groq,) = (await usage(running, group_by="provider"))["rows"]
    assert money(groq["cost_usd"]) == cost
    await expect(row(visit.page, "groq").locator("[data-usd]")).to_have_attribute(
        "data-usd", groq["cost_usd"]
    )
    for figure in ("1,000", "5,000", cost):
        await expect(row(visit.page, "groq")).to_contain_text(figure)
    for period in ("today", "week", "month"):
        await expect(tile(visit.page, period)).to_contain_text(cost)
        await expect(tile(visit.page, period)).to_contain_text("1 attempt")


async def test_each_attempt_is_told_as_it_ends_and_the_sums_follow(
    running: Stack, visit: Visit
) -> None:
    await expect(visit.page.get_by_text("Nothing has ended")).to_be_visible()
    for count in (1, 2):
        await running.ask("groq/auto", reply("Worth it.", tokens=Tokens(output=500)))
        await heard(visit.page, count)
        await expect(tile(visit.page, "today")).to_contain_text(f"{count} attempt")
    await running.ask("groq/auto", http_error(Kind.SERVER), fallback=False)
    await heard(visit.page, 3)
    newest = visit.page.locator("tr[data-event]").first
    await expect(newest).to_contain_text("failed")
    total = (await usage(running))["total"]
    await expect(tile(visit.page, "today")).to_contain_text(f"{total['attempts']} attempts")
    await expect(tile(visit.page, "today")).to_contain_text(money(total["cost_usd"]))


async def test_a_line_that_a_proxy_refused_is_asked_for_again(visit: Visit) -> None:
    visit.expect("status of 502")
    again: asyncio.Queue[Route] = asyncio.Queue()
    await visit.page.route(EVENTS, again.put)
    await visit.page.route(EVENTS, lambda route: route.fulfill(status=502), times=1)
    await visit.show("costs")
    second = await again.get()
    await expect(visit.page.get_by_text("connecting", exact=True)).to_be_visible()
    await second.continue_()
    await expect(visit.page.get_by_text("live", exact=True)).to_be_visible()


async def test_a_line_that_was_away_goes_on_where_it_was_and_shows_nothing_twice(
    running: Stack, visit: Visit
) -> None:
    visit.expect("net::ERR_INTERNET_DISCONNECTED")
    visit.expect("status of 502")
    page = visit.page
    # The first time before there was an event, the second time a proxy refuses it once as well.
    for count in (2, 4):
        await expect(page.get_by_text("live", exact=True)).to_be_visible()
        await page.context.set_offline(offline=True)
        await expect(page.get_by_text("connecting", exact=True)).to_be_visible()
        for _ in range(2):
            await running.ask("groq/auto", reply("Hello."))
        await page.context.set_offline(offline=False)
        await expect(page.locator("tr[data-event]")).to_have_count(count)
        await page.route(EVENTS, lambda route: route.fulfill(status=502), times=1)
    await expect(page.locator("tr[data-gap]")).to_have_count(0)


async def test_while_the_service_is_away_it_is_said_at_the_top_of_when_the_figures_are(
    visit: Visit,
) -> None:
    visit.expect("net::ERR_INTERNET_DISCONNECTED")
    page = visit.page
    await page.clock.install(time="2026-11-23T12:34:00Z")
    await visit.show("costs")
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await expect(tile(page, "today")).to_contain_text("0 attempts")
    await expect(page.get_by_role("alert")).to_have_count(0)
    await page.context.set_offline(offline=True)
    await expect(page.get_by_text("connecting", exact=True)).to_be_visible()
    await page.clock.run_for(10_000)
    await expect(page.get_by_role("alert")).to_contain_text("the service does not answer")
    await expect(page.get_by_role("status")).to_contain_text("the figures of 12:34")
    await page.context.set_offline(offline=False)
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.get_by_role("status")).to_have_count(0)


async def test_where_a_line_is_refused_the_sums_are_asked_for_all_the_same(
    running: Stack, visit: Visit
) -> None:
    visit.expect("status of 502")
    page = visit.page
    await page.route(EVENTS, lambda route: route.fulfill(status=502))
    await visit.show("costs")
    await expect(tile(page, "today")).to_contain_text("0 attempts")
    await running.ask("groq/auto", reply("Hello."))
    await page.clock.run_for(10_000)
    await expect(tile(page, "today")).to_contain_text("1 attempt")
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_where_attempts_may_be_missing_is_said_in_the_list(
    running: Stack, visit: Visit
) -> None:
    visit.expect("net::ERR_INTERNET_DISCONNECTED")
    page, listed = visit.page, visit.page.locator("tr[data-event], tr[data-gap]")
    await running.ask("groq/auto", reply("Hello."))
    await expect(listed).to_have_count(1)
    await page.route(EVENTS, after_another_engine_s, times=1)
    await page.context.set_offline(offline=True)
    await expect(page.get_by_text("connecting", exact=True)).to_be_visible()
    await page.context.set_offline(offline=False)
    await expect(listed).to_have_count(2)
    await expect(listed.first).to_contain_text("Attempts may be missing here")
    await running.ask("groq/auto", reply("Hello."))
    await expect(listed).to_have_count(3)
    await expect(listed.nth(1)).to_contain_text("Attempts may be missing here")


async def after_another_engine_s(route: Route) -> None:
    """Go on after an event that this engine never had."""
    await route.continue_(headers={**route.request.headers, "last-event-id": "1-7"})


def figures(asked: list[str]) -> list[str]:
    return [url for url in asked if "/v1/usage?" in url or "/cost-summary" in url]


async def test_a_page_that_is_opened_asks_for_its_figures_once_more_for_what_was_being_counted(
    visit: Visit,
) -> None:
    page = visit.page
    await page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await visit.show("costs")
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await expect(tile(page, "today")).to_contain_text("0 attempts")
    assert len(figures(asked)) == 6, asked
    async with page.expect_response("**/cost-summary*"):
        await page.clock.run_for(2_000)
    await page.clock.run_for(10_000)
    assert len(figures(asked)) == 12, asked


async def test_a_tab_that_is_hidden_asks_for_nothing_and_misses_nothing(
    running: Stack, visit: Visit
) -> None:
    page = visit.page
    await running.ask("groq/auto", reply("Hello."))
    await heard(page)
    await expect(tile(page, "today")).to_contain_text("1 attempt")
    for count in (2, 3):
        asked = await hide(page)
        await expect(page.get_by_text("live", exact=True)).to_have_count(0)
        await running.ask("groq/auto", reply("Hello."))
        await page.clock.run_for(60_000)
        assert asked == []
        await see(page)
        await heard(page, count)
        await expect(tile(page, "today")).to_contain_text(f"{count} attempts")
    await expect(page.locator("tr[data-gap]")).to_have_count(0)


async def test_today_turns_at_midnight_utc_while_the_page_is_open(
    running: Stack, visit: Visit
) -> None:
    page = visit.page
    await running.ask("groq/auto", reply("Hello."))
    await heard(page)
    await expect(tile(page, "month")).to_contain_text("1 attempt")
    (told,) = (await usage(running, group_by="day"))["rows"]
    await page.clock.install(time=f"{told['day']}T23:58:00Z")
    await visit.show("costs")
    await page.get_by_role("combobox", name="Period", exact=True).select_option("today")
    await expect(tile(page, "today")).to_contain_text("1 attempt")
    await expect(page.locator(".chart canvas")).to_be_visible()
    await page.clock.run_for(120_000)
    await expect(tile(page, "today")).to_contain_text("0 attempts")
    await expect(tile(page, "week")).to_contain_text("1 attempt")
    await expect(page.get_by_text("Nothing was asked in this time.")).to_be_visible()
    exported = page.get_by_role("link", name="Export as CSV")
    tomorrow = date.fromisoformat(told["day"]) + timedelta(days=1)
    await expect(exported).to_have_attribute("href", re.compile(f"from={tomorrow}T00"))


async def test_the_sums_can_be_seen_by_every_group_and_for_each_period(
    running: Stack, visit: Visit
) -> None:
    page = visit.page
    for provider in ("groq", "openai"):
        await running.ask(f"{provider}/auto", reply("Hello."), use_case="translation")
    await heard(page, 2)
    await expect(tile(page, "today")).to_contain_text("2 attempts")
    for group in ("model", "use_case", "tier", "client", "outcome", "provider"):
        await page.get_by_role("combobox", name="By", exact=True).select_option(group)
        rows = (await usage(running, group_by=group))["rows"]
        await expect(page.locator("tr[data-group]")).to_have_count(len(rows))
        for one in rows:
            shown = row(page, one[group] or NONE).locator("[data-usd]")
            await expect(shown).to_have_attribute("data-usd", one["cost_usd"])
    for period in ("today", "month", "week"):
        await page.get_by_role("combobox", name="Period", exact=True).select_option(period)
        await expect(page.locator("tr[data-group]")).to_have_count(2)
        await expect(page.locator(".chart canvas")).to_be_visible()


async def test_the_export_is_the_api_s_csv(running: Stack, visit: Visit) -> None:
    await running.ask("groq/auto", reply("Hello."))
    await heard(visit.page)
    await expect(tile(visit.page, "today")).to_contain_text("1 attempt")
    async with visit.page.expect_download() as downloading:
        await visit.page.get_by_role("link", name="Export as CSV").click()
    download = await downloading.value
    assert download.suggested_filename == "usage-week-provider.csv"
    path = await download.path()
    (exported,) = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    (told,) = (await usage(running, group_by="provider,day"))["rows"]
    assert {name: exported[name] for name in ("provider", "day", "cost_usd")} == {
        name: told[name] for name in ("provider", "day", "cost_usd")
    }
    assert int(exported["attempts"]) == told["attempts"] == 1


async def test_savings_are_the_api_s(running: Stack, visit: Visit) -> None:
    await running.ask("groq/auto", reply("Hello.", tokens=Tokens(input=10**6, output=10**6)))
    await heard(visit.page)
    await expect(tile(visit.page, "today")).to_contain_text("1 attempt")
    address = f"{running.url}/api/coordination/llm/cost-summary"
    async with running.client.get(address) as response:
        summary = await response.json()
    saved = visit.page.locator("dl > div", has_text="Saved by routing")
    await expect(saved).to_contain_text(money(summary["savings"]))
    await expect(saved).to_contain_text(money(summary["baseline"]))


async def test_what_hedging_cost_and_saved_is_the_api_s(running: Stack, visit: Visit) -> None:
    # The loop is the browser's driver's, too: what it lags by is not to be held against a hedge.
    running.service.shared.hedger.overload.settings = OverloadSettings(lag=inf, lag_counts_for=0)
    gate = Gate()
    running.double.on_provider("groq", reply(Wait(gate), "slow"))
    running.double.on_provider("openai", reply("quick", tokens=Tokens(output=5000)))
    hedged = {"strategy": "hedge", "providers": ["groq", "openai"], "delay_ms": 20}
    assert (await running.ask("auto", latency=hedged)).text == "quick"
    gate.open()
    await heard(visit.page, 2)
    await expect(tile(visit.page, "today")).to_contain_text("2 attempts")
    total = (await usage(running))["total"]
    assert total["hedge_attempts"] == 1
    hedging = visit.page.locator("dl > div", has_text="Hedging")
    await expect(hedging).to_contain_text(money(total["hedge_cost_usd"]))
    await expect(hedging).to_contain_text("1 attempt")


async def test_nothing_spent_is_said_in_words(visit: Visit) -> None:
    await expect(visit.page.get_by_text("Nothing was asked in this time.")).to_be_visible()
    await expect(tile(visit.page, "month")).to_contain_text("0 attempts")
