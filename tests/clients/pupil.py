"""A model that does as it is told, and nothing that it was not told.

Suites that probe a service ask its model for small things: a call of this tool, JSON after that
schema, a word repeated, a sum. The pupil does them, by what of the request has reached it and by
nothing else: it stops where it was given a stop sequence, is brief where it was given a limit,
thinks where it was asked to, and is inventive where the temperature is high and nothing holds it
back. So a field that is lost on the way shows in the answer, as it would with a real model, and the
same requests have the same answers in every run.

It is asked in chat completions or in Anthropic's Messages. A token is a word.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Final

import orjson

from adapters.dialects.prefill import GO_ON
from tests.double.answer import Tokens, reasoning, tool_call
from tests.double.script import Script, reply
from tests.double.seen import Seen

_MANY: Final = 200
"""Words of what has no end of its own."""

_THOUGHT: Final = "They want something, and this is what it takes."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """A request as the pupil understands it, whatever form it came in."""

    turns: Sequence[tuple[str, str]]
    """Who spoke, and what; instructions are the system's, a tool's result is the user's."""
    tools: Mapping[str, Mapping[str, Any]]
    """Name -> JSON Schema of the arguments."""
    choice: str
    """`auto`, `none`, `required` or a tool's name."""
    parallel: bool
    schema: Mapping[str, Any] | None
    """What the answer must be like; empty: any JSON object."""
    stop: Sequence[str]
    limit: int | None
    """Tokens."""
    thinks: bool
    inventive: bool

    @property
    def question(self) -> str:
        """What was said last."""
        return self.turns[-1][1]

    @property
    def whole(self) -> str:
        """All that was said."""
        return "\n".join(text for _, text in self.turns)

    @property
    def called(self) -> list[str]:
        """The tools that have to be called."""
        if self.choice in self.tools:
            return [self.choice]
        names = list(self.tools) if self.choice == "required" else []
        return names if self.parallel else names[:1]


class Pupil:
    """Answers a double's requests: `double.choose(Pupil().script)`."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self._tries = count(1)

    def script(self, seen: Seen) -> Script:
        """What to play for a request."""
        assert seen.route is not None
        heard = _HEARD[seen.route.api](seen.body)
        calls = [tool_call(name, _json(_made(heard.tools[name], heard))) for name in heard.called]
        text, stop = _until("" if calls else self._text(heard), heard.stop)
        thought = _THOUGHT if heard.thinks else ""
        words = iter([*_words(thought), *_words(text)])
        spent = list(islice(words, heard.limit))
        thoughts, said = spent[: len(_words(thought))], spent[len(_words(thought)) :]
        asked = len(_words(heard.whole))
        return reply(
            *([reasoning(*thoughts)] if thoughts else ()),
            *said,
            *calls,
            tokens=Tokens(
                input=asked,
                cached=asked // 2,
                output=len(spent) + len(calls) or 1,
                reasoning=len(thoughts),
            ),
            finish="length" if next(words, None) else None,
            stop_sequence=stop,
        )

    def _text(self, heard: _Heard) -> str:
        """What there is to say to that."""
        if heard.schema is not None:
            return _json(_made(heard.schema, heard) if heard.schema else _SOMEBODY)
        if heard.turns[-1][0] == "assistant" or heard.question == GO_ON:
            return "is."
        if heard.inventive and "Invent" in heard.question:
            return f"Band number {next(self._tries)}"
        for pattern, answer in _SAYS:
            if found := re.search(pattern, heard.whole, re.DOTALL):
                return answer(found)
        return "Hello."


_SOMEBODY: Final = {"name": "Ada", "age": 36}

_SUMS: Final[Mapping[str, Callable[[int, int], int]]] = {"*": int.__mul__, "+": int.__add__}

_SAYS: Final[Sequence[tuple[str, Callable[[re.Match[str]], str]]]] = (
    (r'exactly the word "(\w+)"', lambda found: found[1]),
    (r"exactly(?:, nothing else)?:\s(.+)", lambda found: found[1]),
    (r"[Mm]y name is (\w+).*What is my name", lambda found: found[1]),
    (r"(\d+) ([*+]) (\d+)", lambda found: str(_SUMS[found[2]](int(found[1]), int(found[3])))),
    (r"JSON object", lambda _: _json(_SOMEBODY)),
    (r"capital of France", lambda _: "Paris."),
    (r"essay|Count|at length", lambda _: "wave " * _MANY),
)
"""What is looked for in all that was said, the first found counts, and what it calls for."""


def _until(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    """The text up to the stop sequence that comes first, and which that was."""
    ends = sorted((at, stop) for stop in stops if (at := text.find(stop)) >= 0)
    return (text[: ends[0][0]], ends[0][1]) if ends else (text, None)


def _words(text: str) -> list[str]:
    """The words, each with the space after it: joined they are the text."""
    return re.findall(r"\s*\S+\s*", text)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _made(schema: Mapping[str, Any], heard: _Heard) -> object:
    """Some value after a schema; a string is what was to be repeated, if anything was."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "object":
            wanted = schema.get("required", ())
            return {name: _made(schema["properties"][name], heard) for name in wanted}
        case "string":
            found = re.search(r"exactly:\s(.+)", heard.question)
            return found[1] if found else "Paris"
        case kind:
            return {"integer": 4, "boolean": True}[kind]


# --- The two forms of a request -------------------------------------------------------------

_Body = Mapping[str, Any]

_NO_THOUGHT: Final = {"effort": "none"}

_LIKELIEST: Final = 0.1
"""A `top_p` that leaves one word to choose from."""


def _chat(body: _Body) -> _Heard:
    choice = body.get("tool_choice", "auto")
    wanted = body.get("response_format") or {"type": "text"}
    schema = {"json_object": {}, "json_schema": wanted.get("json_schema", {}).get("schema")}
    return _Heard(
        turns=[(message["role"], _said(message.get("content"))) for message in body["messages"]],
        tools={tool["function"]["name"]: tool["function"]["parameters"] for tool in _tools(body)},
        choice=choice if isinstance(choice, str) else choice["function"]["name"],
        parallel=body.get("parallel_tool_calls") is not False,
        schema=schema.get(wanted["type"]),
        stop=body.get("stop", ()),
        limit=body.get("max_tokens"),
        thinks=body.get("reasoning", _NO_THOUGHT) != _NO_THOUGHT,
        inventive=_inventive(body),
    )


_CHOICES: Final = {"any": "required"}


def _messages(body: _Body) -> _Heard:
    choice = body.get("tool_choice", {"type": "auto"})
    system = body.get("system", "")
    turns = [(message["role"], _said(message["content"])) for message in body["messages"]]
    return _Heard(
        turns=[("system", _said(system)), *turns],
        tools={tool["name"]: tool["input_schema"] for tool in _tools(body)},
        choice=choice.get("name") or _CHOICES.get(choice["type"], choice["type"]),
        parallel=not choice.get("disable_parallel_tool_use"),
        schema=body.get("output_config", {}).get("format", {}).get("schema"),
        stop=body.get("stop_sequences", ()),
        limit=body["max_tokens"],
        thinks=body.get("thinking", {}).get("type") in ("enabled", "adaptive"),
        inventive=_inventive(body),
    )


_HEARD: Final[Mapping[str, Callable[[_Body], _Heard]]] = {"chat": _chat, "messages": _messages}


def _tools(body: _Body) -> Sequence[_Body]:
    tools: Sequence[_Body] = body.get("tools") or ()
    return tools


def _inventive(body: _Body) -> bool:
    sure = "seed" in body or body.get("top_p", 1.0) < _LIKELIEST
    return not sure and bool(body.get("temperature"))


def _said(content: object) -> str:
    return content if isinstance(content, str) else "\n".join(_texts(content))


def _texts(content: object) -> Iterator[str]:
    for part in content if isinstance(content, list) else ():
        yield from (str(part[name]) for name in ("text", "thinking", "content") if name in part)
