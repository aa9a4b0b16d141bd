"""A conversation with live tokens: what is shown while an answer is being written, and after it."""

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.double.script import reply
from tests.double.steps import Gate, Stall, Wait
from tests.e2e.stack import Stack
from tests.web.visits import Visit, answer, ask, choose

pytestmark = pytest.mark.asyncio(loop_scope="session")

transports = pytest.mark.parametrize("transport", ["sse", "websocket"])


@transports
async def test_each_token_is_shown_before_the_next_one_is_sent(
    transport: str, running: Stack, visit: Visit
) -> None:
    first, second = Gate(), Gate()
    running.double.script(reply("A tail", Wait(first), "race carries", Wait(second), " water."))
    await choose(visit.page, Transport=transport)
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("A tail")
    first.open()
    await expect(answer(visit.page)).to_have_text("A tailrace carries")
    second.open()
    await expect(answer(visit.page)).to_have_text("A tailrace carries water.")
    await expect(answer(visit.page)).to_have_attribute("data-state", "over")


async def test_a_page_that_came_over_plain_http_from_elsewhere_asks_as_well(
    running: Stack, visit: Visit
) -> None:
    # What a browser leaves out there, and not on loopback.
    await visit.page.add_init_script("delete Crypto.prototype.randomUUID")
    await visit.show("playground")
    running.double.script(reply("Here."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Here.")


@transports
async def test_stop_closes_the_provider_s_connection_and_keeps_what_was_said(
    transport: str, running: Stack, visit: Visit
) -> None:
    running.double.script(reply("As far as this", Stall()))
    await choose(visit.page, Transport=transport)
    await ask(visit.page)
    await expect(answer(visit.page)).to_contain_text("As far as this")
    await visit.page.get_by_role("button", name="Stop").click()
    await (await running.double.seen(1)).left()
    await expect(answer(visit.page)).to_contain_text("stopped")
    await expect(answer(visit.page)).to_contain_text("As far as this")
    await expect(visit.page.get_by_role("status")).to_have_text("stopped")


async def test_an_answer_can_be_asked_for_again_and_takes_the_first_one_s_place(
    running: Stack, visit: Visit
) -> None:
    running.double.script(reply("One."), reply("Another."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("One.")
    await visit.page.get_by_role("button", name="Ask again").click()
    await expect(answer(visit.page)).to_have_text("Another.")
    await expect(visit.page.get_by_text("One.", exact=True)).to_have_count(0)
    one, other = running.double.requests
    assert one.body["messages"] == other.body["messages"]


async def test_the_next_question_goes_with_what_was_said_before(
    running: Stack, visit: Visit
) -> None:
    running.double.script(reply("Water."), reply("Downhill."))
    await ask(visit.page, "What is it?")
    await expect(answer(visit.page)).to_have_text("Water.")
    await ask(visit.page, "Where does it go?")
    await expect(answer(visit.page)).to_have_text("Downhill.")
    said = [(m["role"], m["content"]) for m in running.double.requests[1].body["messages"]]
    assert said == [
        ("user", "What is it?"),
        ("assistant", "Water."),
        ("user", "Where does it go?"),
    ]


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "too long for the WebSocket, which takes 1.05 MB"), ("fr", "trop longue pour le")],
)
async def test_a_question_that_is_too_long_for_a_websocket_says_so_and_how_long_it_may_be(
    language: str, words: str, running: Stack, visit: Visit
) -> None:
    await choose(visit.page, Transport="websocket")
    await ask(visit.page, "x" * (1 << 20))
    await expect(answer(visit.page)).to_have_attribute("data-state", "refused")
    await visit.page.locator("header select").first.select_option(language)
    await expect(visit.page.locator(".answer").last).to_contain_text(words)
    assert not running.double.requests


async def test_a_question_that_is_long_and_not_too_long_is_asked_over_a_websocket(
    running: Stack, visit: Visit
) -> None:
    running.double.script(reply("Read."))
    await choose(visit.page, Transport="websocket")
    await ask(visit.page, "x" * 1_000_000)
    await expect(answer(visit.page)).to_have_text("Read.")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1009, "is too long for the WebSocket."),
        (4403, "does not take WebSockets from this page"),
        (4406, "WebSocket (4406: no such protocol)"),
    ],
)
async def test_a_socket_that_is_closed_for_good_says_why_in_words(
    code: int, words: str, visit: Visit
) -> None:
    # Nothing that this page does makes the service close its socket so.
    async def closes(socket: WebSocketRoute) -> None:
        await socket.close(code=code, reason="no such protocol")

    await visit.page.route_web_socket("**/v1/ws", closes)
    await choose(visit.page, Transport="websocket")
    await ask(visit.page)
    await expect(answer(visit.page)).to_contain_text(words)


@transports
async def test_where_nobody_can_answer_now_the_service_s_words_are_shown_and_nobody_is_asked_again(
    transport: str, running: Stack, visit: Visit
) -> None:
    visit.expect("status of 503")
    address = f"{running.url}/v1/providers/groq"
    async with running.client.patch(address, json={"requests_per_minute": 1}) as response:
        assert response.status == 200
    running.double.script(reply("Once."))
    await choose(visit.page, Transport=transport, Model="groq/auto")
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("Once.")
    await ask(visit.page)
    await expect(answer(visit.page)).to_contain_text("its rate limit here is reached")
    await expect(answer(visit.page)).to_have_attribute("data-state", "refused")
    await expect(visit.page.get_by_role("button", name="Stop")).to_be_disabled()
    assert len(running.double.requests) == 1


async def test_a_new_conversation_ends_the_answer_that_runs(running: Stack, visit: Visit) -> None:
    running.double.script(reply("As far as this", Stall()), reply("Anew."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_contain_text("As far as this")
    await visit.page.get_by_role("button", name="New conversation").click()
    await (await running.double.seen(1)).left()
    await ask(visit.page)
    await expect(visit.page.get_by_role("article", name="Answer")).to_have_text(["Anew."])
