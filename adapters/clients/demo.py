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
from math import ceil, floor, isfinite
from typing import Any
from zlib import crc32

import msgspec
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
        self.sent = 0
        """Nothing goes anywhere."""

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
        return msgspec.json.encode(example(schema)).decode()
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
    wanted = example(function.get("parameters") or {"type": "object"})
    arguments = msgspec.json.encode(wanted).decode()
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
_MAX_VALUES = 1_000  # of one example; two references to itself at each level are 2^32 of them
_MAX_LENGTH = 1_000  # characters, items


def example(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """A small value that is valid under a schema of the common keywords.

    Knows const, default, enum, anyOf, oneOf, local `$ref`, required, items, lengths and lower
    bounds. `pattern`, `format` and `allOf` are not looked at. Where a schema requires itself
    without end, null stands 32 levels down or after a thousand values; a keyword that holds what it
    cannot is as if it were not there.
    """
    return _Example(schema).of(schema, 0)


class _Example:
    """One example as it is made up."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = _MAX_VALUES

    def of(self, schema: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON value
        self._left -= 1
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH or self._left < 0:
            return None
        fixed = [schema[name] for name in ("const", "default") if name in schema]
        fixed += _list(schema, "enum")[:1]
        if fixed:
            return fixed[0]
        meant = self._meant(schema)
        return self._typed(schema, depth) if meant is None else self.of(meant, depth + 1)

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:  # noqa: ANN401 - as above
        value: Any = None
        match _type(schema):
            case "object":
                value = self._object(schema, depth)
            case "array":
                items = schema.get("items")
                value = [self.of(items, depth + 1) for _ in range(_size(schema, "minItems", 0))]
            case "string":
                shortest, longest = _size(schema, "minLength", 0), _size(schema, "maxLength", 4)
                value = "demo".ljust(shortest, ".")[: max(shortest, longest)]
            case "number" | "integer":
                value = _number(schema)
            case "boolean":
                value = False
            case _:
                pass
        return value

    def _meant(self, schema: Mapping[str, Any]) -> object:
        """The schema that this one refers to or offers first, if it does either."""
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            offers = (_list(schema, key) for key in ("anyOf", "oneOf"))
            return next((offered[0] for offered in offers if offered), None)
        place: Any = self._root
        for step in filter(None, reference.removeprefix("#").split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            place = place.get(name) if isinstance(place, Mapping) else None
        return place

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        known = properties if isinstance(properties, Mapping) else {}
        required = [name for name in _list(schema, "required") if isinstance(name, str)]
        return {name: self.of(known.get(name), depth + 1) for name in required[:_MAX_LENGTH]}


def _type(schema: Mapping[str, Any]) -> str:
    named = schema.get("type")
    names = named if isinstance(named, list) else [named]
    known = next((name for name in names if isinstance(name, str)), None)
    return known or ("object" if "required" in schema else "null")


def _list(schema: Mapping[str, Any], keyword: str) -> list[Any]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else []


def _size(schema: Mapping[str, Any], keyword: str, otherwise: int) -> int:
    value = schema.get(keyword)
    return max(0, min(value, _MAX_LENGTH)) if isinstance(value, int) else otherwise


def _number(schema: Mapping[str, Any]) -> int:
    """The lowest whole number allowed, or 0."""
    lowest, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    if isinstance(lowest, int | float) and isfinite(lowest):
        return ceil(lowest)
    return floor(above) + 1 if isinstance(above, int | float) and isfinite(above) else 0
