"""Every provider's list of models, over a socket, in its own form and with its own key."""

from dataclasses import replace

import pytest

from adapters.clients.listing import MAX_BYTES, MAX_PAGES, list_models
from adapters.contract import Endpoint
from adapters.errors import UpstreamError
from adapters.events import ErrorCode
from adapters.registry import COMPATIBLE, FIFTEEN
from tests.double.errors import Kind
from tests.double.script import Script, http_answer, http_error, play
from tests.double.server import Double
from tests.double.steps import Cut, Stall

MODELS = [f"model-{number}" for number in range(1, 121)]
LISTING = [name for name, provider in FIFTEEN.items() if provider.list_path is not None]


def endpoint(name: str, double: Double) -> Endpoint:
    key = f"test-key-{name}"
    return Endpoint(provider=FIFTEEN[name], base_url=double.base_url(name), key=key)


async def refusal(double: Double, *scripts: Script, wait: float = 5) -> ErrorCode:
    double.script(*scripts)
    with pytest.raises(UpstreamError) as caught:
        await list_models(endpoint("groq", double), wait=wait)
    error = caught.value.error
    assert error.provider == "groq"
    assert "test-key" not in error.message
    return error.code


def test_these_have_a_list_that_tells_what_they_serve() -> None:
    assert set(FIFTEEN) - set(LISTING) == {"glm", "github", "copilot"}


@pytest.mark.parametrize("name", LISTING)
async def test_every_page_of_a_list_is_read_with_the_providers_key(
    double: Double, name: str
) -> None:
    double.models = MODELS
    assert await list_models(endpoint(name, double), wait=5) == tuple(MODELS)
    assert {seen.key for seen in double.requests} == {f"test-key-{name}"}
    assert len(double.requests) == {"claude": 6, "gemini": 3}.get(name, 1)
    await double.deserted()


async def test_an_own_server_without_a_key_is_asked_without_one(double: Double) -> None:
    double.models = ["qwen3:8b"]
    own = Endpoint(provider=COMPATIBLE, base_url=f"{double.url}/v1", key="")
    assert await list_models(own, wait=5) == ("qwen3:8b",)
    assert double.requests[0].key is None


async def test_azures_own_header_carries_its_key(double: Double) -> None:
    double.models = ["gpt"]
    azure = replace(FIFTEEN["copilot"], list_path="/models")
    own = Endpoint(provider=azure, base_url=double.base_url("copilot"), key="test-key-copilot")
    assert await list_models(own, wait=5) == ("gpt",)
    assert double.requests[0].headers["api-key"] == "test-key-copilot"


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (
            {"data": [{"id": "a", "aliases": ["a-latest", "a"]}, {"id": "b"}]},
            ("a", "a-latest", "b"),
        ),
        ([{"id": "openai/gpt-4.1", "name": "GPT-4.1"}], ("openai/gpt-4.1",)),
        ({"data": [{"id": "a"}, {"id": ""}, {"object": "?"}, "b", {"id": 7}]}, ("a",)),
    ],
)
async def test_an_entry_is_named_by_its_id_and_its_aliases(
    double: Double, body: object, ids: tuple[str, ...]
) -> None:
    double.script(http_answer(200, body))
    assert await list_models(endpoint("mistral", double), wait=5) == ids


async def test_a_list_that_goes_on_and_repeats_itself_is_read_once(double: Double) -> None:
    page = {"data": [{"id": "a"}], "has_more": True, "last_id": "a"}
    double.script(*[http_answer(200, page)] * 2)
    assert await list_models(endpoint("openai", double), wait=5) == ("a",)


async def test_a_list_that_never_ends_is_left(double: Double) -> None:
    pages = [
        {"data": [{"id": f"m{number}"}], "has_more": True, "last_id": f"m{number}"}
        for number in range(MAX_PAGES + 1)
    ]
    double.script(*(http_answer(200, page) for page in pages))
    assert len(await list_models(endpoint("openai", double), wait=5)) == MAX_PAGES
    assert double.unplayed == 1


async def test_a_refusal_is_read_as_any_other_of_the_provider(double: Double) -> None:
    assert await refusal(double, http_error(Kind.AUTH)) is ErrorCode.AUTH_PROVIDER


@pytest.mark.parametrize("body", [b"<html>", b'"words"', b"{}", b'{"data": {}}'])
async def test_what_is_no_list_is_told_as_such(double: Double, body: bytes) -> None:
    assert await refusal(double, http_answer(200, body)) is ErrorCode.UPSTREAM_MALFORMED


async def test_a_body_that_is_larger_than_any_list_is_not_read_to_its_end(double: Double) -> None:
    longest = b'{"data": [{"id": "a"}]}'.ljust(MAX_BYTES)
    double.script(http_answer(200, longest))
    assert await list_models(endpoint("groq", double), wait=5) == ("a",)
    assert await refusal(double, http_answer(200, longest + b" ")) is ErrorCode.UPSTREAM_MALFORMED


async def test_a_connection_that_breaks_is_told_as_such(double: Double) -> None:
    # aiohttp asks once more by itself: a GET may be.
    cut = play(Cut("rst"))
    assert await refusal(double, cut, cut) is ErrorCode.UPSTREAM_CONNECT


async def test_a_list_that_does_not_come_is_not_waited_for(double: Double) -> None:
    assert await refusal(double, play(Stall()), wait=0.05) is ErrorCode.UPSTREAM_CONNECT
