"""An answer goes on where it was after a reload or a lost network, and is asked for once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from yarl import URL

from service.settings import KIB, Server, Settings, Websocket
from tests.double.answer import reasoning
from tests.double.script import Script, reply
from tests.double.steps import Gate, Stall, Wait
from tests.e2e.stack import Stack, stack
from tests.service.usage.proxy import Proxy
from tests.web.visits import Visit, answer, ask, choose, visiting

pytestmark = pytest.mark.asyncio(loop_scope="session")

transports = pytest.mark.parametrize("transport", ["sse", "websocket"])

BEGINNING, MIDDLE, WHOLE = "Begun, ", "Begun, gone on, ", "Begun, gone on, done."


@dataclass(slots=True)
class Held:
    """An answer in three parts, the later ones each behind a gate."""

    more: Gate
    rest: Gate

    @classmethod
    def closed(cls) -> "Held":
        return cls(Gate(), Gate())

    @property
    def script(self) -> Script:
        return reply(BEGINNING, Wait(self.more), "gone on, ", Wait(self.rest), "done.")


@pytest_asyncio.fixture(loop_scope="session")
async def line(running: Stack) -> AsyncIterator[Proxy]:
    """What lies between the browser and the service."""
    at = URL(running.url)
    assert at.host is not None
    assert at.port is not None
    async with Proxy((at.host, at.port)) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="session")
async def far(browser: Browser, line: Proxy) -> AsyncIterator[Visit]:
    """The playground over that line, which complains when it breaks."""
    host, port = line.address.hosts[0][:2]
    async with visiting(browser, f"http://{host}:{port}", "playground") as visit:
        visit.expect(r"net::ERR_|WebSocket connection to .* failed")
        yield visit


STRICT = Settings(
    server=Server(max_body_bytes=64 * KIB), websocket=Websocket(max_frame_bytes=64 * KIB)
)

TOO_LONG = "x" * 64 * KIB
"""For that service. A megabyte is so, too, for any other, and takes a browser seconds to draw."""


@pytest_asyncio.fixture(loop_scope="session")
async def strict(browser: Browser) -> AsyncIterator[tuple[Stack, Visit]]:
    """A service that takes no long questions, and its playground."""
    async with (
        stack("groq", settings=STRICT) as running,
        visiting(browser, running.url, "playground") as visit,
    ):
        yield running, visit


async def fill(page: Page, room: int) -> None:
    """Leave no room for so many letters, or for one, in what the browser keeps for the page."""
    await page.evaluate(
        """(room) => {
            for (const storage of [localStorage, sessionStorage])
                for (let size = 1 << 22; size > 0 && size >= room; size >>= 1)
                    try { storage.setItem(`full ${size}`, 'x'.repeat(size)); } catch { continue; }
        }""",
        room,
    )


# --- A page that is loaded again ------------------------------------------------------------


@transports
async def test_a_page_loaded_again_shows_the_answer_to_its_end_and_nothing_twice(
    transport: str, running: Stack, visit: Visit
) -> None:
    held = Held.closed()
    running.double.script(held.script)
    await choose(visit.page, Transport=transport)
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text(BEGINNING)
    await visit.page.reload()
    await expect(answer(visit.page)).to_have_text(BEGINNING)
    held.more.open()
    await expect(answer(visit.page)).to_have_text(MIDDLE)
    await visit.page.reload()
    await expect(answer(visit.page)).to_have_text(MIDDLE)
    held.rest.open()
    await expect(answer(visit.page)).to_have_text(WHOLE)
    await visit.page.reload()
    await expect(answer(visit.page)).to_have_text(WHOLE)
    assert len(running.double.requests) == 1


async def test_an_answer_that_went_on_while_nobody_looked_is_there_afterwards(
    running: Stack, visit: Visit
) -> None:
    held = Held.closed()
    running.double.script(held.script)
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text(BEGINNING)
    await visit.page.get_by_role("link", name="Providers").click()
    held.more.open()
    held.rest.open()
    await (await running.double.seen(1)).over()
    await visit.page.get_by_role("link", name="Playground").click()
    await expect(answer(visit.page)).to_have_text(WHOLE)
    assert len(running.double.requests) == 1


async def test_of_answers_that_were_over_only_the_last_is_asked_for_again(
    running: Stack, visit: Visit
) -> None:
    running.double.script(reply(reasoning("Hm."), "**One**."), reply("Two."), reply("Three."))
    await visit.page.wait_for_function("() => document.querySelectorAll('option').length > 40")
    await choose(visit.page, Model="claude/auto")
    for number, said in enumerate(("One.", "Two.", "Three."), 1):
        await ask(visit.page)
        await expect(answer(visit.page)).to_contain_text(said)
        await expect(visit.page.locator("[data-state=over]")).to_have_count(number)
    asked: list[str] = []
    visit.page.on("request", lambda sent: asked.append(sent.url))
    await visit.page.reload()
    route = visit.page.get_by_role("complementary", name="Route")
    await expect(route.get_by_role("list", name="Attempts")).to_contain_text("answered")
    assert [url for url in asked if "/v1/streams" in url] == [
        f"{running.url}/v1/streams/{running.streams[-1].id}"
    ]
    first = visit.page.get_by_role("article", name="Answer").first
    await expect(first.locator("strong")).to_have_text("One")
    await first.get_by_text("Reasoning").click()
    await expect(first.get_by_text("Hm.")).to_be_visible()


async def test_a_question_that_was_refused_is_not_asked_again_by_a_page_loaded_again(
    strict: tuple[Stack, Visit],
) -> None:
    running, visit = strict
    await choose(visit.page, Transport="websocket")
    await ask(visit.page, TOO_LONG)
    await expect(answer(visit.page)).to_contain_text("too long for the WebSocket")
    sockets: list[str] = []
    visit.page.on("websocket", lambda opened: sockets.append(opened.url))
    await visit.page.reload()
    await expect(answer(visit.page)).to_contain_text("too long for the WebSocket")
    running.double.script(reply("Here."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Here.")
    assert len(sockets) == 1


async def test_an_answer_is_stopped_although_its_page_was_loaded_again_before_anybody_heard(
    running: Stack, far: Visit
) -> None:
    running.double.script(reply(BEGINNING, Stall()))
    await ask(far.page)
    await expect(answer(far.page)).to_have_text(BEGINNING)
    await far.page.context.route("**/cancel", lambda route: route.abort())
    await far.page.route_web_socket("**/v1/ws", lambda socket: socket.close(code=1011))
    await far.page.get_by_role("button", name="Stop").click()
    await expect(answer(far.page)).to_contain_text("could not be told")
    await far.page.context.unroute("**/cancel")
    await far.page.reload()
    await (await running.double.seen(1)).left()
    await expect(answer(far.page)).to_contain_text("stopped")


async def test_a_browser_that_can_keep_nothing_more_asks_all_the_same(
    running: Stack, visit: Visit
) -> None:
    await fill(visit.page, room=0)
    running.double.script(reply("Here."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Here.")


# --- Two tabs -------------------------------------------------------------------------------


async def test_two_tabs_keep_a_conversation_each_and_a_new_one_goes_on_from_the_newest(
    running: Stack, visit: Visit
) -> None:
    running.double.script(reply("One."), reply("Two."), reply("Three."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("One.")
    other = await visit.page.context.new_page()
    await other.goto(f"{visit.url}/#/playground")
    await expect(answer(other)).to_have_text("One.")
    await ask(other)
    await expect(answer(other)).to_have_text("Two.")
    await visit.page.bring_to_front()  # a tab behind another one draws once a second
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Three.")
    for page, said in ((visit.page, ["One.", "Three."]), (other, ["One.", "Two."])):
        await page.bring_to_front()
        await page.reload()
        await expect(page.get_by_role("article", name="Answer")).to_have_text(said)
    newest = await visit.page.context.new_page()
    await newest.goto(f"{visit.url}/#/playground")
    await expect(newest.get_by_role("article", name="Answer")).to_have_text(["One.", "Three."])


# --- A network that goes and comes back -----------------------------------------------------


@transports
async def test_a_broken_line_is_taken_up_where_it_was(
    transport: str, running: Stack, line: Proxy, far: Visit
) -> None:
    held = Held.closed()
    running.double.script(held.script)
    await choose(far.page, Transport=transport)
    await ask(far.page)
    await expect(answer(far.page)).to_have_text(BEGINNING)
    line.hold()
    line.cut()
    await expect(answer(far.page)).to_contain_text("The connection is gone")
    held.more.open()
    line.release()
    await expect(answer(far.page)).to_have_text(MIDDLE)
    line.cut()
    held.rest.open()
    await expect(answer(far.page)).to_have_text(WHOLE)
    assert len(running.double.requests) == 1


@transports
async def test_a_browser_that_is_offline_says_so_and_goes_on_when_it_is_back(
    transport: str, running: Stack, visit: Visit
) -> None:
    visit.expect("net::ERR_INTERNET_DISCONNECTED")
    held = Held.closed()
    running.double.script(held.script)
    await choose(visit.page, Transport=transport)
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text(BEGINNING)
    await visit.page.context.set_offline(offline=True)
    await expect(answer(visit.page)).to_contain_text("The connection is gone")
    held.more.open()
    held.rest.open()
    await (await running.double.seen(1)).over()
    await visit.page.context.set_offline(offline=False)
    await expect(answer(visit.page)).to_have_text(WHOLE)
    assert len(running.double.requests) == 1


@transports
async def test_a_line_that_died_without_a_word_is_given_up_after_half_a_minute(
    transport: str, running: Stack, line: Proxy, far: Visit
) -> None:
    held = Held.closed()
    running.double.script(held.script)
    await far.page.clock.install()
    await choose(far.page, Transport=transport)
    await ask(far.page)
    await expect(answer(far.page)).to_have_text(BEGINNING)
    line.hold()
    held.more.open()
    held.rest.open()
    await (await running.double.seen(1)).over()
    await far.page.clock.run_for(31_000)
    await expect(answer(far.page)).to_contain_text("The connection is gone")
    line.release()
    await far.page.clock.run_for(1_000)
    await expect(answer(far.page)).to_have_text(WHOLE)
    assert len(running.double.requests) == 1


@transports
async def test_a_proxy_that_answers_in_the_service_s_place_is_waited_out(
    transport: str, running: Stack, line: Proxy, far: Visit
) -> None:
    far.expect("502")
    held = Held.closed()
    running.double.script(held.script)
    await far.page.clock.install()
    await choose(far.page, Transport=transport)
    await ask(far.page)
    await expect(answer(far.page)).to_have_text(BEGINNING)
    service = line.upstream
    async with bad_gateway() as (gateway, refused):
        line.upstream = gateway
        line.cut()
        await refused.reached()
        await far.page.clock.run_for(1_000)
        await refused.reached(2)
        await expect(answer(far.page)).to_contain_text("The connection is gone")
        held.more.open()
        line.upstream = service
        await far.page.clock.run_for(2_000)  # the pause, which has grown
        await expect(answer(far.page)).to_have_text(MIDDLE)
    held.rest.open()
    await expect(answer(far.page)).to_have_text(WHOLE)
    assert len(running.double.requests) == 1


@asynccontextmanager
async def bad_gateway() -> AsyncIterator[tuple[tuple[str, int], Gate]]:
    """A proxy that says in HTML that nobody is behind it; where it is, and who came."""
    body = b"<html><h1>Bad Gateway</h1></html>"
    head = b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\nconnection: close\r\n"
    came = Gate()
    came.open()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await came.passed()
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname(), came


# --- A service that is not the one it was ---------------------------------------------------


@transports
async def test_what_a_restarted_service_does_not_know_keeps_what_was_said_and_says_why(
    transport: str, running: Stack, line: Proxy, far: Visit
) -> None:
    far.expect("status of 404")
    held = Held.closed()
    running.double.script(held.script)
    await choose(far.page, Transport=transport)
    await ask(far.page)
    await expect(answer(far.page)).to_have_text(BEGINNING)
    async with stack("groq") as restarted:
        at = URL(restarted.url)
        line.upstream = (str(at.host), int(at.port or 0))
        line.cut()
        held.more.open()
        held.rest.open()
        await running.double.quiet()
        for loaded_again in (False, True):
            if loaded_again:
                await far.page.reload()
            await expect(answer(far.page)).to_contain_text(
                "The service no longer knows this answer"
            )
            await expect(answer(far.page)).to_contain_text(BEGINNING)
            await expect(answer(far.page)).to_contain_text("cut off")
        await expect(far.page.get_by_role("button", name="Stop")).to_be_disabled()
        await far.page.goto("about:blank")
        line.cut()  # the browser keeps a connection for later, and the service is stopped


# --- A question whose reply is lost ---------------------------------------------------------


async def test_a_question_whose_reply_is_lost_is_never_answered_twice(
    running: Stack, line: Proxy, far: Visit
) -> None:
    running.double.script(reply("Asked once."))
    line.mark = b"POST /v1/streams"
    line.drop_replies = 1
    await ask(far.page)
    await expect(answer(far.page)).to_have_text("Asked once.")
    assert line.dropped == 1
    assert len(running.double.requests) == 1


@transports
async def test_a_line_that_breaks_before_the_first_token_asks_nobody_again(
    transport: str, running: Stack, line: Proxy, far: Visit
) -> None:
    gate = Gate()
    running.double.script(reply(Wait(gate), "Asked once."))
    await choose(far.page, Transport=transport)
    await ask(far.page)
    await gate.reached()
    line.cut()
    gate.open()
    await expect(answer(far.page)).to_have_text("Asked once.")
    assert len(running.double.requests) == 1


# --- A stop that does not arrive ------------------------------------------------------------


@transports
async def test_a_stop_while_offline_says_that_nobody_heard_it_and_is_told_when_the_line_is_back(
    transport: str, running: Stack, visit: Visit
) -> None:
    visit.expect("net::ERR_INTERNET_DISCONNECTED")
    running.double.script(reply(BEGINNING, Stall()))
    await choose(visit.page, Transport=transport)
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text(BEGINNING)
    await visit.page.context.set_offline(offline=True)
    await expect(answer(visit.page)).to_contain_text("The connection is gone")
    await visit.page.get_by_role("button", name="Stop").click()
    await expect(visit.page.get_by_role("button", name="Stopping…")).to_be_enabled()
    await expect(answer(visit.page)).to_contain_text("The service could not be told to stop yet.")
    await visit.page.context.set_offline(offline=False)
    await (await running.double.seen(1)).left()
    await expect(answer(visit.page)).to_contain_text("stopped")
    await expect(visit.page.get_by_role("button", name="Stop", exact=True)).to_be_disabled()


async def test_a_stop_before_the_answer_has_a_name_ends_it_as_soon_as_it_has_one(
    running: Stack, line: Proxy, far: Visit
) -> None:
    running.double.script(reply(Stall()))
    line.mark, line.drop_replies = b"POST /v1/streams", 1_000
    await ask(far.page)
    seen = await running.double.seen(1)
    await far.page.get_by_role("button", name="Stop").click()
    await expect(far.page.get_by_role("status")).to_have_text("Stopping…")
    line.drop_replies = 0
    await seen.left()
    await expect(answer(far.page)).to_contain_text("stopped")
    assert len(running.double.requests) == 1


@transports
async def test_a_question_that_is_stopped_while_offline_is_never_asked(
    transport: str, running: Stack, visit: Visit
) -> None:
    visit.expect("net::ERR_INTERNET_DISCONNECTED")
    running.double.script(reply("Asked."))
    await choose(visit.page, Transport=transport)
    await visit.page.context.set_offline(offline=True)
    await ask(visit.page, "Never?")
    await expect(answer(visit.page)).to_contain_text("The connection is gone")
    await visit.page.get_by_role("button", name="Stop").click()
    await expect(answer(visit.page)).to_contain_text("Stopped before it was asked.")
    await visit.page.context.set_offline(offline=False)
    await ask(visit.page, "And now?")
    await expect(answer(visit.page)).to_have_text("Asked.")
    (seen,) = running.double.requests
    assert "Never?" not in str(seen.body)


# --- What this browser keeps ----------------------------------------------------------------


@pytest.mark.parametrize("gone", ["citations", "blocks", "warnings", "flags"])
async def test_a_kept_turn_that_cannot_be_read_is_left_out_and_the_page_works(
    gone: str, running: Stack, visit: Visit
) -> None:
    running.double.script(reply("One."), reply("Two."), reply("Three."))
    for words in ("One.", "Two."):
        await ask(visit.page)
        await expect(answer(visit.page)).to_have_text(words)
        await expect(answer(visit.page)).to_have_attribute("data-state", "over")
    await visit.page.evaluate(
        """(gone) => {
            const kept = JSON.parse(localStorage.getItem('tailrace.playground'));
            delete kept.turns[0].said[gone];
            for (const storage of [localStorage, sessionStorage])
                storage.setItem('tailrace.playground', JSON.stringify(kept));
        }""",
        gone,
    )
    await visit.page.reload()
    await expect(visit.page.get_by_role("article", name="Answer")).to_have_text(["Two."])
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Three.")


async def test_a_turn_that_is_kept_twice_is_shown_once(running: Stack, visit: Visit) -> None:
    running.double.script(reply("One."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_attribute("data-state", "over")
    await visit.page.evaluate(
        """() => {
            const kept = JSON.parse(sessionStorage.getItem('tailrace.playground'));
            kept.turns.push(kept.turns[0]);
            sessionStorage.setItem('tailrace.playground', JSON.stringify(kept));
        }"""
    )
    await visit.page.reload()
    await expect(visit.page.get_by_role("article", name="Answer")).to_have_text(["One."])


async def test_a_question_too_long_to_be_kept_takes_nothing_else_along(
    strict: tuple[Stack, Visit],
) -> None:
    running, visit = strict
    visit.expect("status of 413")
    running.double.script(reply("One."), reply("Two."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("One.")
    await fill(visit.page, room=len(TOO_LONG))
    await ask(visit.page, TOO_LONG)
    await expect(answer(visit.page)).to_contain_text("That did not work")
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Two.")
    await expect(answer(visit.page)).to_have_attribute("data-state", "over")
    await visit.page.reload()
    await expect(visit.page.get_by_role("article", name="Answer")).to_have_text(["One.", "Two."])


async def test_what_was_typed_and_not_asked_is_there_when_one_comes_back(visit: Visit) -> None:
    question = visit.page.get_by_label("Your question")
    await question.fill("How hi")
    await visit.page.get_by_role("link", name="Costs").click()
    await visit.page.get_by_role("link", name="Playground").click()
    await expect(question).to_have_value("How hi")
    await visit.page.reload()
    await expect(question).to_have_value("How hi")
