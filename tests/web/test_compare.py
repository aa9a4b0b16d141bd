"""The same question to several models, side by side and live."""

from typing import Any

import pytest
from playwright.async_api import Locator, Page, WebSocketRoute, expect

from tests.double.answer import Tokens
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.double.steps import Gate, Stall, Wait
from tests.e2e.stack import Stack
from tests.web.visits import Visit
from tests.web.written import tenths

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def choose(visit: Visit, count: int) -> list[str]:
    """Open the page and choose so many models; their names."""
    page = visit.page
    await visit.show("compare")
    for _ in range(count - 2):
        await page.get_by_role("button", name="Add a model").click()
    first = page.get_by_label("Model 1", exact=True)
    await expect(first.locator("option[value^=claude]").first).to_be_attached()
    names = await first.locator("option").evaluate_all("all => all.map((one) => one.value)")
    chosen = [
        next(name for name in names if name.startswith(f"{provider}/") and "/auto" not in name)
        for provider in ("groq", "openai", "claude", "perplexity")[:count]
    ]
    for number, name in enumerate(chosen, 1):
        await page.get_by_label(f"Model {number}", exact=True).select_option(name)
    return chosen


async def start(page: Page) -> None:
    await page.get_by_label("The question to all of them").fill("How high is a weir?")
    await page.get_by_role("button", name="Start").click()


def lane(page: Page, model: str) -> Locator:
    return page.get_by_role("region", name=model, exact=True)


def row(page: Page, model: str) -> Locator:
    """What a model's answer took."""
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=model, exact=True))


@pytest.mark.parametrize("count", [2, 3, 4])
async def test_each_model_answers_in_its_own_time_beside_the_others(
    count: int, running: Stack, visit: Visit
) -> None:
    models = await choose(visit, count)
    gates = [Gate() for _ in models]
    for number, (model, gate) in enumerate(zip(models, gates, strict=True)):
        provider = model.partition("/")[0]
        running.double.on_provider(provider, reply(f"{number} begins", Wait(gate), " and ends."))
    await start(visit.page)
    for number, model in enumerate(models):
        await expect(lane(visit.page, model)).to_contain_text(f"{number} begins")
    for number, (model, gate) in reversed(list(enumerate(zip(models, gates, strict=True)))):
        gate.open()
        await expect(lane(visit.page, model)).to_contain_text(f"{number} begins and ends.")
    assert len(running.double.requests) == count
    assert all("How high is a weir?" in str(seen.body) for seen in running.double.requests)


async def test_the_figures_are_those_of_each_stream_and_the_best_have_their_prizes(
    running: Stack, visit: Visit
) -> None:
    quick, dear = await choose(visit, 2)
    gate = Gate()
    running.double.on_provider("groq", reply("Quick.", tokens=Tokens(output=2)))
    running.double.on_provider("openai", reply(Wait(gate), "Dear.", tokens=Tokens(output=900)))
    await start(visit.page)
    await expect(lane(visit.page, quick)).to_have_attribute("data-state", "over")
    await expect(visit.page.get_by_text("cheapest")).to_have_count(0)
    gate.open()
    await expect(lane(visit.page, dear)).to_have_attribute("data-state", "over")
    await expect(row(visit.page, quick).get_by_text("cheapest")).to_be_visible()
    ended = {quick if end["provider"] == "groq" else dear: end for end in await ends(running)}
    # The service's clock decides: on a busy machine it may have heard of one much later.
    first = min((quick, dear), key=lambda model: ended[model]["timing"]["ttft_ms"])
    await expect(row(visit.page, first).get_by_text("first", exact=True)).to_be_visible()
    for model, end in ended.items():
        await expect(row(visit.page, model)).to_contain_text(tenths(end["timing"]["tokens_per_s"]))
        await expect(row(visit.page, model)).to_contain_text(f"{end['timing']['ttft_ms']} ms")
        await expect(row(visit.page, model)).to_contain_text(f" {end['usage']['output']} ")


async def test_one_that_fails_says_why_and_wins_nothing(running: Stack, visit: Visit) -> None:
    whole, broken = await choose(visit, 2)
    running.double.on_provider("groq", reply("Whole."))
    running.double.on_provider("openai", http_error(Kind.SERVER))
    await start(visit.page)
    await expect(lane(visit.page, whole)).to_contain_text("Whole.")
    failed = next(end for end in await ends(running) if end["status"] == "failed")
    await expect(lane(visit.page, broken)).to_contain_text(failed["error"]["message"])
    await expect(row(visit.page, whole).locator("strong")).to_have_count(3)
    await expect(row(visit.page, broken).locator("strong")).to_have_count(0)


async def test_stop_ends_all_of_them(running: Stack, visit: Visit) -> None:
    await choose(visit, 2)
    running.double.default = reply("As far as this", Stall())
    await start(visit.page)
    await expect(visit.page.get_by_text("As far as this")).to_have_count(2)
    await visit.page.get_by_role("button", name="Stop all").click()
    for seen in running.double.requests:
        await seen.left()
    await expect(visit.page.get_by_text("stopped")).to_have_count(2)


async def test_two_to_four_models_can_be_chosen(visit: Visit) -> None:
    await choose(visit, 4)
    add = visit.page.get_by_role("button", name="Add a model")
    await expect(add).to_be_disabled()
    remove = visit.page.get_by_role("button", name="Remove model")
    await remove.last.click()
    await expect(add).to_be_enabled()
    await remove.last.click()
    await expect(remove).to_have_count(0)


async def ends(running: Stack) -> list[dict[str, Any]]:
    """How every stream ended, once they have."""
    return [(await running.fetch(stream.id)).end for stream in running.streams]


async def test_who_leaves_the_page_ends_what_nobody_can_come_back_to(
    running: Stack, visit: Visit
) -> None:
    models = await choose(visit, 2)
    for provider in ("groq", "openai"):
        running.double.on_provider(provider, reply("It begins", Wait(Gate())))
    await start(visit.page)
    for model in models:
        await expect(lane(visit.page, model)).to_contain_text("It begins")
    await visit.page.get_by_role("link", name="Providers").click()
    for number in (1, 2):
        await (await running.double.seen(number)).left()


@pytest.mark.parametrize("how", ["loaded again", "closed", "left for another address"])
async def test_answers_end_at_once_with_a_page_that_goes_away(
    how: str, running: Stack, visit: Visit
) -> None:
    models = await choose(visit, 2)
    running.double.default = reply("It begins", Stall())
    await start(visit.page)
    for model in models:
        await expect(lane(visit.page, model)).to_contain_text("It begins")
    match how:
        case "loaded again":
            await visit.page.reload()
        case "closed":
            await visit.page.close(run_before_unload=True)
        case _:
            await visit.page.goto("about:blank")
    for seen in running.double.requests:
        await seen.left()
    # And not because nobody has read them for a while, which would be paid for.
    assert {end["error"]["message"] for end in await ends(running)} == {"cancelled by the client"}


async def test_on_a_phone_the_names_of_models_are_not_broken_within_a_word(visit: Visit) -> None:
    await visit.page.set_viewport_size({"width": 390, "height": 844})
    models = await choose(visit, 2)
    await start(visit.page)
    for model in models:
        provider = model.partition("/")[0]
        name = visit.page.get_by_role("rowheader", name=model, exact=True)
        await expect(name).to_have_text(model)
        lines = await name.evaluate(
            """(name, provider) => {
                const range = document.createRange();
                const text = document.createTreeWalker(name, NodeFilter.SHOW_TEXT);
                while (!text.nextNode().data.includes(provider));
                range.setStart(text.currentNode, 0);
                range.setEnd(text.currentNode, provider.length + 1);
                return range.getClientRects().length;
            }""",
            provider,
        )
        assert lines == 1


async def test_a_model_that_said_nothing_says_that(running: Stack, visit: Visit) -> None:
    silent, _ = await choose(visit, 2)
    running.double.on_provider("groq", reply())
    running.double.on_provider("openai", reply("Here."))
    await start(visit.page)
    await expect(lane(visit.page, silent)).to_contain_text("The answer is empty.")
    await expect(visit.page.get_by_text("The answer is empty.")).to_have_count(1)


async def test_an_answer_that_cannot_be_drawn_says_so_and_takes_nothing_else_along(
    running: Stack, visit: Visit
) -> None:
    strange, other = await choose(visit, 2)
    await visit.page.route_web_socket("**/v1/ws", ending_as_nobody_knows_for_groq)
    running.double.on_provider("groq", reply("Strange."))
    running.double.on_provider("openai", reply("As ever."))
    for _ in range(2):
        await start(visit.page)
        await expect(lane(visit.page, strange)).to_contain_text("This cannot be shown.")
        await expect(lane(visit.page, other)).to_contain_text("As ever.")
        await expect(row(visit.page, other).get_by_text("fastest")).to_be_visible()


def ending_as_nobody_knows_for_groq(socket: WebSocketRoute) -> None:
    """A service that knows an ending which the page does not."""
    service = socket.connect_to_server()

    def passed_on(message: str | bytes) -> None:
        if '"stream.end"' in str(message) and '"provider":"groq"' in str(message):
            message = str(message).replace('"status":"completed"', '"status":"evaporated"')
        socket.send(message)

    service.on_message(passed_on)
