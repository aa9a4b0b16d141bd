"""The chat routes over one scripted provider, and what a page sends to them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from service.http.turns import Turns
from service.http.ui_chat import UiChat
from service.http.ui_socket import UiSockets
from service.relay import Relay
from service.settings import Streams, Websocket
from service.streams.store import Store
from tests.service.http.serving import served
from tests.service.scripted import Scripted, deployment


class Chats(NamedTuple):
    """The routes' parts, their address and a client session."""

    relay: Relay
    turns: Turns
    sockets: UiSockets
    url: str
    session: aiohttp.ClientSession


@asynccontextmanager
async def chats(
    provider: Scripted,
    limits: Websocket = Websocket(),  # noqa: B008 - frozen
    max_events: int = 50_000,
    relay: Relay | None = None,
    **settings: float,
) -> AsyncIterator[Chats]:
    """Both transports; `provider` is known as openai. `relay`: one that has its own already."""
    if relay is None:
        relay = Relay(Store(ttl=600), deployment({"openai": provider}), max_events=max_events)
    streams, turns = Streams.model_validate(settings), Turns(relay)
    sockets = UiSockets(turns, limits, streams)
    chat = UiChat(turns, streams)
    async with (
        served(*chat.routes(), *sockets.routes(), shapes=chat.shapes()) as url,
        aiohttp.ClientSession() as session,
    ):
        yield Chats(relay, turns, sockets, url, session)


def said(text: str = "Hi", chat: str = "c1", **fields: object) -> dict[str, Any]:
    """What a page posts."""
    message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": text}]}
    asked = {"id": chat, "messages": [message], "trigger": "submit-message"}
    return {**asked, "model": "openai/auto", **fields}


def text_of(chunks: list[dict[str, Any]]) -> str:
    """The text that chunks hold."""
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")
