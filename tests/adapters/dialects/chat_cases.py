"""Calls and wire streams in a line each, for the tests of the chat dialects."""

from pathlib import Path
from typing import Any

import orjson

from adapters.contract import Call, Dialect, Encoded, Model, Provider
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.request import ChatRequest
from tests.adapters.dialects import cuts

STREAMS = Path(__file__).parents[2] / "streams"
DONE = b"data: [DONE]\n\n"
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}


# --- Calls ----------------------------------------------------------------------------------


def call(
    dialect: Dialect | None = None,
    *,
    model: Model | None = None,
    provider: str = "acme",
    attempt: int = 1,
    request: dict[str, object] | None = None,
) -> Call:
    """A call with these request fields; `messages` is a greeting unless given."""
    model = model or Model(id="acme-large", images=True)
    return Call(
        provider=Provider(
            name=provider,
            title="Acme",
            key_vars=(),
            address_var="ACME_BASE_URL",
            base_url="https://acme.test/v1",
            client="openai",
            dialect=dialect or OpenAIChat(),
            models=(model,),
        ),
        model=model,
        request=ChatRequest.model_validate({"messages": HELLO, **(request or {})}),
        attempt=attempt,
    )


def encode(
    quirks: ChatQuirks | None = None,
    *,
    model: Model | None = None,
    more: dict[str, object] | None = None,
    **request: object,
) -> Encoded:
    """A request written with these quirks; `more` are fields whose names a test computes."""
    dialect = OpenAIChat(quirks=quirks or ChatQuirks())
    return dialect.encode(call(dialect, model=model, request={**request, **(more or {})}))


def body(
    quirks: ChatQuirks | None = None, *, model: Model | None = None, **request: object
) -> dict[str, Any]:
    """The body alone."""
    return encode(quirks, model=model, **request).body


def warned(encoded: Encoded) -> list[tuple[str, str | None]]:
    """(code, field) of each warning."""
    return [(warning.code, warning.field) for warning in encoded.warnings]


# --- Streams --------------------------------------------------------------------------------


def hand_written(path: str) -> bytes:
    """A stream under tests/streams, like `openai/text`."""
    return (STREAMS / f"{path}.sse").read_bytes()


def sse(*chunks: dict[str, Any]) -> bytes:
    """The chunks as a provider frames them, without an end."""
    return b"".join(b"data: %b\n\n" % orjson.dumps(chunk) for chunk in chunks)


def chunk(
    delta: dict[str, Any] | None = None, *, finish: str | None = None, **more: object
) -> dict[str, Any]:
    """A chunk with one choice; `more` are fields beside the choices."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "cmpl-1", "model": "acme-large", "choices": [choice], **more}


def decoded(stream: bytes, dialect: Dialect | None = None, provider: str = "acme") -> cuts.Decoded:
    """What a stream says, however it is cut."""
    dialect = dialect or OpenAIChat()
    asked = call(dialect, provider=provider)
    return cuts.check(lambda: dialect.decoder(asked), stream)
