"""The newest words stay in view while they come, for who is at the end, and for nobody else."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.double.script import reply
from tests.double.steps import Gate, Wait
from tests.e2e.stack import Stack
from tests.web.visits import Visit, answer, ask, visiting

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCREENS = pytest.mark.parametrize(
    "screen", [(1280, 720), (390, 700)], ids=["on a laptop", "on a phone"], indirect=True
)

LONG = "Water runs down to the tailrace and on.\n\n" * 40
"""More than either screen shows."""

HIDDEN = """[...document.querySelectorAll('.answer')].at(-1).getBoundingClientRect().bottom
    - document.querySelector('form').getBoundingClientRect().top"""


@pytest.fixture
def screen(request: pytest.FixtureRequest) -> tuple[int, int]:
    size: tuple[int, int] = request.param
    return size


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, running: Stack, screen: tuple[int, int]) -> AsyncIterator[Visit]:
    width, height = screen
    size = {"width": width, "height": height}
    async with visiting(browser, running.url, "playground", viewport=size) as visit:
        yield visit


async def said(page: Page, words: str) -> None:
    """Wait for them, and for the frame in which they are drawn."""
    await expect(answer(page)).to_contain_text(words)
    await page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => drawn()))")


async def in_view(page: Page) -> None:
    """Wait for the last words to be above the composer, where only following takes them."""
    await page.wait_for_function(f"() => {HIDDEN} <= 0")


async def hidden(page: Page) -> float:
    """Pixels of the last answer that are behind the composer."""
    pixels: float = await page.evaluate(HIDDEN)
    return pixels


async def scrolled(page: Page) -> float:
    at: float = await page.evaluate("scrollY")
    return at


@SCREENS
async def test_who_has_asked_sees_the_newest_words_above_the_composer(
    running: Stack, visit: Visit
) -> None:
    gates = [Gate(), Gate()]
    running.double.script(
        reply("Begun.", LONG, "First.", Wait(gates[0]), LONG, "Second.", Wait(gates[1]), LONG),
        reply(LONG, "Again."),
    )
    await ask(visit.page)
    for words, gate in zip(("First.", "Second."), gates, strict=True):
        await said(visit.page, words)
        await in_view(visit.page)
        gate.open()
    await expect(answer(visit.page)).to_have_attribute("data-state", "over")
    await visit.page.mouse.move(100, 100)
    await visit.page.mouse.wheel(0, -100_000)
    await visit.page.wait_for_function("() => scrollY === 0")
    await ask(visit.page)
    await said(visit.page, "Again.")
    await in_view(visit.page)


@SCREENS
async def test_who_scrolls_up_is_left_there_and_who_comes_back_is_taken_along(
    running: Stack, visit: Visit
) -> None:
    page = visit.page
    up, back = Gate(), Gate()
    running.double.script(
        reply(LONG, "First.", Wait(up), LONG, "Second.", Wait(back), LONG, "Third.")
    )
    await ask(page)
    await said(page, "First.")
    before = await scrolled(page)
    await page.mouse.move(100, 100)
    await page.mouse.wheel(0, -200)
    await page.wait_for_function("(before) => scrollY === before - 200", arg=before)
    up.open()
    await said(page, "Second.")
    assert await scrolled(page) == before - 200
    await page.mouse.wheel(0, await hidden(page))
    await in_view(page)
    back.open()
    await said(page, "Third.")
    await in_view(page)


@SCREENS
async def test_who_looks_at_something_else_when_it_begins_to_grow_is_not_moved(
    running: Stack, visit: Visit
) -> None:
    gate = Gate()
    running.double.script(reply(LONG, "First.", Wait(gate), LONG, "Second."))
    await ask(visit.page)
    await said(visit.page, "First.")
    await visit.page.reload()
    await said(visit.page, "First.")
    await visit.page.evaluate("scrollTo(0, 0)")
    gate.open()
    await said(visit.page, "Second.")
    assert await scrolled(visit.page) == 0
