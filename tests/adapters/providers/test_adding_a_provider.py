"""docs/adding-a-provider.md is true: its provider is built from the page, asked, and answers."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from aiohttp import web
from aiohttp.pytest_plugin import AiohttpServer

from adapters.clients import factory
from adapters.clients.transport import Connections
from adapters.contract import Call, Endpoint, Provider
from adapters.events import (
    AttemptEvent,
    Ending,
    Finish,
    ReasoningDelta,
    TextDelta,
)
from adapters.registry import PROVIDERS
from adapters.request import ChatRequest

PAGE = (Path(__file__).parents[3] / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for said, text in FENCED.findall(PAGE) if said == language]


def module(name: str, source: str) -> ModuleType:
    made = ModuleType(name)
    exec(compile(source, f"{name} in adding-a-provider.md", "exec"), vars(made))  # noqa: S102 - ours
    return made


FILE, LINE, TEST = blocks("python")
(STREAM,) = blocks("")
ACME: Provider = module("adapters.providers.acme", FILE).PROVIDER


def documented_cases() -> list[tuple[Callable[[object], None], object]]:
    """The tests of the page's test module, each with each of its values."""
    importing = "from adapters.providers.acme import PROVIDER\n"
    assert importing in TEST
    tests = module("test_acme", f"PROVIDER = None\n{TEST.replace(importing, '')}")
    vars(tests)["PROVIDER"] = ACME
    return [
        (test, value)
        for name, test in vars(tests).items()
        if name.startswith("test_")
        for value in test.pytestmark[0].args[1]
    ]


def test_the_registrys_line_has_the_form_of_its_neighbours() -> None:
    registry = (Path(__file__).parents[3] / "adapters" / "registry.py").read_text(encoding="utf-8")
    assert LINE.replace("acme", "claude") in registry
    assert "acme" not in PROVIDERS


def test_the_pages_own_cases_hold() -> None:
    cases = documented_cases()
    for test, value in cases:
        test(value)
    assert len(cases) == 7


async def answer(base_url: str, connections: Connections) -> tuple[list[AttemptEvent], Ending]:
    request = ChatRequest.model_validate(
        {"messages": [{"role": "user", "content": "Good morning"}], "max_tokens": 50}
    )
    call = Call(provider=ACME, model=ACME.model("large"), request=request)
    endpoint = Endpoint(provider=ACME, base_url=base_url, key="test-key-acme")
    client = factory.build(endpoint, connections)
    upstream = await client.send(ACME.dialect.encode(call), connect_timeout=5)
    decoder = ACME.dialect.decoder(call)
    events = [event async for chunk in upstream.chunks() for event in decoder.feed(chunk)]
    events += decoder.close()
    upstream.close()
    await client.close()
    assert decoder.ending is not None
    return events, decoder.ending


async def test_the_pages_stream_arrives_through_the_sdk_over_a_socket(
    aiohttp_server: AiohttpServer,
) -> None:
    asked: list[tuple[str, str, dict[str, Any]]] = []

    async def respond(request: web.Request) -> web.StreamResponse:
        asked.append((request.path, request.headers["Authorization"], await request.json()))
        return web.Response(body=STREAM.encode(), content_type="text/event-stream")

    app = web.Application()
    app.router.add_post("/v2/chat/completions", respond)
    server = await aiohttp_server(app)
    connections = Connections()
    await connections.open()
    events, ending = await answer(str(server.make_url("/v2")), connections)
    await connections.close()

    assert [(path, key) for path, key, _ in asked] == [
        ("/v2/chat/completions", "Bearer test-key-acme")
    ]
    assert asked[0][2]["max_completion_tokens"] == 50
    said = {
        kind: "".join(event.delta for event in events if isinstance(event, kind))
        for kind in (ReasoningDelta, TextDelta)
    }
    assert said == {ReasoningDelta: "A greeting.", TextDelta: "Good morning"}
    assert ending.finish is Finish.STOP
    assert ending.usage is not None
    assert (ending.usage.input, ending.usage.output, ending.usage.output_reasoning) == (9, 6, 3)
