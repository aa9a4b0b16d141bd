"""The demo provider's client: an answer without a key, an account or a network.

It stands where a client of an SDK would. `write` reads the request body that the OpenAI-chat
dialect encoded and decides the whole answer at once, as a list of deltas, without I/O; `send` hands
back an upstream that plays those deltas as server-sent events at the pace of a small model. So a
demo answer goes through the same decoder, relay, log and transports as any other.

The text says that it is a demo. It depends on the request alone (the same question gets the same
answer) and never repeats the question. It keeps to what was asked: `tool_choice` that forces a call
calls, a `response_format` gets JSON, a reasoning effort gets reasoning first, `max_tokens` and
`stop` end the answer early. Tokens are words, and the usage counts those.

An upstream holds no task and no connection: cancelling its reader is all it takes to end it.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from math import ceil
from typing import Any
from zlib import crc32

import orjson
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.contract import Encoded, Upstream

FIRST_TOKEN_S = 0.35  # seconds; a small hosted model's usual time to first token
GAP_S = 0.025  # seconds; 40 tokens a second

_PACE = {"demo-slow": 8.0}  # times as slow; enough to watch a hedge or a stall deadline at work

_HEADERS = CIMultiDictProxy(CIMultiDict({"content-type": "text/event-stream; charset=utf-8"}))

_OPENING = (
    "This is Tailrace's built-in **demo provider**, not a language model: "
    "nobody was asked, and nothing left this machine."
)
_MIDDLES = (
    (
        "What you are watching is the real path of an answer:\n\n"
        "1. a provider's stream is decoded into one event schema,\n"
        "2. every event gets its number in the stream's log,\n"
        "3. readers follow the log, over SSE or WebSocket."
    ),
    (
        "Some things worth trying while it streams:\n\n"
        "- close the connection and resume with `Last-Event-ID`,\n"
        "- open the same stream twice; both readers see the same events,\n"
        "- send `Accept: application/json` to get it folded into one object."
    ),
    (
        "Everything around these words is what a real answer would have:\n\n"
        "- blocks that start and end,\n"
        "- token counts,\n"
        "- one honest `stream.end`."
    ),
)
_CLOSING = (
    "To hear a real model, set one provider's key and start again:\n\n"
    "```sh\nexport ANTHROPIC_API_KEY=...\n```\n"
)
_THOUGHTS = (
    "The demo provider does not think. It was asked to show reasoning, so it shows where reasoning "
    "appears: in a block of its own, before the answer."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A whole answer, decided before its first byte is sent."""

    seed: int
    """Follows from the question; varies the pauses."""
    deltas: list[dict[str, Any]]
    """What each token adds to the message, as `choices[0].delta`."""
    finish: str
    usage: dict[str, Any]


class DemoClient:
    """Answers every request by itself. Delays are in seconds; 0 for tests."""

    def __init__(self, *, first_token_s: float = FIRST_TOKEN_S, gap_s: float = GAP_S) -> None:
        """`first_token_s` passes before the first token, about `gap_s` before each other one."""
        self._first_token_s = first_token_s
        self._gap_s = gap_s
        self._numbers = count(1)

    async def send(self, encoded: Encoded, *, connect_timeout: float) -> Upstream:
        """Decide the answer to an OpenAI-chat body; it starts playing when it is read."""
        del connect_timeout  # there is nothing to connect to
        body = encoded.body
        script = write(body)
        pace = _PACE.get(body["model"], 1.0)
        waits = pauses(script.seed, self._first_token_s * pace, self._gap_s * pace)
        return _Playback(f"demo-{next(self._numbers)}", body, script, waits)

    async def close(self) -> None:
        """Nothing is held."""


class _Playback:
    """A script, read out."""

    def __init__(
        self, answer_id: str, body: Mapping[str, Any], script: Script, waits: Iterator[float]
    ) -> None:
        self._envelope = {
            "id": answer_id,
            "object": "chat.completion.chunk",
            "model": body["model"],
        }
        self._with_usage = (body.get("stream_options") or {}).get("include_usage", False)
        self._script = script
        self._waits = waits
        self._closed = False

    @property
    def headers(self) -> Mapping[str, str]:
        """Only what an event stream must have."""
        return _HEADERS

    async def chunks(self) -> AsyncIterator[bytes]:
        """One chunk for each token; ends short where it was closed."""
        script = self._script
        yield self._choice({"role": "assistant", "content": ""})
        for delta in script.deltas:
            await asyncio.sleep(next(self._waits))
            if self._closed:
                return
            yield self._choice(delta)
        yield self._choice({}, script.finish)
        if self._with_usage:
            yield self._event({"choices": [], "usage": script.usage})
        yield b"data: [DONE]\n\n"

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """Pass the chunks on; see `contract.Upstream`."""
        async for data in self.chunks():
            sink(data)

    def close(self) -> None:
        """Stop before the next token."""
        self._closed = True

    def _choice(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return self._event({"choices": [choice]})

    def _event(self, fields: dict[str, Any]) -> bytes:
        return b"data: " + orjson.dumps(self._envelope | fields) + b"\n\n"


def pauses(seed: int, first: float, gap: float) -> Iterator[float]:
    """Seconds before each token: the same for the same seed, within 40 % around `gap`."""
    yield first
    jitter = (crc32(number.to_bytes(4, "big"), seed) % 1000 / 1000 for number in count(1))
    yield from (gap * (0.6 + 0.8 * share) for share in jitter)


# --- The answer -----------------------------------------------------------------------------


def write(body: Mapping[str, Any]) -> Script:
    """Decide the answer to an OpenAI-chat request body."""
    question = _question(body["messages"])
    called = _forced_function(body)
    if called is None:
        finish = "stop"
        answer = [{"content": token} for token in _tokens(_text(body, question))]
    else:
        finish = "tool_calls"
        answer = _call(called)
    deltas = [*_reasoning(body), *answer]
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    if limit is not None and len(deltas) > limit:
        finish = "length"
        deltas = deltas[:limit]
    return Script(
        seed=crc32(question.encode()),
        deltas=deltas,
        finish=finish,
        usage=_usage(body["messages"], deltas),
    )


def _tokens(text: str) -> list[str]:
    """Words, each with the white space before it; joined they are the text."""
    return re.findall(r"\s*\S+|\s+", text)


def _question(messages: list[dict[str, Any]]) -> str:
    """The last user message's text."""
    asked = [message for message in messages if message["role"] == "user"]
    return _plain(asked[-1]) if asked else ""


def _plain(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _text(body: Mapping[str, Any], question: str) -> str:
    text = _json(body) or _prose(question)
    stop = body.get("stop") or []
    found = [text.find(mark) for mark in ([stop] if isinstance(stop, str) else stop)]
    return text[: min((place for place in found if place >= 0), default=len(text))]


def _prose(question: str) -> str:
    words = len(question.split())
    length = f"{words} word{'' if words == 1 else 's'}"
    about = f"Your message, {length} long, would have gone to a provider unchanged."
    middle = _MIDDLES[crc32(question.encode()) % len(_MIDDLES)]
    return "\n\n".join((f"{_OPENING} {about}", middle, _CLOSING))


def _json(body: Mapping[str, Any]) -> str | None:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        schema = wanted["json_schema"].get("schema", {})
        return orjson.dumps(example(schema)).decode()
    if wanted.get("type") == "json_object":
        return orjson.dumps({"demo": True, "note": _OPENING}).decode()
    return None


def _reasoning(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    if body.get("reasoning_effort") in (None, "none"):
        return []
    return [{"reasoning_content": token} for token in _tokens(_THOUGHTS)]


def _forced_function(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The function that `tool_choice` makes the model call; of several the first."""
    functions: list[dict[str, Any]] = [tool["function"] for tool in body.get("tools") or []]
    choice = body.get("tool_choice")
    if choice == "required" and functions:
        return functions[0]
    if isinstance(choice, dict):
        name = choice["function"]["name"]
        return next((function for function in functions if function["name"] == name), None)
    return None


def _call(function: Mapping[str, Any]) -> list[dict[str, Any]]:
    arguments = orjson.dumps(example(function.get("parameters") or {"type": "object"})).decode()
    opening = {
        "index": 0,
        "id": "call_demo",
        "type": "function",
        "function": {"name": function["name"], "arguments": ""},
    }
    pieces = re.findall(r"[^,:]+[,:]?|[,:]", arguments)
    rest = [{"index": 0, "function": {"arguments": piece}} for piece in pieces]
    return [{"tool_calls": [part]} for part in (opening, *rest)]


def _usage(messages: list[dict[str, Any]], deltas: list[dict[str, Any]]) -> dict[str, Any]:
    # Four tokens of framing a message, as chat templates have.
    asked = sum(4 + len(_tokens(_plain(message))) for message in messages)
    thought = sum("reasoning_content" in delta for delta in deltas)
    return {
        "prompt_tokens": asked,
        "completion_tokens": len(deltas),
        "total_tokens": asked + len(deltas),
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


# --- The smallest value a JSON Schema allows ------------------------------------------------

_MAX_DEPTH = 32  # levels; a schema that requires itself has no finite value


def example(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """A small value that is valid under a schema of the common keywords.

    Knows const, default, enum, anyOf, oneOf, local `$ref`, required, items, lengths and lower
    bounds. `pattern`, `format` and `allOf` are not looked at; where a schema requires itself
    without end, null stands 32 levels down.
    """
    return _example(schema, schema, 0)


def _example(schema: Any, root: Mapping[str, Any], depth: int) -> Any:  # noqa: ANN401 - as above
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return None
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if schema.get("enum"):
        return schema["enum"][0]
    meant = _meant(schema, root)
    if meant is not None:
        return _example(meant, root, depth + 1)
    return _EXAMPLE_OF_TYPE[_type(schema)](schema, root, depth)


def _meant(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as above
    """The schema that this one refers to or offers first, if it does either."""
    if "$ref" not in schema:
        return next((schema[key][0] for key in ("anyOf", "oneOf") if schema.get(key)), None)
    place: Any = root
    for step in filter(None, schema["$ref"].removeprefix("#").split("/")):
        name = step.replace("~1", "/").replace("~0", "~")
        place = place.get(name) if isinstance(place, Mapping) else None
    return place


def _type(schema: Mapping[str, Any]) -> str:
    named = schema.get("type")
    names = named if isinstance(named, list) else [named]
    known = next((name for name in names if name in _EXAMPLE_OF_TYPE), None)
    return known or ("object" if "required" in schema else "null")


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    return {
        name: _example(properties.get(name), root, depth + 1) for name in schema.get("required", ())
    }


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> list[Any]:
    item = schema.get("items")
    return [_example(item, root, depth + 1) for _ in range(schema.get("minItems", 0))]


def _string(schema: Mapping[str, Any], _root: Mapping[str, Any], _depth: int) -> str:
    return "demo".ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _number(schema: Mapping[str, Any], _root: Mapping[str, Any], _depth: int) -> int:
    """The lowest whole number allowed, or 0."""
    lowest: float = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    return ceil(lowest)


_EXAMPLE_OF_TYPE: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any], int], Any]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _number,
    "boolean": lambda _schema, _root, _depth: False,
    "null": lambda _schema, _root, _depth: None,
}
