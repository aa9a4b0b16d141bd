"""Everything without a mouse: whatever is done is reached by Tab, and seen to have the focus."""

import asyncio

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.double.script import reply
from tests.double.steps import Stall
from tests.e2e.stack import Stack
from tests.web.visits import Visit, answer, ask, setting

pytestmark = pytest.mark.asyncio(loop_scope="session")

FURTHEST = 120
"""Stops to anything on a page."""


async def reach(page: Page, wanted: Locator) -> None:
    """Press Tab until it has the focus, which must be visible."""
    await expect(wanted).to_be_enabled()
    element = await wanted.element_handle()
    for _ in range(FURTHEST):
        await page.keyboard.press("Tab")
        if await page.evaluate("(one) => document.activeElement === one", element):
            break
    else:
        message = f"no Tab leads to {wanted}"
        raise AssertionError(message)
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


async def test_a_question_is_asked_stopped_and_asked_again(running: Stack, visit: Visit) -> None:
    page = visit.page
    running.double.script(reply("As far as this", Stall()), reply("Once more."))
    await reach(page, page.get_by_label("Your question"))
    await page.keyboard.type("Say hello.")
    await page.keyboard.press("Enter")
    await expect(answer(page)).to_contain_text("As far as this")
    await reach(page, page.get_by_role("button", name="Stop"))
    await page.keyboard.press("Space")
    await (await running.double.seen(1)).left()
    await expect(answer(page)).to_contain_text("stopped")
    await reach(page, page.get_by_role("button", name="Ask again"))
    await page.keyboard.press("Enter")
    await expect(answer(page)).to_have_text("Once more.")


async def test_the_settings_are_opened_and_chosen(running: Stack, visit: Visit) -> None:
    page = visit.page
    await reach(page, page.locator("summary", has_text="How it is asked"))
    await page.keyboard.press("Enter")
    await reach(page, setting(page, "Budget tier"))
    await page.keyboard.press("ArrowDown")
    await expect(setting(page, "Budget tier")).to_have_value("premium")
    running.double.script(reply("Here."))
    await reach(page, page.get_by_label("Your question"))
    await page.keyboard.type("Say hello.")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("complementary")).to_contain_text("premium")


async def test_the_first_stop_skips_to_the_content(visit: Visit) -> None:
    page = visit.page
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await expect(page.get_by_label("Your question")).to_be_visible()


async def test_who_goes_to_another_page_is_at_its_heading_and_goes_on_from_there(
    visit: Visit,
) -> None:
    page = visit.page
    assert await page.evaluate("document.activeElement === document.body")  # as it was loaded
    await reach(page, page.get_by_role("link", name="Compare"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Compare", level=1)).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Model 1", exact=True)).to_be_focused()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Conversation", level=1)).to_be_focused()


async def test_a_page_is_chosen_and_a_provider_switched_off_and_on(visit: Visit) -> None:
    page = visit.page
    await reach(page, page.get_by_role("link", name="Providers"))
    await page.keyboard.press("Enter")
    groq = page.locator("article[data-provider=groq]")
    await reach(page, groq.get_by_role("switch"))
    await page.keyboard.press("Space")
    await expect(groq).to_have_attribute("data-state", "disabled")
    await reach(page, groq.get_by_role("switch"))
    await page.keyboard.press("Enter")
    await expect(groq).to_have_attribute("data-state", "active")


async def test_who_switches_tests_or_saves_keeps_the_focus_and_does_it_once(
    running: Stack, visit: Visit
) -> None:
    page = visit.page
    await visit.show("providers")
    groq = page.locator("article[data-provider=groq]")
    await groq.locator("summary", has_text="Limits").click()
    running.double.default = reply("Hello.")
    limit = groq.get_by_label("Streams at once")
    for control, address in (
        (groq.get_by_role("button", name="Test"), "**/llm/test"),
        (groq.get_by_role("button", name="Save"), "**/v1/providers/groq"),
        (groq.get_by_role("switch"), "**/v1/providers/groq"),
    ):
        await limit.fill("3")
        held: asyncio.Queue[Route] = asyncio.Queue()
        await page.route(address, held.put)
        await control.focus()
        await page.keyboard.press("Enter")
        request = await held.get()
        await expect(control).to_be_focused()
        await expect(control).to_be_disabled()  # as aria-disabled says
        await page.keyboard.press("Enter")
        async with page.expect_response(address):
            await request.continue_()
        await expect(control).to_be_focused()
        await expect(groq.locator("[aria-disabled=true]:not([type=submit])")).to_have_count(0)
        await expect(control).to_be_focused()
        assert held.empty()
        await page.unroute(address)


async def test_limits_are_opened_and_set(visit: Visit) -> None:
    page = visit.page
    await visit.show("providers")
    groq = page.locator("article[data-provider=groq]")
    await reach(page, groq.locator("summary", has_text="Limits"))
    await page.keyboard.press("Enter")
    await reach(page, groq.get_by_label("Streams at once"))
    await page.keyboard.type("3")
    await page.keyboard.press("Enter")
    await expect(groq).to_contain_text("3 left of 3")


async def test_models_are_chosen_and_compared(running: Stack, visit: Visit) -> None:
    page = visit.page
    await visit.show("compare")
    for number in (1, 2):
        box = page.get_by_label(f"Model {number}", exact=True)
        await expect(box.locator("option[value='groq/auto']")).to_be_attached()
        await reach(page, box)
        await page.keyboard.type("groq/auto")
        await expect(box).to_have_value("groq/auto")
    await reach(page, page.get_by_label("The question to all of them"))
    await page.keyboard.type("How high?")
    running.double.script(reply("One."), reply("Two."))
    await reach(page, page.get_by_role("button", name="Start"))
    await page.keyboard.press("Enter")
    await expect(page.locator("section[data-state=over]")).to_have_count(2)


async def test_the_focus_stays_on_what_was_pressed_beside_a_question(
    running: Stack, visit: Visit
) -> None:
    page = visit.page
    running.double.script(reply("As far as this", Stall()), reply("Again."))
    await ask(page)
    await expect(answer(page)).to_contain_text("As far as this")
    for name, comes in (("Stop", "stopped"), ("Ask again", "Again.")):
        button = page.get_by_role("button", name=name)
        await reach(page, button)
        await page.keyboard.press("Enter")
        await expect(answer(page)).to_contain_text(comes)
        await expect(button).to_be_focused()


async def test_the_focus_stays_on_what_was_pressed_beside_a_comparison(
    running: Stack, visit: Visit
) -> None:
    page = visit.page
    running.double.default = reply("As far as this", Stall())
    await visit.show("compare")
    for number in (1, 2):
        box = page.get_by_label(f"Model {number}", exact=True)
        await expect(box.locator("option[value='groq/auto']")).to_be_attached()
        await box.select_option("groq/auto")
    await page.get_by_label("The question to all of them").fill("How high?")
    start, stop = (page.get_by_role("button", name=name) for name in ("Start", "Stop all"))
    await reach(page, start)
    for _ in range(2):  # the second time there is nothing to start
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("As far as this")).to_have_count(2)
        await expect(start).to_be_disabled()  # as aria-disabled says
        await expect(start).to_be_focused()
    assert len(running.double.requests) == 2
    await reach(page, stop)
    await page.keyboard.press("Enter")
    await expect(page.locator("section[data-state=over]")).to_have_count(2)
    await expect(stop).to_be_disabled()
    await expect(stop).to_be_focused()


async def test_the_focus_is_not_lost_with_a_model_that_is_added_or_removed(visit: Visit) -> None:
    page = visit.page
    await visit.show("compare")
    add, models = page.get_by_role("button", name="Add a model"), page.locator("select[id^=model-]")
    await reach(page, add)
    for count in (3, 4, 4):
        await page.keyboard.press("Enter")
        await expect(models).to_have_count(count)
        await expect(add).to_be_focused()
    await expect(add).to_be_disabled()
    first = page.get_by_role("button", name="Remove model 1")
    await first.focus()
    await page.keyboard.press("Enter")
    await expect(models).to_have_count(3)
    await expect(first).to_be_focused()
    await page.get_by_role("button", name="Remove model").last.focus()
    await page.keyboard.press("Enter")
    await expect(models).to_have_count(2)
    await expect(add).to_be_focused()
