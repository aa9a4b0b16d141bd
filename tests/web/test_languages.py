"""English and French, light and dark: chosen, kept, and whole."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.double.answer import reasoning, tool_call
from tests.double.script import reply
from tests.e2e.stack import Stack
from tests.web.visits import Visit, visiting

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDS = Path(__file__).parents[2] / "service" / "web" / "src" / "i18n"


def sentences(language: str) -> list[str]:
    """Every one that is filled with nothing, in the order in which they stand."""
    text = (WORDS / f"{language}.ts").read_text(encoding="utf-8")
    _, _, words = text.partition(" = {")
    return [found for found in re.findall(r"'((?:[^'\\]|\\.)*)'", words) if "{" not in found]


NAMES = {"English", "hedge", "race"}
"""A language's own, and what the API calls its strategies: the same in every language."""

ENGLISH = set(sentences("en")) - set(sentences("fr")) - NAMES
"""What only English says."""

SHOWN = """() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode.textContent);
    for (const name of ['aria-label', 'placeholder', 'title'])
        for (const one of document.querySelectorAll(`[${name}]`))
            texts.push(one.getAttribute(name));
    return texts.map((text) => text.trim());
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def french(browser: Browser, running: Stack) -> AsyncIterator[Visit]:
    """The playground in a browser that prefers French."""
    async with visiting(browser, running.url, "playground", locale="fr-FR") as visit:
        yield visit


async def test_a_french_page_has_no_english_sentence(running: Stack, french: Visit) -> None:
    page = french.page
    assert ENGLISH
    await expect(page.get_by_role("button", name="Envoyer")).to_be_visible()
    running.double.script(reply(reasoning("Hm."), "Voilà.", tool_call("f", "{}")))
    await page.locator("#question").fill("Quoi ?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".answer[data-state=over]")).to_have_count(1)
    for name in ("playground", "compare", "providers", "costs"):
        await french.show(name)
        await expect(page.get_by_text("Chargement…")).to_have_count(0)
        if name == "providers":
            await expect(page.locator("article table").first).to_be_attached()
        texts = set(await page.evaluate(SHOWN))
        assert texts & ENGLISH == set()
        assert await page.evaluate("document.documentElement.lang") == "fr"


async def test_figures_are_written_as_the_language_does(running: Stack, french: Visit) -> None:
    running.double.script(reply("Voilà."))
    await french.page.locator("#question").fill("Quoi ?")
    await french.page.keyboard.press("Enter")
    await expect(french.page.get_by_test_id("cost")).to_contain_text(re.compile(r"0,\d+\s\$US"))


async def test_a_language_that_is_chosen_shows_at_once_and_is_kept(visit: Visit) -> None:
    page = visit.page
    await page.get_by_label("Language").select_option("fr")
    await expect(page.get_by_role("button", name="Envoyer")).to_be_visible()
    await expect(page).to_have_title(re.compile("Banc d.essai · Tailrace"))
    await page.reload()
    await expect(page.get_by_role("button", name="Envoyer")).to_be_visible()
    await page.get_by_label("Langue").select_option("en")
    await expect(page.get_by_role("button", name="Send")).to_be_visible()


async def test_what_is_chosen_in_one_tab_shows_in_every_tab(visit: Visit) -> None:
    other = Visit(await visit.page.context.new_page(), visit.url)
    await other.show("playground")
    await visit.page.get_by_label("Language").select_option("fr")
    await expect(other.page.get_by_role("button", name="Envoyer")).to_be_visible()
    await visit.page.get_by_label("Apparence").select_option("dark")
    await expect(other.page.locator("html")).to_have_attribute("data-theme", "dark")
    await other.page.get_by_label("Langue").select_option("en")
    await expect(visit.page.get_by_role("button", name="Send")).to_be_visible()


async def ground(page: Page) -> str:
    """The colour behind everything."""
    colour: str = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


async def test_the_appearance_is_the_system_s_until_one_is_chosen_which_is_kept(
    visit: Visit,
) -> None:
    page = visit.page
    await page.emulate_media(color_scheme="light")
    light = await ground(page)
    await page.emulate_media(color_scheme="dark")
    dark = await ground(page)
    assert light != dark
    await page.get_by_label("Appearance").select_option("light")
    assert await ground(page) == light
    await page.reload()
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert await ground(page) == light
    await page.emulate_media(color_scheme="light")
    await page.get_by_label("Appearance").select_option("dark")
    assert await ground(page) == dark
    await page.get_by_label("Appearance").select_option("system")
    assert await ground(page) == light
