"""What every agent framework is put through: one scene each, and what must hold whoever plays it.

A scene has a service of its own, because health would go on into the next. It gives what the
framework's program saw, where the frameworks differ in more.
"""

from typing import Any

from tests.clients.programs import Program
from tests.double.answer import reasoning, tool_call
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import stack

SIGNING = ("openai/auto", "claude/sonnet", "gemini/flash")
"""Models whose provider signs, and wants its signature back."""

_PROOF = "c2lnbmVk"


async def calls_a_tool(framework: Program, api: str, how: str) -> None:
    """A tool is called, and its result is answered."""
    call = tool_call("weather", '{"city":', '"Oslo"}')
    async with stack("groq") as running:
        running.double.script(reply("Let me look. ", call), reply("It rains."))
        seen = await framework.do(how, api=api, url=running.url, model="groq/auto", tools=True)
        told = running.double.requests[1].body["messages"]
    assert seen["calls"] == [["weather", {"city": "Oslo"}]]
    assert (seen["output"], seen["error"], seen["tokens"]) == ("It rains.", None, 42)
    assert [(one["role"], one["content"]) for one in told[1:]] == [
        ("assistant", "Let me look. "),
        ("tool", "rain in Oslo"),
    ]


async def gives_a_signature_back(framework: Program, api: str, model: str) -> None:
    """What a provider signed goes back to it with the tool's result."""
    call = tool_call("weather", '{"city":"Oslo"}', signature=_PROOF)
    async with stack(model.partition("/")[0]) as running:
        running.double.script(reply(reasoning("Hm.", signature=_PROOF), call), reply("It rains."))
        seen = await framework.do("ask", api=api, url=running.url, model=model, tools=True)
        second = running.sent(1)
    assert seen["output"] == "It rains."
    assert _PROOF.encode() in second


async def streams_half(framework: Program, api: str) -> dict[str, Any]:
    """An answer breaks: what came was shown, and is no output."""
    async with stack("openai") as running:
        running.double.script(reply("Half an", Cut()))
        seen = await framework.do("ask", api=api, url=running.url, model="openai/auto")
    assert seen["text"] == "Half an"
    assert "output" not in seen
    return seen


async def waits_for_half(framework: Program, api: str) -> dict[str, Any]:
    """The same of an answer that is waited for."""
    async with stack("openai") as running:
        running.double.script(reply("Half an", Cut()), http_error(Kind.OVERLOADED))
        seen = await framework.do("whole", api=api, url=running.url, model="openai/auto")
    assert seen["error"]
    assert "output" not in seen
    return seen


async def is_cancelled(framework: Program, api: str) -> None:
    """An answer that is cancelled is cancelled at the provider."""
    async with stack("claude") as running:
        running.double.script(reply("Hello ", Wait(Gate()), "you."))
        seen = await framework.do("cancel", api=api, url=running.url, model="claude/auto")
        await running.double.requests[0].left()
    assert seen["cancelled"]
    assert seen["text"] == "Hello "


async def fails(framework: Program, api: str, kind: Kind) -> dict[str, Any]:
    """Nobody answers: nothing is shown."""
    async with stack("openai") as running:
        running.double.script(http_error(kind))
        seen = await framework.do("ask", api=api, url=running.url, model="openai/auto")
    assert seen["text"] == ""
    return seen
