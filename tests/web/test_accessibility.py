"""What axe-core finds on every page: nothing serious, light and dark, empty and with content."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.clients.programs import missing
from tests.double.answer import reasoning, tool_call
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.e2e.stack import Stack
from tests.web.visits import Visit, answer, ask, visiting

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = Path(__file__).parents[2] / "service" / "web" / "node_modules" / "axe-core" / "axe.min.js"

PAGES = ("playground", "compare", "providers", "costs")

MARKDOWN = f"""# Water

It *falls*, see [here](https://example.org).

- one

| {"a | " * 30}
|{"---|" * 30}
| {"1 | " * 30}

```
{"code " * 80}
```
"""


async def audited(page: Page) -> None:
    """Nothing serious and nothing critical."""
    found: list[dict[str, Any]] = await page.evaluate(
        """async () => (await axe.run()).violations
            .filter(({ impact }) => impact === 'serious' || impact === 'critical')
            .map(({ id, nodes }) => ({ id, at: nodes.map(({ html, failureSummary }) =>
                html.slice(0, 200) + ' ' + failureSummary) }))"""
    )
    assert not found, found


@pytest.fixture
def axe() -> Path:
    if not AXE.is_file():
        missing("axe-core is not installed: make setup")
    return AXE


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_has_a_serious_fault(
    scheme: str, axe: Path, running: Stack, browser: Browser
) -> None:
    async with visiting(browser, running.url, color_scheme=scheme) as visit:
        # Before anything of the page, which is where its policy does not reach.
        await visit.page.context.add_init_script(path=axe)
        for name in PAGES:
            await visit.show(name)
            await settled(visit.page, name)
            await audited(visit.page)

        await conversation(running, visit)
        await audited(visit.page)
        await comparison(running, visit)
        await audited(visit.page)
        await visit.show("providers")
        await settled(visit.page, "providers")
        await visit.page.evaluate(
            "document.querySelectorAll('details').forEach((d) => d.open = true)"
        )
        await audited(visit.page)
        await visit.show("costs")
        await expect(visit.page.locator("tr[data-group]").first).to_be_visible()
        await audited(visit.page)


async def settled(page: Page, name: str) -> None:
    """Wait until what is asked for at first is there."""
    if name == "providers":
        await expect(page.locator("article").first).to_be_visible()
    await expect(page.get_by_text("Loading…")).to_have_count(0)


async def conversation(running: Stack, visit: Visit) -> None:
    """Two answers, one that failed first, with all kinds of blocks and everything open."""
    await visit.show("playground")
    failing = http_error(Kind.SERVER)
    whole = reply(reasoning("Hm."), MARKDOWN, tool_call("weather", '{"city": "Oslo"}'))
    running.double.script(failing, whole, *[failing] * 6)
    for number in (1, 2):
        await ask(visit.page)
        await expect(visit.page.locator(".answer[data-state=over]")).to_have_count(number)
    await expect(answer(visit.page)).to_contain_text("broken off")
    await visit.page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")


async def comparison(running: Stack, visit: Visit) -> None:
    await visit.show("compare")
    running.double.script(*[reply(MARKDOWN)] * 2)
    for number in (1, 2):
        box = visit.page.get_by_label(f"Model {number}", exact=True)
        await expect(box.locator("option[value='groq/auto']")).to_be_attached()
        await box.select_option("groq/auto")
    await visit.page.get_by_label("The question to all of them").fill("How high?")
    await visit.page.get_by_role("button", name="Start").click()
    await expect(visit.page.locator("section[data-state=over]")).to_have_count(2)
