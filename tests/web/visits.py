"""A visit: one page of the app in a browser that knows nothing of earlier ones.

Whatever a page complains of fails the test it happened in: an error on the console (the browser
writes what the page's Content-Security-Policy stops there, too), an exception nobody caught, a
request to any other host. A test that provokes one names it beforehand (`Visit.expect`).
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, expect

PATIENCE = 20_000  # milliseconds
"""That the page may take for anything; a bound for a busy machine."""

expect.set_options(timeout=PATIENCE)


@dataclass
class Visit:
    """A page, and what it complained of."""

    page: Page
    url: str
    """Of the service, without a path."""
    complaints: list[str] = field(default_factory=list)
    expected: list[re.Pattern[str]] = field(default_factory=list)

    def expect(self, pattern: str) -> None:
        """Such a complaint is what the test is about."""
        self.expected.append(re.compile(pattern))

    async def show(self, page: str) -> None:
        """Load a page of the app anew."""
        if self.page.url != "about:blank":  # to another hash it would only go
            await self.page.goto("about:blank")
        await self.page.goto(f"{self.url}/#/{page}")

    @property
    def unexpected(self) -> list[str]:
        return [one for one in self.complaints if not any(p.search(one) for p in self.expected)]

    def watch(self) -> None:
        """Begin to note complaints."""
        context = self.page.context
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"thrown: {error.error}"))
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning", "assert"}:
            self.complaints.append(f"{message.type}: {message.text} {message.location['url']}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "about:", "blob:")):
            self.complaints.append(f"a request to {request.url}")


@asynccontextmanager
async def visiting(
    browser: Browser,
    url: str,
    page: str = "",
    **options: Any,  # noqa: ANN401 - Playwright's own types
) -> AsyncIterator[Visit]:
    """Open a page of the service at `url`; `options` are those of a browser's context."""
    context = await browser.new_context(**{"locale": "en-GB", "reduced_motion": "reduce"} | options)
    context.set_default_timeout(PATIENCE)
    try:
        visit = Visit(await context.new_page(), url)
        visit.watch()
        if page:
            await visit.show(page)
        yield visit
        assert not visit.unexpected, visit.unexpected
    finally:
        # Ends its connections, too: the service may then be stopped.
        await context.close()


# --- What a test does on the playground -----------------------------------------------------


async def ask(page: Page, question: str = "Say hello.") -> None:
    """Write a question and send it."""
    await page.get_by_label("Your question").fill(question)
    await page.get_by_role("button", name="Send").click()


def answer(page: Page) -> Locator:
    """The last answer."""
    return page.get_by_role("article", name="Answer").last


async def choose(page: Page, **settings: str) -> None:
    """Open the settings and choose; keys are labels, an underscore stands for a space."""
    if not await setting(page, "Use case").is_visible():
        await page.get_by_text("How it is asked").click()
    for label, value in settings.items():
        await setting(page, label.replace("_", " ")).select_option(value)


def setting(page: Page, label: str) -> Locator:
    """A choice, while the settings are open."""
    return page.get_by_role("combobox", name=label, exact=True)
