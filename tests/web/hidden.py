"""A tab that nobody looks at.

A browser without a screen shows all of its tabs, so here the page is told, by the same property and
event, what any other browser would tell it.
"""

from playwright.async_api import Page, Request

_TOLD = """(hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, value: hidden });
    document.dispatchEvent(new Event('visibilitychange'));
}"""


async def hide(page: Page) -> list[str]:
    """Look at something else; what the page asks for from then on, while it is still asked."""
    await page.evaluate(_TOLD, arg=True)
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    return asked


async def see(page: Page) -> None:
    """Look at it again."""
    await page.evaluate(_TOLD, arg=False)
