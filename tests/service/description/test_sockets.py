"""The WebSockets' frames and close codes: what the code knows is described, and nothing else is."""

import ast
import re
from pathlib import Path
from typing import get_args

from aiohttp import WSCloseCode

from service.description.sockets import CHANNELS, NATIVE_CLOSES, schemas
from service.http import handshake, responses_ws, ui_socket, ws_delivery
from service.http.origins import SOCKETS
from service.http.ws_messages import ClientMessage, ServerMessage
from service.http.ws_protocol import Code

STREAMS, RESPONSES, CHAT = CHANNELS


def source(module: object) -> str:
    return Path(str(getattr(module, "__file__", ""))).read_text(encoding="utf-8")


def tags(structs: tuple[type, ...]) -> set[str]:
    return {struct.__struct_config__.tag for struct in structs}


def said_in(module: object) -> set[str]:
    """What a socket says of its own: the bytes literals that `say` is given second."""
    calls = (node for node in ast.walk(ast.parse(source(module))) if isinstance(node, ast.Call))
    return {
        str(ast.literal_eval(call.args[1]).decode())
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "say"
    }


def test_every_native_frame_is_described() -> None:
    spliced = set(re.findall(r'"t":"(\w+)"', source(ws_delivery)))
    assert set(STREAMS.received) == tags(get_args(ClientMessage))
    assert set(STREAMS.sent) == tags(tuple(ServerMessage.__subclasses__())) | spliced
    assert spliced == {"ev", "evs"}


def test_every_frame_of_the_chats_socket_is_described() -> None:
    assert set(CHAT.sent) == said_in(ui_socket)
    compared = set(re.findall(r'kind == "(\S+)"|kind not in \{(.*?)\}', source(ui_socket)))
    taken = {name for pair in compared for part in pair for name in re.findall(r"[\w-]+", part)}
    assert set(CHAT.received) == taken


def test_every_frame_of_a_responses_socket_is_described() -> None:
    assert set(RESPONSES.received) == {responses_ws.CREATE}
    assert set(RESPONSES.sent) == {"event", responses_ws.TOO_OLD["type"]}


def test_every_frame_has_its_component_and_every_reply_is_a_frame() -> None:
    parts = schemas()
    for channel in CHANNELS:
        assert {*channel.received.values(), *channel.sent.values()} <= set(parts)
        assert set(channel.replies) <= set(channel.received)
        assert {reply for replies in channel.replies.values() for reply in replies} <= set(
            channel.sent
        )


def test_every_socket_is_a_channel() -> None:
    assert {channel.address for channel in CHANNELS} == SOCKETS


def test_every_close_code_is_described() -> None:
    assert set(NATIVE_CLOSES) == set(Code)
    for channel in CHANNELS:
        assert {1002, 1007, 1009, handshake.FORBIDDEN} <= set(channel.closes)
    own = {Code[name] for name in re.findall(r"=Code\.(\w+)", source(ui_socket))}
    assert own
    assert own <= set(CHAT.closes)
    named = {WSCloseCode[name] for name in re.findall(r"WSCloseCode\.(\w+)", source(responses_ws))}
    assert named
    assert named <= set(RESPONSES.closes)
