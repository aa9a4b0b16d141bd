"""Providers, looked at and changed: what is shown is what the API says, and lasts."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Route, expect

from adapters.registry import FIFTEEN
from service.limits.provider_limits import MINUTE, SLICE
from service.settings import ModelSettings, ProviderSettings, Settings
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.e2e.stack import Stack, stack
from tests.web.hidden import hide, see
from tests.web.visits import Visit, answer, ask, setting, visiting
from tests.web.written import percent

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, running: Stack) -> AsyncIterator[Visit]:
    """The page of providers."""
    async with visiting(browser, running.url, "providers") as visit:
        yield visit


def card(page: Page, provider: str) -> Locator:
    return page.locator(f"article[data-provider={provider}]")


def switch(page: Page, provider: str) -> Locator:
    return card(page, provider).get_by_role("switch")


async def planned(running: Stack) -> tuple[list[str], dict[str, str]]:
    """Who would be asked, and why others would not."""
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    async with running.client.post(f"{running.url}/v1/plan", json=body) as response:
        plan: dict[str, Any] = await response.json()
    skipped = {passed["provider"]: passed["reason"] for passed in plan["skipped"]}
    return [candidate["provider"] for candidate in plan["candidates"]], skipped


async def test_all_fifteen_are_there_with_their_state_and_why(running: Stack, visit: Visit) -> None:
    async with running.client.get(f"{running.url}/v1/providers") as response:
        told = {one["name"]: one for one in (await response.json())["providers"]}
    assert set(FIFTEEN) <= set(told)
    await expect(visit.page.locator("article")).to_have_count(len(told))
    for name, provider in told.items():
        await expect(card(visit.page, name)).to_have_attribute("data-state", provider["state"])
        await expect(card(visit.page, name)).to_contain_text(provider["reason"] or "active")
        models = card(visit.page, name).locator("tbody tr").filter(has_text=" / ")
        assert await models.count() >= len(provider["models"])


async def test_a_provider_switched_off_is_passed_over_from_then_on_and_after_a_restart(
    browser: Browser, tmp_path: Path
) -> None:
    async with stack("groq", "openai", folder=tmp_path) as running:
        async with visiting(browser, running.url, "providers") as visit:
            assert (await planned(running))[0][0] == "groq"
            await switch(visit.page, "groq").click()
            await expect(card(visit.page, "groq")).to_have_attribute("data-state", "disabled")
            assert (await planned(running))[0] == ["openai"]
            await visit.show("playground")
            running.double.script(reply("From the other."))
            await ask(visit.page)
            await expect(answer(visit.page)).to_have_text("From the other.")
            await visit.page.get_by_text("Skipped:").click()
            await expect(visit.page.locator("aside")).to_contain_text("groq disabled")
        assert running.double.asked("groq") == []

    async with stack("groq", "openai", folder=tmp_path) as running:
        candidates, skipped = await planned(running)
        assert (candidates, skipped["groq"]) == (["openai"], "disabled")
        async with visiting(browser, running.url, "providers") as visit:
            await expect(card(visit.page, "groq")).to_have_attribute("data-state", "disabled")
            await expect(switch(visit.page, "groq")).not_to_be_checked()
            await switch(visit.page, "groq").click()
            await expect(card(visit.page, "groq")).to_have_attribute("data-state", "active")
        assert (await planned(running))[0][0] == "groq"


async def test_a_switch_that_did_not_work_stays_as_the_provider_is(visit: Visit) -> None:
    visit.expect("net::ERR_INTERNET_DISCONNECTED")
    await expect(switch(visit.page, "groq")).to_be_checked()
    await visit.page.context.set_offline(offline=True)
    await switch(visit.page, "groq").click()
    failed = card(visit.page, "groq").get_by_role("alert")
    await expect(failed).to_contain_text("the service does not answer")
    await expect(switch(visit.page, "groq")).to_be_checked()
    # It is over when the service answers again.
    await visit.page.context.set_offline(offline=False)
    await expect(visit.page.get_by_role("alert")).to_have_count(0)


async def test_a_service_that_hangs_is_said_to_until_it_answers(visit: Visit) -> None:
    page = visit.page
    await page.clock.install()
    await visit.show("providers")
    await expect(switch(page, "groq")).to_be_checked()
    gate = asyncio.Event()

    async def hang(route: Route) -> None:
        await gate.wait()
        await route.continue_()

    await page.route("**/v1/**", hang)
    async with page.expect_request(lambda request: request.method == "PATCH"):
        await switch(page, "groq").click()
    await page.clock.run_for(20_000)
    failed = card(page, "groq").get_by_role("alert")
    await expect(failed).to_contain_text("the service does not answer")
    await expect(failed).to_contain_text("may still happen")
    await expect(page.get_by_role("alert").first).to_contain_text("the service does not answer")
    gate.set()
    await page.clock.run_for(20_000)
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(switch(page, "groq")).to_be_checked()


async def test_a_limit_that_is_set_is_shown_and_kept(running: Stack, visit: Visit) -> None:
    groq = card(visit.page, "groq")
    await groq.get_by_text("Limits", exact=True).click()
    await groq.get_by_label("Requests a minute").fill("60")
    await groq.get_by_role("button", name="Save").click()
    await expect(groq).to_contain_text("60 left of 60")
    assert (await limits(running))["requests_per_minute"]["limit"] == 60
    await groq.get_by_label("Requests a minute").fill("")
    await groq.get_by_role("button", name="Save").click()
    await expect(groq).to_contain_text("0 used")
    assert (await limits(running))["requests_per_minute"]["limit"] is None


async def test_a_limit_that_is_typed_while_another_is_saved_stays(
    running: Stack, visit: Visit
) -> None:
    saving, typed = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        saving.set()
        await typed.wait()
        await route.continue_()

    await visit.page.route("**/v1/providers/groq", hold)
    groq = card(visit.page, "groq")
    await groq.get_by_text("Limits", exact=True).click()
    await groq.get_by_label("Requests a minute").fill("60")
    await groq.get_by_role("button", name="Save").click()
    await saving.wait()
    await groq.get_by_label("Streams at once").fill("3")
    typed.set()
    await expect(groq).to_contain_text("60 left of 60")
    await expect(groq.get_by_label("Streams at once")).to_have_value("3")
    await groq.get_by_role("button", name="Save").click()
    await expect(groq).to_contain_text("3 left of 3")
    kept = await limits(running)
    assert (kept["requests_per_minute"]["limit"], kept["concurrent_streams"]["limit"]) == (60, 3)


async def test_when_a_limit_is_full_again_is_said(running: Stack, visit: Visit) -> None:
    address = f"{running.url}/v1/providers/groq"
    async with running.client.patch(address, json={"requests_per_minute": 60}) as response:
        assert response.status == 200
    await running.ask("groq/auto", reply("Hello."))
    await visit.show("providers")
    groq = card(visit.page, "groq")
    await groq.get_by_text("Limits", exact=True).click()
    words = re.compile(r"59 left of 60 · full again in (\d+) seconds")
    await expect(groq).to_contain_text(words)
    shown = words.search(await groq.inner_text())
    assert shown is not None
    told = (await limits(running))["requests_per_minute"]["full_in_ms"]
    assert ceil(told / 1000) <= int(shown[1]) <= ceil(MINUTE + SLICE)
    # Of what has no limit nothing is ever full.
    await expect(groq.get_by_text("full again")).to_have_count(1)


async def test_when_what_the_provider_counts_starts_anew_is_said(
    running: Stack, visit: Visit
) -> None:
    await running.ask("groq/auto", reply("Hello."))
    await visit.show("providers")
    groq = card(visit.page, "groq")
    await groq.get_by_text("Limits", exact=True).click()
    said = (await limits(running))["provider_says"]
    ((_, accounts),) = said.items()
    for account, window in accounts.items():
        line = groq.locator("li", has_text=f": {account} ")
        await expect(line).to_contain_text(f"{window['remaining']:,} / {window['limit']:,}")
        await expect(line).to_contain_text(re.compile(r"starts anew in \d+ (second|minute)s?"))


async def test_a_limit_that_is_none_is_refused_in_words(running: Stack, visit: Visit) -> None:
    visit.expect("status of 400")
    await visit.page.clock.install()
    await visit.show("providers")
    groq = card(visit.page, "groq")
    await groq.get_by_text("Limits", exact=True).click()
    await groq.locator("form").evaluate("(form) => (form.noValidate = true)")
    await groq.get_by_label("Requests a minute").fill("0")
    await groq.get_by_role("button", name="Save").click()
    await expect(groq.get_by_role("alert")).to_contain_text("requests_per_minute")
    assert (await limits(running))["requests_per_minute"]["limit"] is None
    # That the service answers does not put it right; what somebody else has set shows that it did.
    address = f"{running.url}/v1/providers/groq"
    async with running.client.patch(address, json={"concurrent_streams": 7}) as response:
        assert response.status == 200
    await visit.page.clock.run_for(5_000)
    await expect(groq).to_contain_text("7 left of 7")
    await expect(groq.get_by_role("alert")).to_be_visible()
    await groq.get_by_label("Requests a minute").fill("6")
    await expect(groq.get_by_role("alert")).to_have_count(0)


async def limits(running: Stack) -> dict[str, Any]:
    async with running.client.get(f"{running.url}/v1/providers") as response:
        every = (await response.json())["providers"]
    found: dict[str, Any] = next(one["limits"] for one in every if one["name"] == "groq")
    return found


async def test_a_test_says_how_long_the_provider_took(running: Stack, visit: Visit) -> None:
    running.double.script(reply("Hello."))
    await card(visit.page, "groq").get_by_role("button", name="Test").click()
    await expect(card(visit.page, "groq").get_by_role("status")).to_contain_text("answered")
    assert [seen.provider for seen in running.double.requests] == ["groq"]


async def test_figures_are_asked_for_anew_after_a_test_a_switch_and_a_limit(
    running: Stack, visit: Visit
) -> None:
    page, groq = visit.page, card(visit.page, "groq")
    await expect(switch(page, "groq")).to_be_checked()
    await groq.get_by_text("Limits", exact=True).click()
    await page.clock.install()
    await page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    running.double.script(reply("Hello."))
    asked = groq.get_by_role("row").filter(has_text="all models").get_by_role("cell").first
    await expect(asked).to_have_text("0")
    await groq.get_by_role("button", name="Test").click()
    await expect(asked).to_have_text("1")
    async with page.expect_request("**/v1/providers/openai/stats"):
        await groq.get_by_label("Streams at once").fill("3")
        await groq.get_by_role("button", name="Save").click()
    async with page.expect_request("**/v1/providers/openai/stats"):
        await switch(page, "groq").click()


async def test_a_test_that_fails_says_why(running: Stack, visit: Visit) -> None:
    visit.expect("status of ")
    running.double.default = http_error(Kind.SERVER)
    await card(visit.page, "groq").get_by_role("button", name="Test").click()
    await expect(card(visit.page, "groq")).to_contain_text("That did not work")


async def test_the_figures_are_those_of_the_last_minutes(running: Stack, visit: Visit) -> None:
    running.double.script(reply("Hello."), http_error(Kind.SERVER))
    await running.ask("groq/auto")
    await running.ask("groq/auto", fallback=False)
    await visit.show("providers")
    async with running.client.get(f"{running.url}/v1/providers/groq/stats") as response:
        stats = (await response.json())["total"]
    assert stats["attempts"] >= 2
    row = card(visit.page, "groq").get_by_role("row").filter(has_text="all models")
    await expect(row.get_by_role("cell").nth(0)).to_have_text(str(stats["attempts"]))
    await expect(row.get_by_role("cell").nth(1)).to_have_text(percent(stats["error_rate"]))
    for code, error in stats["errors"].items():
        await expect(card(visit.page, "groq")).to_contain_text(f"{code}: {error['count']}")


async def test_a_tab_that_is_hidden_asks_for_nothing_and_at_once_when_it_is_seen(
    visit: Visit,
) -> None:
    page = visit.page
    await page.clock.install()
    await visit.show("providers")
    await expect(card(page, "groq")).to_be_visible()
    async with page.expect_request("**/v1/providers"):
        await page.clock.run_for(5_000)
    asked = await hide(page)
    await page.clock.run_for(60_000)
    assert asked == []
    async with page.expect_request("**/v1/providers"):
        await see(page)
    async with page.expect_request("**/v1/providers/groq/stats"):
        await page.clock.run_for(5_000)


async def test_models_of_a_provider_switched_on_can_be_chosen_without_loading_the_page_anew(
    visit: Visit,
) -> None:
    page = visit.page
    for state in ("disabled", "active"):
        await switch(page, "groq").click()
        await expect(card(page, "groq")).to_have_attribute("data-state", state)
        there = 0 if state == "disabled" else 1
        await page.get_by_role("link", name="Compare").click()
        listed = page.get_by_label("Model 1", exact=True).locator("option")
        await expect(listed.and_(page.locator("[value='groq/auto']"))).to_have_count(there)
        await page.get_by_role("link", name="Playground").click()
        await page.get_by_text("How it is asked").click()
        listed = setting(page, "Model").locator("option")
        await expect(listed.and_(page.locator("[value='openai/auto']"))).to_have_count(1)
        await expect(listed.and_(page.locator("[value='groq/auto']"))).to_have_count(there)
        await page.get_by_role("link", name="Providers").click()


async def test_markup_in_the_name_of_a_model_stays_text(browser: Browser) -> None:
    harm = "<img src=x onerror='window.harmed = 1'>"
    own = ProviderSettings(base_url="http://127.0.0.1:9/v1", models=(ModelSettings(id=harm),))
    async with (
        stack("groq", settings=Settings(providers={"own": own})) as running,
        visiting(browser, running.url, "providers") as visit,
    ):
        await card(visit.page, "own").get_by_text("1 model", exact=True).click()
        await expect(card(visit.page, "own")).to_contain_text(harm)
        await visit.show("compare")
        option = visit.page.locator("option", has_text=harm).first
        await expect(option).to_have_text(f"own/{harm}")
        assert await visit.page.evaluate("window.harmed") is None
        await expect(visit.page.locator("main img")).to_have_count(0)
