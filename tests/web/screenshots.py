"""The pictures of the web app in docs/: `make screenshots`, or `python -m tests.web.screenshots`.

The playground is a service before the provider double, whose first provider keeps silent for so
long that another one is asked. The costs are the week that `tailrace demo-load` makes up. Nothing
of either was ever asked of a model.
"""

import asyncio
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import Browser, Page, expect

from service import clock
from service.demo.load import load
from service.hedging.overload import OverloadSettings
from service.settings import Hedging, Server, Settings
from tests.double.answer import Tokens
from tests.double.script import reply
from tests.double.steps import Delay
from tests.e2e.process import serving
from tests.e2e.stack import stack
from tests.web.browsers import launched
from tests.web.visits import ask, choose, visiting

DOCS = Path(__file__).parents[2] / "docs"

WINDOW = {"width": 1280, "height": 700}

PATIENCE = 60_000  # milliseconds

QUESTION = "What is a tailrace?"

ANSWER = """A **tailrace** is the channel that carries water away from a water wheel or a \
turbine, once it has done its work.

- The *headrace* leads the water in.
- The wheel takes its energy.
- The tailrace leads it back to the river, so that the next water finds its way.

It has to be wide and deep enough: where water backs up in it, the wheel turns in its own waste \
and loses power.
"""


async def playground(browser: Browser) -> None:
    """A hedge, won by the second provider."""
    soon = Settings(hedging=Hedging(cold_delay_s=0.6))
    async with (
        stack("groq", "openai", "claude", "mistral", settings=soon) as running,
        visiting(browser, running.url, "playground", viewport=WINDOW) as visit,
    ):
        running.service.shared.hedger.overload.settings = OverloadSettings(
            lag=inf, lag_counts_for=0
        )
        running.double.on_provider("groq", reply(Delay(5), "Late."))
        words = [f"{word} " for word in ANSWER.split(" ")]
        told = reply(*words, between=0.02, tokens=Tokens(input=12, output=112))
        running.double.default = told
        await choose(visit.page, Latency="hedge")
        await visit.page.get_by_text("How it is asked").click()
        await ask(visit.page, QUESTION)
        await expect(visit.page.locator(".answer[data-state=over]")).to_have_count(1)
        await taken(visit.page, "playground")


async def costs(browser: Browser, folder: Path) -> None:
    """A made-up week."""
    settings = Settings(server=Server(data=folder / "data"))
    loaded = await asyncio.to_thread(
        load, settings, {}, days=7, seed=0, force=False, now_ns=clock.now_ns()
    )
    async with (
        serving(folder, environ={}) as served,
        visiting(browser, served.url, "costs", viewport=WINDOW) as visit,
    ):
        month = visit.page.locator("[data-period=month]")
        counted = f"{loaded.attempts:,} attempts"
        await expect(month).to_contain_text(counted, timeout=PATIENCE)
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
    with TemporaryDirectory() as folder:
        async with launched() as browser:
            await playground(browser)
            await costs(browser, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
