"""The route beside an answer: who was asked and when, who won, who failed, what it took."""

from collections.abc import AsyncIterator
from decimal import Decimal
from math import inf

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from service.hedging.overload import OverloadSettings
from service.settings import Hedging, Settings
from tests.double.answer import Failure
from tests.double.errors import Kind
from tests.double.script import http_answer, http_error, reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import Stack, stack
from tests.web.visits import Visit, answer, ask, choose, visiting

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def running() -> AsyncIterator[Stack]:
    """A service that hedges after a tenth of a second; groq is its first choice, openai the next.

    It shares its loop with the browser's driver, so what the loop lags by is not to be its own.
    """
    soon = Settings(hedging=Hedging(least_delay_s=0.1, cold_delay_s=0.1))
    async with stack("groq", "openai", settings=soon) as running:
        running.service.shared.hedger.overload.settings = OverloadSettings(
            lag=inf, lag_counts_for=0
        )
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, running: Stack) -> AsyncIterator[Visit]:
    async with visiting(browser, running.url, "playground") as visit:
        yield visit


def bars(page: Page) -> Locator:
    """The attempts, one each."""
    return page.get_by_role("list", name="Attempts").get_by_role("listitem")


def panel(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Route")


async def test_a_hedge_shows_two_bars_and_who_won(running: Stack, visit: Visit) -> None:
    slow, quick = Gate(), Gate()
    running.double.on_provider("groq", reply(Wait(slow), "slow"))
    running.double.on_provider("openai", reply(Wait(quick), "quick", Wait(slow)))
    await choose(visit.page, Latency="hedge")
    await ask(visit.page)
    await expect(bars(visit.page)).to_have_count(2)
    await expect(bars(visit.page).nth(0)).to_contain_text("first choice · waiting")
    await expect(bars(visit.page).nth(1)).to_contain_text("hedge · waiting")
    quick.open()
    await expect(answer(visit.page)).to_have_text("quick")
    await expect(bars(visit.page).nth(0)).to_contain_text("lost")
    await expect(bars(visit.page).nth(1)).to_contain_text("answering · first token")
    slow.open()
    await expect(bars(visit.page).nth(1)).to_contain_text("answered")
    await expect(bars(visit.page).nth(0).locator("rect")).to_have_count(1)
    await expect(bars(visit.page).nth(1).locator("rect")).to_have_count(2)


async def test_a_race_shows_all_who_run_and_who_won(running: Stack, visit: Visit) -> None:
    gate = Gate()
    running.double.on_provider("groq", reply(Wait(gate), "slow"))
    running.double.on_provider("openai", reply("quick"))
    await choose(visit.page, Latency="race", Budget_tier="enterprise")
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("quick")
    gate.open()
    await expect(bars(visit.page)).to_have_count(2)
    await expect(bars(visit.page).nth(1)).to_contain_text("answered")
    await expect(bars(visit.page).nth(0)).to_contain_text("lost")


async def test_who_fails_before_a_word_is_shown_with_the_error_and_replaced(
    running: Stack, visit: Visit
) -> None:
    running.double.on_provider("groq", http_error(Kind.SERVER))
    running.double.on_provider("openai", reply("Here."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Here.")
    first, second = bars(visit.page).nth(0), bars(visit.page).nth(1)
    await expect(first).to_have_attribute("data-state", "bad")
    told = await running.fetch((await _streams(running))[-1])
    (failed, _) = told.of("attempt.end")
    await expect(first).to_contain_text(f"failed · {failed['error']['message']}")
    await expect(second).to_contain_text("fallback · answered")


async def test_a_restart_takes_back_what_was_shown_and_says_who_goes_on(
    running: Stack, visit: Visit
) -> None:
    gate = Gate()
    running.double.on_provider("groq", reply("Half an ", Wait(gate), Cut("rst")))
    running.double.on_provider("openai", reply("A whole answer."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Half an ")
    gate.open()
    await expect(answer(visit.page)).to_have_text("A whole answer.")
    await expect(panel(visit.page)).to_contain_text("groq broke: openai goes on (restart)")
    await expect(bars(visit.page).nth(0)).to_have_attribute("data-state", "bad")


async def test_an_answer_that_breaks_off_says_why_and_keeps_what_was_said(
    running: Stack, visit: Visit
) -> None:
    running.double.on_provider("groq", reply("Half an ", Failure(Kind.OVERLOADED)))
    running.double.on_provider("openai", http_error(Kind.SERVER))
    await ask(visit.page)
    told = await running.fetch((await _streams(running))[-1])
    assert told.end["status"] == "failed"
    await expect(answer(visit.page)).to_contain_text(told.end["error"]["message"])


async def test_a_refused_question_says_why_in_words(running: Stack, visit: Visit) -> None:
    visit.expect("status of 4")
    running.double.default = http_answer(400, {"error": {"message": "No such thing.", "type": "x"}})
    await ask(visit.page)
    told = await running.fetch((await _streams(running))[-1])
    await expect(answer(visit.page)).to_contain_text(told.end["error"]["message"])


async def test_the_figures_beside_an_answer_are_those_of_its_end(
    running: Stack, visit: Visit
) -> None:
    running.double.script(reply("Some ", "words."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_attribute("data-state", "over")
    told = await running.fetch((await _streams(running))[-1])
    cost = Decimal(told.end["usage_total"]["cost_usd"])
    shown = await visit.page.get_by_test_id("cost").inner_text()
    assert Decimal(shown.replace("US$", "").replace("$", "")) == _rounded(cost)
    await expect(panel(visit.page)).to_contain_text(f"{told.end['timing']['ttft_ms']} ms")


async def test_what_it_costs_is_told_while_it_runs_and_is_exact_at_its_end(
    running: Stack, visit: Visit
) -> None:
    gate = Gate()
    running.double.on_provider("groq", reply("Some ", Wait(gate), "words."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Some ")
    await expect(visit.page.get_by_test_id("cost")).to_contain_text("≈ $")
    gate.open()
    await expect(answer(visit.page)).to_have_attribute("data-state", "over")
    await expect(visit.page.get_by_test_id("cost")).not_to_contain_text("≈")


async def test_the_candidates_are_the_plan_s_and_those_passed_over_say_why(
    running: Stack, visit: Visit
) -> None:
    running.double.script(reply("Here."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Here.")
    told = await running.fetch((await _streams(running))[-1])
    (plan,) = told.of("route.plan")
    items = panel(visit.page).locator("ol > li")
    await expect(items).to_have_count(len(plan["candidates"]))
    for item, candidate in zip(await items.all(), plan["candidates"], strict=True):
        await expect(item).to_contain_text(f"{candidate['provider']}/{candidate['model']}")
    await panel(visit.page).get_by_text("Skipped:").click()
    await expect(panel(visit.page)).to_contain_text(plan["skipped"][0]["detail"])


async def _streams(running: Stack) -> list[str]:
    """The ids of all streams, the latest last; once there is one."""
    await running.double.seen(1)
    return [stream.id for stream in running.streams]


def _rounded(cost: Decimal) -> Decimal:
    """As the page writes less than a cent: two significant digits."""
    return round(cost, 1 - cost.adjusted())
