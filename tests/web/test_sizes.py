"""A phone's width: nothing has to be scrolled sideways to be read."""

import re

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.double.answer import Tokens, reasoning, tool_call
from tests.double.script import http_answer, reply
from tests.e2e.stack import Stack
from tests.web.visits import visiting

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE: ViewportSize = {"width": 390, "height": 844}

WIDTHS = range(320, 1281, 64)

THOUSANDS = re.compile(r"\d{2}.\d{3}[.,]\d")
"""Dollars, as both languages write them."""

WIDER = """() => [...document.querySelectorAll('dl > div')]
    .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.innerText)"""
"""Tiles whose words are wider than they are."""

WIDE = (
    f"{'long' * 40}\n\n```\n{'code ' * 60}\n```\n\n"
    f"| {' | '.join('column' for _ in range(20))} |\n|{'---|' * 20}\n| {' | '.join('x' * 9)} |\n\n"
)


@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
async def test_no_page_scrolls_sideways_on_a_phone(
    language: str, running: Stack, browser: Browser
) -> None:
    phone = {"viewport": PHONE, "locale": language, "has_touch": True, "is_mobile": True}
    async with visiting(browser, running.url, **phone) as visit:
        page = visit.page
        for name in ("playground", "compare", "costs"):
            await visit.show(name)
            await fits(page)
        await visit.show("providers")
        await expect(page.locator("article").first).to_be_visible()
        await unfold(page)
        await fits(page)

        await visit.show("playground")
        running.double.script(
            reply(reasoning("x" * 300), WIDE, tool_call("f" * 90, f'{{"a": "{"b" * 300}"}}'))
        )
        await page.locator("#question").fill("word" * 100)
        await page.keyboard.press("Enter")
        await expect(page.locator(".answer[data-state=over]")).to_have_count(1)
        await unfold(page)
        await fits(page)
        await visit.show("costs")
        await expect(page.locator("tr[data-group]").first).to_be_visible()
        await fits(page)


@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
async def test_amounts_fit_into_their_tile_and_costs_are_seen_without_scrolling(
    language: str, running: Stack, browser: Browser
) -> None:
    dear = Tokens(input=10**11 + 1, output=10**10 + 7)
    await running.ask("groq/auto", reply("Worth it.", tokens=dear))
    async with visiting(browser, running.url, locale=language) as visit:
        page = visit.page
        await visit.show("costs")
        await expect(page.locator("tr[data-group]")).to_have_count(1)
        await expect(page.locator("[data-period=today] .amount")).to_contain_text(THOUSANDS)
        await expect(page.locator(".mark.live")).to_be_visible()
        await running.ask("groq/auto", reply("Worth it.", tokens=dear))
        await expect(page.locator("tr[data-event]")).to_have_count(1)
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 844})
            await fits(page)
            wide = await page.evaluate(WIDER)
            assert not wide, f"{width} pixels: {wide}"
        await page.set_viewport_size(PHONE)
        for cost in ("tr[data-group] [data-usd]", "tr[data-event] td:nth-child(2)"):
            box = await page.locator(cost).bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= PHONE["width"]


async def test_an_error_with_an_address_is_no_wider_than_a_phone(
    running: Stack, browser: Browser
) -> None:
    address = f"https://example.org/{'broken' * 40}"
    running.double.default = http_answer(400, {"error": {"message": address}})
    async with visiting(browser, running.url, viewport=PHONE) as visit:
        page = visit.page
        await visit.show("playground")
        await page.locator("#question").fill("Say hello.")
        await page.keyboard.press("Enter")
        await expect(page.locator(".answer")).to_contain_text(address)
        await unfold(page)
        await fits(page)

        await visit.show("compare")
        for number in (1, 2):
            choice = page.get_by_label(f"Model {number}", exact=True)
            await expect(choice.locator("option[value^=groq]").first).to_be_attached()
            await choice.select_option(index=number)
        await page.get_by_label("The question to all of them").fill("Say hello.")
        await page.get_by_role("button", name="Start").click()
        await expect(page.get_by_text(address)).to_have_count(2)
        await fits(page)


async def unfold(page: Page) -> None:
    """Open everything that can be."""
    await page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")


async def fits(page: Page) -> None:
    """No wider than the screen; who is, is named."""
    wide = await page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] :
            [...document.querySelectorAll('body *')]
                .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
                .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert not wide, f"{page.url}: {wide[:8]}"
