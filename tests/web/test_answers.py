"""What answers are made of: Markdown, thoughts, tool calls, sources; and text that means harm."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.double.answer import Citation, reasoning, text, tool_call
from tests.double.script import http_answer, reply, stream
from tests.double.steps import Gate, Stall, Wait
from tests.e2e.stack import Stack, stack
from tests.web.conftest import PROVIDERS
from tests.web.visits import Visit, answer, ask, choose

pytestmark = pytest.mark.asyncio(loop_scope="session")

RECORDED = Path(__file__).parents[1] / "streams"


@pytest_asyncio.fixture(loop_scope="session")
async def running() -> AsyncIterator[Stack]:
    """A service whose answers may hold files, too."""
    async with stack(*PROVIDERS, "gemini") as running:
        yield running


async def pinned(visit: Visit, provider: str) -> None:
    """Ask that provider's first model from now on."""
    await visit.page.wait_for_function("() => document.querySelectorAll('option').length > 40")
    await choose(visit.page)
    box = visit.page.get_by_role("combobox", name="Model", exact=True)
    names = await box.locator("option").evaluate_all("all => all.map((one) => one.value)")
    await box.select_option(next(name for name in names if name.startswith(f"{provider}/")))


# --- What is shown --------------------------------------------------------------------------


async def test_markdown_is_shown_as_what_it_means_while_it_grows(
    running: Stack, visit: Visit
) -> None:
    gate = Gate()
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n\n"
    running.double.script(
        reply(
            "# Water\n\n", "It **fa", Wait(gate), "lls**.\n\n", "- one\n- two\n\n", table, "`end`"
        )
    )
    await ask(visit.page)
    await expect(answer(visit.page).get_by_role("heading", name="Water")).to_be_visible()
    await expect(answer(visit.page)).to_contain_text("It **fa")
    gate.open()
    await expect(answer(visit.page).locator("strong")).to_have_text("falls")
    await expect(answer(visit.page).get_by_role("listitem")).to_have_text(["one", "two"])
    await expect(answer(visit.page).get_by_role("cell")).to_have_text(["1", "2"])
    await expect(answer(visit.page).locator("code")).to_have_text("end")


async def test_tasks_show_whether_they_are_done_and_say_it_in_the_language(
    running: Stack, visit: Visit
) -> None:
    running.double.script(reply("- [x] swept\n- [ ] mopped\n"))
    await ask(visit.page)
    items = answer(visit.page).get_by_role("listitem")
    await expect(items).to_have_text(["☑ swept", "☐ mopped"])
    await expect(items.first.get_by_role("img", name="done", exact=True)).to_be_visible()
    await expect(items.last.get_by_role("img", name="not done")).to_be_visible()
    await visit.page.get_by_label("Language").select_option("fr")
    sign = visit.page.get_by_role("listitem").filter(has_text="mopped").get_by_role("img")
    await expect(sign).to_have_attribute("aria-label", "à faire")


async def test_reasoning_stands_apart_and_is_folded_away_when_it_is_over(
    running: Stack, visit: Visit
) -> None:
    gate = Gate()
    running.double.script(reply(reasoning("Let me see.", Wait(gate)), "Water."))
    await pinned(visit, "claude")
    await ask(visit.page)
    await expect(answer(visit.page).get_by_text("Let me see.")).to_be_visible()
    gate.open()
    await expect(answer(visit.page)).to_contain_text("Water.")
    await expect(answer(visit.page).get_by_text("Let me see.")).to_be_hidden()
    await answer(visit.page).get_by_text("Reasoning").click()
    await expect(answer(visit.page).get_by_text("Let me see.")).to_be_visible()


async def test_a_tool_call_is_shown_with_its_arguments(running: Stack, visit: Visit) -> None:
    running.double.script(reply(tool_call("weather", '{"city":', '"Oslo"}')))
    await pinned(visit, "claude")
    await ask(visit.page)
    await expect(answer(visit.page)).to_contain_text("Tool call: weather")
    await expect(answer(visit.page).locator("pre")).to_have_text('{\n  "city": "Oslo"\n}')


async def test_sources_are_links_that_open_elsewhere(running: Stack, visit: Visit) -> None:
    source = Citation("https://example.org/weir", title="On weirs", end=5)
    running.double.script(reply(text("Weirs hold water.", citations=(source,))))
    await pinned(visit, "perplexity")
    await ask(visit.page)
    link = answer(visit.page).get_by_role("link", name="On weirs")
    await expect(link).to_have_attribute("href", "https://example.org/weir")
    await expect(link).to_have_attribute("target", "_blank")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")


async def test_what_was_stopped_in_the_middle_is_rendered_as_far_as_it_came(
    running: Stack, visit: Visit
) -> None:
    running.double.script(reply("It **fa", Stall()))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("It **fa")
    await visit.page.get_by_role("button", name="Stop").click()
    await expect(answer(visit.page).locator("strong")).to_have_text("fa")
    await expect(answer(visit.page)).to_contain_text("cut off")


async def test_files_are_named_and_not_loaded(running: Stack, visit: Visit) -> None:
    running.double.script(stream((RECORDED / "gemini" / "image.sse").read_bytes()))
    await pinned(visit, "gemini")
    await ask(visit.page)
    await expect(answer(visit.page)).to_contain_text("File: image/png · 0.008 kB")
    link = answer(visit.page).get_by_role("link", name="https://example.com/v.mp4")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")
    await expect(answer(visit.page)).to_contain_text("File: video/mp4")


async def test_a_tool_of_the_provider_s_that_failed_says_so(running: Stack, visit: Visit) -> None:
    running.double.script(stream((RECORDED / "claude" / "web_search.sse").read_bytes()))
    await pinned(visit, "claude")
    await ask(visit.page)
    tools = answer(visit.page).locator("summary", has_text="Tool of the provider: web_search")
    await expect(tools).to_have_count(2)
    await expect(tools.first).not_to_contain_text("failed")
    await expect(tools.last).to_contain_text("failed")
    await expect(answer(visit.page)).to_contain_text("max_uses_exceeded")


async def test_what_a_safety_system_did_is_a_remark(running: Stack, visit: Visit) -> None:
    running.double.default = stream((RECORDED / "gemini" / "blocked_prompt.sse").read_bytes())
    await pinned(visit, "gemini")
    await ask(visit.page)
    await expect(answer(visit.page)).to_contain_text(
        "The safety system of gemini blocked the question (PROHIBITED_CONTENT)."
    )


async def test_an_answer_without_a_word_says_that_it_is_empty(running: Stack, visit: Visit) -> None:
    running.double.script(reply())
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_text("The answer is empty.")


# --- What means harm ------------------------------------------------------------------------

HARM = (
    "<script>window.harmed = 1</script>",
    "<img src=x onerror='window.harmed = 1'>",
    "<svg onload='window.harmed = 1'><circle /></svg>",
    "<iframe srcdoc='<script>parent.harmed = 1</script>'></iframe>",
    "<style>body { display: none }</style>",
    "<p style='position: fixed; inset: 0'>over everything</p>",
    "<a href='javascript:window.harmed = 1'>here</a>",
    "[here](javascript:window.harmed=1)",
    "[here](file:///etc/passwd)",
    "[here](//example.org)",
    "[here](/v1/streams)",
    "[here](data:text/html,<script>window.harmed=1</script>)",
    "![seen](https://example.org/seen.png)",
    "<form action='https://example.org'><input autofocus onfocus='window.harmed = 1'></form>",
    "<math><mtext><table><mglyph><style><img src=x onerror='window.harmed = 1'>",
    "<details open ontoggle='window.harmed = 1'>more</details>",
    "<base href='https://example.org/'>",
    "<meta http-equiv='refresh' content='0; url=https://example.org/'>",
    "{@html '<img src=x onerror=1>'}",
)

FOREIGN = "script, img, svg, iframe, style, form, input, base, meta, math, object, embed, [style]"


async def unharmed(page: Page) -> None:
    """Nothing ran, nothing was loaded (the visit sees to that), nothing covers anything."""
    assert await page.evaluate("window.harmed") is None
    strange = await page.evaluate(
        """(foreign) => [...document.querySelectorAll('main a[href]')]
            .map((link) => link.getAttribute('href'))
            .filter((address) => !/^(https?:|mailto:|#)/.test(address))
            .concat([...document.querySelectorAll('main .answer *')]
                .flatMap((one) => one.getAttributeNames())
                .filter((name) => name.startsWith('on')))""",
        FOREIGN,
    )
    assert strange == []


@pytest.mark.parametrize("cut", [1, 7, 1000], ids=lambda size: f"in pieces of {size}")
async def test_markup_in_an_answer_runs_loads_and_covers_nothing(
    cut: int, running: Stack, visit: Visit
) -> None:
    whole = "\n\n".join(HARM) + "\n\nThe end."
    pieces = [whole[at : at + cut] for at in range(0, len(whole), cut)]
    running.double.script(reply(*pieces))
    await ask(visit.page)
    await expect(answer(visit.page)).to_contain_text("The end.")
    await expect(answer(visit.page)).to_have_attribute("data-state", "over")
    await unharmed(visit.page)
    await expect(answer(visit.page).locator(FOREIGN)).to_have_count(0)
    await expect(answer(visit.page).locator("a")).to_have_count(0)
    for harm in HARM:
        if harm.startswith("<"):
            await expect(answer(visit.page)).to_contain_text(harm)


async def test_markup_in_thoughts_tools_and_sources_stays_text(
    running: Stack, visit: Visit
) -> None:
    harm = HARM[1]
    running.double.script(
        reply(
            reasoning(harm),
            text("Here.", citations=(Citation("javascript:window.harmed=1", title=harm, end=2),)),
            tool_call("weather", '{"city": "<img src=x onerror=1>"}'),
        )
    )
    await pinned(visit, "claude")
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_attribute("data-state", "over")
    await answer(visit.page).get_by_text("Reasoning").click()
    await expect(answer(visit.page).get_by_text(harm).first).to_be_visible()
    await expect(answer(visit.page).locator("pre")).to_contain_text("<img src=x onerror=1>")
    await expect(answer(visit.page).locator(FOREIGN)).to_have_count(0)
    await unharmed(visit.page)


async def test_markup_in_a_question_stays_text(running: Stack, visit: Visit) -> None:
    running.double.script(reply("Here."))
    await ask(visit.page, HARM[1])
    await expect(answer(visit.page)).to_have_text("Here.")
    await expect(visit.page.get_by_role("article", name="You")).to_have_text(HARM[1])
    await unharmed(visit.page)


async def test_markup_in_a_provider_s_error_stays_text(running: Stack, visit: Visit) -> None:
    running.double.default = http_answer(
        400, {"error": {"message": HARM[1], "type": HARM[0], "code": HARM[2]}}
    )
    await ask(visit.page)
    await expect(answer(visit.page)).to_contain_text(HARM[1])
    await expect(answer(visit.page).locator(FOREIGN)).to_have_count(0)
    await unharmed(visit.page)


async def test_a_mark_that_turns_the_text_around_turns_nothing_beyond_its_own_words(
    running: Stack, visit: Visit
) -> None:
    running.double.script(reply("It **turns \u202earound** before after."))
    await ask(visit.page)
    await expect(answer(visit.page)).to_have_attribute("data-state", "over")
    before, after = await edges(visit.page, "before"), await edges(visit.page, "after")
    assert before["right"] <= after["left"]


async def edges(page: Page, word: str) -> dict[str, float]:
    """Where a word of the answer is drawn."""
    found: dict[str, float] = await page.locator(".markdown").evaluate(
        """(answer, word) => {
            const walker = document.createTreeWalker(answer, NodeFilter.SHOW_TEXT);
            while (!walker.nextNode().data.includes(word));
            const at = walker.currentNode.data.indexOf(word);
            const range = document.createRange();
            range.setStart(walker.currentNode, at);
            range.setEnd(walker.currentNode, at + word.length);
            return range.getBoundingClientRect().toJSON();
        }""",
        word,
    )
    return found
