"""The web app in a real browser: first paint, size of the first load, frames while tokens stream.

Run: `make bench-web`, two minutes. `tailrace serve` is a process of its own before the provider
double in this one; the browser is the machine's Chromium without a screen. Everything comes from
loopback and nothing is in a cache.

- First load: what the browser received, headers included, until the page was quiet.
- First paint: the browser's own "first-contentful-paint", counted from the navigation's start, for
  each of the pages in a new browser profile every time.
- Frames: the playground asks, and the double says so many tokens at so many a second. A callback
  before each frame notes when it ran: the longest time between two of them is the longest frame,
  which is 16.7 ms where nothing is dropped.
"""

import argparse
import asyncio
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from playwright.async_api import Browser, Page, expect

from tests.double.script import reply
from tests.double.server import Double
from tests.e2e.process import serving
from tests.e2e.stack import variables
from tests.web.browsers import launched

PAGES = ("playground", "compare", "providers", "costs")

PAINT_GOAL = 1000.0  # milliseconds
SIZE_GOAL = 300.0  # KB
FRAME_GOAL = 200.0  # milliseconds

WORDS = ("Water ", "runs ", "**down** ", "to the ", "`tailrace`, ", "and on. ")
PARAGRAPH = 60
"""Tokens; every third paragraph is a list."""

PAINTED = """() => new Promise((resolve) => {
    new PerformanceObserver((list) => {
        const [paint] = list.getEntriesByName('first-contentful-paint');
        if (paint) resolve(paint.startTime);
    }).observe({ type: 'paint', buffered: true });
})"""

FRAMES = """() => new Promise((resolve) => {
    const took = [];
    let last = performance.now();
    const frame = (now) => {
        took.push(now - last);
        last = now;
        if (document.querySelector('.answer')?.dataset.state === 'over') resolve(took);
        else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
})"""
"""Until the answer is over. The page is asked for nothing else meanwhile: looking costs frames."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Milliseconds from one to the next, in order."""

    took: list[float]

    @property
    def longest(self) -> float:
        """The one that a reader notices."""
        return max(self.took)

    def quantile(self, share: float) -> float:
        """As long as this share of them at most."""
        return sorted(self.took)[min(int(len(self.took) * share), len(self.took) - 1)]

    def longer_than(self, milliseconds: float) -> int:
        """How many are."""
        return sum(one > milliseconds for one in self.took)


def tokens(count: int) -> list[str]:
    """An answer in Markdown, of so many pieces."""
    said = [WORDS[number % len(WORDS)] for number in range(count)]
    for number in range(PARAGRAPH, count, PARAGRAPH):
        said[number] = "\n\n- " if number // PARAGRAPH % 3 == 0 else "\n\n"
    return said


async def first_load(browser: Browser, url: str) -> float:
    """Kilobytes of the page, its scripts and styles, as they came over the wire."""
    context = await browser.new_context()
    page = await context.new_page()
    received: list[int] = []
    line = await context.new_cdp_session(page)
    line.on("Network.loadingFinished", lambda told: received.append(told["encodedDataLength"]))
    await line.send("Network.enable")
    await page.goto(url, wait_until="networkidle")
    await context.close()
    return sum(received) / 1000


async def first_paint(browser: Browser, url: str) -> float:
    """Milliseconds in a profile that has never seen the page."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(url)
    painted: float = await page.evaluate(PAINTED)
    await context.close()
    return painted


async def streamed(page: Page, double: Double, count: int, rate: float) -> Frames:
    """Ask for so many tokens and watch the frames until the last one is shown."""
    said = tokens(count)
    double.script(reply(*said, " The end.", between=1 / rate))
    await page.locator("#question").fill("How does water run?")
    took, _ = await asyncio.gather(page.evaluate(FRAMES), page.keyboard.press("Enter"))
    await expect(page.locator(".answer")).to_contain_text("The end.")
    return Frames(took)


def told(what: str, figure: float, unit: str, goal: float, more: str = "") -> None:
    """One line."""
    kept = "met" if figure <= goal else "missed"
    print(f"{what} {figure:.0f} {unit} (goal {goal:g}: {kept}){more}", flush=True)


async def measure(options: argparse.Namespace) -> None:
    """Everything, printed as it is known."""
    with TemporaryDirectory() as folder:
        async with Double() as double, launched() as browser:
            environ = variables(double.url, ["groq"])
            async with serving(Path(folder), environ=environ) as served:
                told("first load:", await first_load(browser, served.url), "KB", SIZE_GOAL)
                await paints(browser, served.url, options.runs)
                await frames(browser, served.url, double, options)


async def paints(browser: Browser, url: str, runs: int) -> None:
    """Of each page, as if it were the first that somebody opens."""
    for name in PAGES:
        took = [await first_paint(browser, f"{url}/#/{name}") for _ in range(runs)]
        what = f"first paint, {name}: median {median(took):.0f} ms, worst of {runs}"
        told(what, max(took), "ms", PAINT_GOAL)


async def frames(browser: Browser, url: str, double: Double, options: argparse.Namespace) -> None:
    """While the answer comes."""
    page = await (await browser.new_context()).new_page()
    await page.goto(url)
    seen = await streamed(page, double, options.tokens, options.rate)
    told(
        f"{options.tokens:,} tokens at {options.rate:g}/s: longest frame",
        seen.longest,
        "ms",
        FRAME_GOAL,
        f", p50 {seen.quantile(0.5):.1f}, p99 {seen.quantile(0.99):.1f};"
        f" {seen.longer_than(50)} of {len(seen.took):,} over 50 ms",
    )


def main() -> None:
    """Read the flags and run."""
    parser = argparse.ArgumentParser(prog="bench.web", description="The web app in a browser.")
    parser.add_argument("--tokens", type=int, default=10_000, help="of the answer (default: 10000)")
    parser.add_argument("--rate", type=float, default=200, help="tokens a second (default: 200)")
    parser.add_argument("--runs", type=int, default=10, help="paints of each page (default: 10)")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
