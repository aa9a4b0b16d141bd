"""Tokens are counted over a real socket, without anybody being asked."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from service.dialects.messages import Messages
from service.dialects.messages_request import read_counted
from service.http.borrowed import Borrowed
from service.http.count_tokens import CountTokens
from service.relay import Relay
from service.routing import estimate
from service.settings import Streams
from service.streams.store import Store
from tests.service.http.serving import served
from tests.service.scripted import Scripted, deployment

PATH = "/v1/messages/count_tokens"
ASKED = {
    "model": "auto",
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": "Say hello."}],
    "tools": [{"name": "see", "description": "Look.", "input_schema": {"type": "object"}}],
}


@pytest.fixture
async def address() -> AsyncIterator[str]:
    relay = Relay(Store(ttl=600), deployment({"openai": Scripted()}))
    messages = Borrowed(relay, Streams(), Messages(), "/v1/messages")
    async with served(*CountTokens().routes(), max_body=1000, shapes=messages.shapes()) as url:
        yield url + PATH


async def test_the_count_is_the_estimate_that_routing_goes_by(address: str) -> None:
    async with aiohttp.ClientSession() as session, session.post(address, json=ASKED) as response:
        assert response.status == 200
        told = await response.json()
    assert told == {"input_tokens": estimate.input_tokens(read_counted(ASKED))}
    assert told["input_tokens"] > 20


@pytest.mark.parametrize(
    ("sent", "status", "kind", "message"),
    [
        (b"{}", 400, "invalid_request_error", "messages: missing"),
        (b"[]", 400, "invalid_request_error", "the body: [] is not allowed"),
        (b"{", 400, "invalid_request_error", "the body: not JSON"),
        (b" " * 2000, 413, "request_too_large", "the body is larger than 1000 bytes"),
    ],
)
async def test_what_cannot_be_counted_is_refused_as_the_api_does(
    address: str, sent: bytes, status: int, kind: str, message: str
) -> None:
    async with aiohttp.ClientSession() as session, session.post(address, data=sent) as response:
        told = await response.json()
    assert response.status == status
    assert (told["type"], told["error"]["type"]) == ("error", kind)
    assert told["error"]["message"].startswith(message)
