"""A real Chromium, without a screen, driven by Playwright.

The machine's own is taken, else the one that `make browser` has fetched: nothing is downloaded
here. Where there is none a test is skipped with that in one line, and fails under CI=true.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.clients.programs import missing

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FETCHED = Path(__file__).parents[2] / "build" / "chromium" / "chromium"
"""Where `make browser` puts one; a link to it."""


def executable() -> str:
    """The Chromium to run; where there is none, the test ends here."""
    candidates = (*(shutil.which(name) for name in NAMES), shutil.which(FETCHED))
    found = next(filter(None, candidates), None)
    if found is None:
        missing("no Chromium, on PATH or fetched: make browser")
    return found


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Run one until the end."""
    path = executable()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            await browser.close()
