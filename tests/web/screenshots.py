"""The pictures of the web app in docs/: `make screenshots`, or `python -m tests.web.screenshots`.

All of it is demo data: a service without a key, whose demo provider answers in the playground, over
a data folder with the week that `tailrace demo-load` makes up. Nothing was ever asked of a model.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import Browser, Page, expect

from service import clock
from service.demo.load import load
from service.settings import Server, Settings
from tests.e2e.process import serving
from tests.web.browsers import launched
from tests.web.visits import ask, visiting

DOCS = Path(__file__).parents[2] / "docs"

WINDOW = {"width": 1280, "height": 700}

PATIENCE = 60_000  # milliseconds

QUESTION = "What is a tailrace?"


async def playground(browser: Browser, url: str) -> None:
    """A question that the demo answered, and its route."""
    async with visiting(browser, url, "playground", viewport=WINDOW) as visit:
        await ask(visit.page, QUESTION)
        over = visit.page.locator(".answer[data-state=over]")
        await expect(over).to_have_count(1, timeout=PATIENCE)
        await taken(visit.page, "playground")


async def costs(browser: Browser, url: str, attempts: int) -> None:
    """The week, once all of its attempts are counted."""
    async with visiting(browser, url, "costs", viewport=WINDOW) as visit:
        month = visit.page.locator("[data-period=month]")
        await expect(month).to_contain_text(f"{attempts:,} attempts", timeout=PATIENCE)
        by = visit.page.get_by_role("combobox", name="By", exact=True)
        await by.select_option("use_case")
        await expect(visit.page.locator("tr[data-group=conversation]")).to_be_visible()
        await taken(visit.page, "costs")


async def taken(page: Page, name: str) -> None:
    """Write the picture, and say how large it is."""
    path = DOCS / f"{name}.png"
    await page.screenshot(path=path, animations="disabled")
    print(f"{path.relative_to(DOCS.parent)}: {path.stat().st_size / 1000:.0f} KB")  # noqa: T201


async def main() -> None:
    """Take both."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(server=Server(data=folder / "data"))
        loaded = await asyncio.to_thread(
            load, settings, {}, days=7, seed=0, force=False, now_ns=clock.now_ns()
        )
        async with launched() as browser, serving(folder, environ={}) as served:
            await costs(browser, served.url, loaded.attempts)
            await playground(browser, served.url)


if __name__ == "__main__":
    asyncio.run(main())
