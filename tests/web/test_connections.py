"""A browser keeps six connections to a host over HTTP/1.1, for all of its tabs together."""

import pytest
from playwright.async_api import expect

from tests.double.script import reply
from tests.double.steps import Gate, Stall, Wait
from tests.e2e.stack import Stack
from tests.web.hidden import hide
from tests.web.test_compare import choose, start
from tests.web.visits import Visit, answer, ask

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONNECTIONS = 6

TABS, MODELS = 2, 4

FORGOTTEN = 7
"""Tabs that nobody looks at any more, one more than a browser has connections."""


async def test_comparisons_in_two_tabs_keep_nothing_else_waiting(
    running: Stack, visit: Visit
) -> None:
    gate = Gate()
    running.double.default = reply("It begins", Wait(gate), " and ends.")
    tabs = [visit, *[Visit(await visit.page.context.new_page(), visit.url) for _ in range(TABS)]]
    for tab in tabs[:TABS]:
        await tab.page.bring_to_front()  # one behind others draws once a second
        await choose(tab, MODELS)
        await start(tab.page)
    for tab in tabs[:TABS]:
        await expect(tab.page.get_by_text("It begins")).to_have_count(MODELS)
    await tabs[-1].show("providers")
    await expect(tabs[-1].page.locator("article").first).to_be_visible()
    gate.open()
    for tab in tabs[:TABS]:
        await expect(tab.page.get_by_text("It begins and ends.")).to_have_count(MODELS)


async def test_costs_in_tabs_that_nobody_looks_at_keep_nothing_else_waiting(visit: Visit) -> None:
    for _ in range(FORGOTTEN):
        tab = Visit(await visit.page.context.new_page(), visit.url)
        await tab.show("costs")
        await expect(tab.page.get_by_text("live", exact=True)).to_be_visible()
        await hide(tab.page)
    await visit.show("providers")
    await expect(visit.page.locator("article").first).to_be_visible()


async def test_a_stop_is_heard_where_every_connection_says_an_answer(
    running: Stack, visit: Visit
) -> None:
    running.double.script(reply("It begins", Stall()))
    await ask(visit.page)
    await expect(answer(visit.page)).to_contain_text("It begins")
    for _ in range(CONNECTIONS - 1):
        tab = Visit(await visit.page.context.new_page(), visit.url)
        await tab.page.goto(f"{visit.url}/#/playground", wait_until="commit")
        await expect(answer(tab.page)).to_contain_text("It begins")
    await visit.page.get_by_role("button", name="Stop").click()
    await (await running.double.seen(1)).left()
    await expect(answer(visit.page)).to_contain_text("stopped")
