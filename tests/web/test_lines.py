"""Lines to the service where the browser, or who looks at the page, is not where one thinks."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, Request, Route, expect

from tests.double.script import reply
from tests.double.steps import Gate, Stall, Wait
from tests.e2e.stack import Stack
from tests.web.hidden import hide
from tests.web.visits import Visit, answer, ask, choose

pytestmark = pytest.mark.asyncio(loop_scope="session")

transports = pytest.mark.parametrize("transport", ["sse", "websocket"])

CLIENT = Path(__file__).parents[2] / "docs" / "examples" / "tailrace-socket.js"

NO_NETWORK = "Object.defineProperty(Navigator.prototype, 'onLine', { get: () => false });"
"""What a browser says on a machine without a network; a service on it is there all the same."""


# --- A service on a machine without a network -----------------------------------------------


@transports
async def test_a_service_on_a_machine_without_a_network_is_asked(
    transport: str, running: Stack, visit: Visit
) -> None:
    await visit.page.add_init_script(NO_NETWORK)
    await visit.show("playground")
    running.double.script(reply("Here."))
    await choose(visit.page, Transport=transport)
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Here.")


async def test_the_example_client_asks_a_service_on_a_machine_without_a_network(
    running: Stack, visit: Visit
) -> None:
    await visit.page.add_init_script(NO_NETWORK)
    await with_client(visit)
    running.double.script(reply("Here."))
    await start(visit.page)
    assert await text(visit.page) == "Here."


async def test_the_example_client_asks_as_soon_as_the_network_is_back(
    running: Stack, visit: Visit
) -> None:
    visit.expect("net::ERR_INTERNET_DISCONNECTED")
    await with_client(visit)
    running.double.script(reply("Here."))
    await visit.page.context.set_offline(offline=True)
    async with visit.page.expect_event("requestfailed"):
        await start(visit.page)
    await visit.page.context.set_offline(offline=False)
    assert await text(visit.page) == "Here."


async def with_client(visit: Visit) -> None:
    """Load the page anew, with the client in it; its token comes from the service as well."""
    await visit.page.route("**/tailrace-socket.js", lambda route: route.fulfill(path=CLIENT))
    await visit.show("playground")
    await visit.page.evaluate(
        """async () => {
            const { TailraceSocket } = await import('/tailrace-socket.js');
            const token = async () => (await fetch('/healthz')).text();
            const auth = async () => ({ scheme: 'ticket', token: await token() });
            const address = location.origin.replace('http', 'ws');
            window.tailrace = new TailraceSocket(`${address}/v1/ws`, { auth });
        }"""
    )


async def start(page: Page) -> None:
    """Ask something of the client."""
    await page.evaluate(
        """() => {
            const messages = [{ role: 'user', content: 'Say hello.' }];
            window.asked = tailrace.start({ messages });
        }"""
    )


async def text(page: Page) -> str:
    """What it was answered, in the end."""
    said: str = await page.evaluate(
        """async () => {
            let said = '';
            for await (const event of asked) if (event.type === 'text.delta') said += event.delta;
            return said;
        }"""
    )
    return said


# --- A question that is stopped on its way --------------------------------------------------


async def test_a_question_that_is_stopped_while_a_leaving_service_refuses_it_is_not_put_again(
    running: Stack, visit: Visit
) -> None:
    visit.expect("status of 503")
    stopped = asyncio.Event()
    error = {"code": "draining", "message": "the service is leaving", "retryable": True}

    async def refuse(route: Route) -> None:
        await stopped.wait()
        await route.fulfill(status=503, json={"error": error})

    await visit.page.route("**/v1/streams", refuse, times=1)
    await ask(visit.page)
    await visit.page.get_by_role("button", name="Stop").click()
    await expect(visit.page.get_by_role("status")).to_have_text("Stopping…")
    stopped.set()
    await expect(answer(visit.page)).to_contain_text("Stopped before it was asked.")
    assert not running.double.requests


# --- A tab that is hidden while a frame is on its way ---------------------------------------

NO_FRAMES = "window.requestAnimationFrame = () => ++window.ordered; window.ordered = 0;"
"""What becomes of a frame that was ordered when the tab is hidden."""


async def test_a_tab_that_was_hidden_before_a_frame_was_drawn_takes_in_what_comes_then(
    running: Stack, visit: Visit
) -> None:
    more, rest, end = Gate(), Gate(), Gate()
    running.double.script(reply("Begun, ", Wait(more), "gone on, ", Wait(rest), "done.", Wait(end)))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Begun, ")
    await visit.page.evaluate(NO_FRAMES)
    more.open()
    await visit.page.wait_for_function("ordered > 0", polling=50)
    await hide(visit.page)
    rest.open()
    await expect(answer(visit.page)).to_have_text("Begun, gone on, done.")
    end.open()


async def test_what_came_before_the_page_was_left_is_kept_although_no_frame_has_shown_it(
    running: Stack, visit: Visit
) -> None:
    more, end = Gate(), Gate()
    running.double.script(reply("Begun, ", Wait(more), "gone on, ", Wait(end)))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Begun, ")
    await visit.page.evaluate(NO_FRAMES)
    more.open()
    await visit.page.wait_for_function("ordered > 0", polling=50)
    await visit.page.evaluate("dispatchEvent(new Event('pagehide'))")
    assert "gone on, " in await kept(visit.page)
    end.open()


# --- A conversation that was cleared while the service could not be told --------------------

TAKEN_UP = re.compile(r"/v1/streams/\w+\?after=")
"""Where an answer goes on."""

LONGEST_PAUSE = 5_500  # milliseconds
"""Before a line is taken up again, and a little more."""


async def test_an_old_conversation_writes_over_nothing_of_the_new_one(
    running: Stack, visit: Visit
) -> None:
    rest = Gate()
    running.double.script(reply("Begun, ", Wait(rest), "done."), reply("Anew."))
    over = await cleared_unheard(visit)
    await visit.page.get_by_role("link", name="Providers").click()
    await visit.page.get_by_role("link", name="Playground").click()
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Anew.")
    await expect(answer(visit.page)).to_have_attribute("data-state", "over")
    rest.open()
    await over.wait()
    assert "Anew." in await kept(visit.page)


async def test_what_was_cleared_is_followed_no_longer_than_until_the_service_has_heard_that(
    running: Stack, visit: Visit
) -> None:
    visit.expect(r"net::ERR_(FAILED|INTERNET_DISCONNECTED)|WebSocket connection to .* failed")
    page = visit.page
    asked: list[str] = []
    running.double.script(reply("Begun, ", Stall()))
    await page.clock.install()
    await page.route(TAKEN_UP, lambda route: route.abort())
    await page.route_web_socket("**/v1/ws", lambda socket: socket.close(code=1011))
    await ask(page)
    await expect(answer(page)).to_have_text("Begun, ")
    await page.context.set_offline(offline=True)
    await expect(answer(page)).to_contain_text("The connection is gone")
    await page.get_by_role("button", name="New conversation").click()
    async with page.expect_event("requestfinished", lambda sent: sent.url.endswith("/cancel")):
        await page.context.set_offline(offline=False)
    await page.clock.run_for(LONGEST_PAUSE)  # one may have been on its way
    page.on("request", lambda sent: asked.append(sent.url))
    for _ in range(3):
        await page.clock.run_for(LONGEST_PAUSE)
    assert not any(TAKEN_UP.search(url) for url in asked)


async def cleared_unheard(visit: Visit) -> asyncio.Event:
    """Ask, and begin anew while ending that cannot be told; set when the answer's line ends."""
    visit.expect(r"net::ERR_FAILED|WebSocket connection to .* failed")
    over = asyncio.Event()

    def note(request: Request) -> None:
        if request == first:
            over.set()

    await visit.page.context.route("**/cancel", lambda route: route.abort())
    await visit.page.route_web_socket("**/v1/ws", lambda socket: socket.close(code=1011))
    async with visit.page.expect_request("**/v1/streams") as asked:
        await ask(visit.page)
    first = await asked.value
    await expect(answer(visit.page)).to_have_text("Begun, ")
    await visit.page.get_by_role("button", name="New conversation").click()
    visit.page.on("requestfinished", note)
    visit.page.on("requestfailed", note)
    return over


async def kept(page: Page) -> str:
    """What this tab keeps of its conversation."""
    conversation: str = await page.evaluate("sessionStorage.getItem('tailrace.playground')")
    return conversation


async def test_a_stop_is_told_although_the_page_was_left_before_the_answer_had_a_name(
    running: Stack, visit: Visit
) -> None:
    visit.expect("status of 502")
    page, left, asked = visit.page, asyncio.Event(), asyncio.Event()
    running.double.script(reply("Begun, ", Stall()))

    async def lose(route: Route) -> None:
        """The question arrives, and nobody hears of it before the page is left."""
        if left.is_set():
            return await route.continue_()
        if not asked.is_set():
            asked.set()
            sent = {"data": route.request.post_data, "headers": route.request.headers}
            (await running.client.post(f"{running.url}/v1/streams", **sent)).close()
        return await route.fulfill(status=502)

    await page.route("**/v1/streams", lose)
    await ask(page)
    await expect(answer(page)).to_contain_text("The connection is gone")
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_role("link", name="Costs").click()
    await expect(page.get_by_role("heading", name="Costs")).to_be_visible()
    left.set()
    await (await running.double.seen(1)).left()


async def test_a_new_conversation_ends_no_answer_that_another_tab_shows(
    running: Stack, visit: Visit
) -> None:
    gate = Gate()
    running.double.script(reply("It begins", Wait(gate), " and ends."), reply("Another."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("It begins")
    other = Visit(await visit.page.context.new_page(), visit.url)
    await other.show("playground")
    await expect(answer(other.page)).to_have_text("It begins")
    await other.page.get_by_role("button", name="New conversation").click()
    await ask(other.page)  # after whatever the button had sent
    await expect(answer(other.page)).to_have_text("Another.")
    gate.open()
    await visit.page.bring_to_front()
    await expect(answer(visit.page)).to_have_text("It begins and ends.")
