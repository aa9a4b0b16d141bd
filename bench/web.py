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

FRAMES = """() => {
    window.frames_ = [];
    let last = performance.now();
    const frame = (now) => {
        window.frames_.push(now - last);
        last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""


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
    await page.evaluate(FRAMES)
    await page.keyboard.press("Enter")
    answer = page.locator(".answer")
    await expect(answer).to_contain_text("The end.", timeout=3000 * count / rate + 60_000)
    return Frames(await page.evaluate("window.frames_"))


def verdict(figure: float, goal: float) -> str:
    """In a word."""
    return "met" if figure <= goal else "missed"


async def measure(options: argparse.Namespace) -> None:
    """Everything, printed as it is known."""
    with TemporaryDirectory() as folder:
        async with Double() as double, launched() as browser:
            environ = variables(double.url, ["groq"])
            async with serving(Path(folder), environ=environ) as served:
                size = await first_load(browser, served.url)
                print(f"first load: {size:.0f} KB (goal {SIZE_GOAL:g}: {verdict(size, SIZE_GOAL)})")
                for name in PAGES:
                    address = f"{served.url}/#/{name}"
                    took = [await first_paint(browser, address) for _ in range(options.runs)]
                    print(
                        f"first paint, {name}: median {median(took):.0f} ms,"
                        f" worst {max(took):.0f} ms of {len(took)} (goal {PAINT_GOAL:g}: {verdict(max(took), PAINT_GOAL)})"
                    )
                page = await (await browser.new_context()).new_page()
                await page.goto(served.url)
                frames = await streamed(page, double, options.tokens, options.rate)
                print(
                    f"{options.tokens:,} tokens at {options.rate:g}/s: longest frame"
                    f" {frames.longest:.0f} ms (goal {FRAME_GOAL:g}:"
                    f" {verdict(frames.longest, FRAME_GOAL)}), p50 {frames.quantile(0.5):.1f},"
                    f" p99 {frames.quantile(0.99):.1f}; of {len(frames.took):,} frames"
                    f" {frames.longer_than(50)} over 50 ms, {frames.longer_than(100)} over 100"
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
