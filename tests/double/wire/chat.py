"""OpenAI chat completions, as each of its providers speaks it; Mistral is one of them.

`Manner` holds the differences as data. What it leaves out: log probabilities, several choices,
audio, and the random padding some providers add to every chunk.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from tests.double.answer import Answer, Part, Reasoning, Refusal, Text, Tokens, ToolCall
from tests.double.errors import ErrorAnswer, Kind
from tests.double.wire.scribe import CREATED, DONE, Ask, data, event

Delta = dict[str, Any]
UsagePlace = Literal["x_groq", "finish", "choice", "last", "repeat"]
"""In the finish chunk's `x_groq`, beside its choices, inside its choice; in a last chunk without
choices; in a last chunk that repeats the finish (OpenRouter)."""


def _nothing(_: str) -> Delta | None:
    return None


def reasoning_content(text: str) -> Delta:
    """DeepSeek, Kimi, Qwen, GLM, xAI."""
    return {"reasoning_content": text}


def reasoning_channel(text: str) -> Delta:
    """Groq with gpt-oss (groq/pydantic-ai.test_tool_use_failed_error_streaming)."""
    return {"reasoning": text, "channel": "analysis"}


def reasoning_details(text: str) -> Delta:
    """OpenRouter: the same text twice."""
    detail = {"type": "reasoning.text", "text": text, "index": 0, "format": "anthropic-claude-v1"}
    return {"content": "", "reasoning": text, "reasoning_details": [detail]}


def signed_details(signature: str) -> Delta:
    """OpenRouter: the signature comes as a detail of its own."""
    detail = {"type": "reasoning.text", "signature": signature, "format": "anthropic-claude-v1"}
    return {"content": "", "reasoning": None, "reasoning_details": [{**detail, "index": 0}]}


def thinking_content(text: str) -> Delta:
    """Mistral: the content becomes an array."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
    return {"content": [thinking]}


def plain_usage(tokens: Tokens) -> dict[str, Any]:
    """OpenAI: inclusive counts."""
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
    }


def deepseek_usage(tokens: Tokens) -> dict[str, Any]:
    """With cache hits and misses."""
    return {
        **plain_usage(tokens),
        "prompt_cache_hit_tokens": tokens.cached,
        "prompt_cache_miss_tokens": tokens.input - tokens.cached,
    }


def kimi_usage(tokens: Tokens) -> dict[str, Any]:
    """With the cached tokens at the top as well."""
    return {**plain_usage(tokens), "cached_tokens": tokens.cached}


def groq_usage(tokens: Tokens) -> dict[str, Any]:
    """With times in seconds."""
    times = {"queue_time": 0.0415, "prompt_time": 0.0104, "completion_time": 0.0466}
    return {**times, **plain_usage(tokens), "total_time": 0.057}


def grok_usage(tokens: Tokens) -> dict[str, Any]:
    """`completion_tokens` leaves the reasoning out; a tick is 10^-10 dollars."""
    return {
        **plain_usage(tokens),
        "completion_tokens": tokens.output - tokens.reasoning,
        "num_sources_used": 0,
        "cost_in_usd_ticks": round(tokens.cost_usd * 10**10),
    }


def openrouter_usage(tokens: Tokens) -> dict[str, Any]:
    """With the bill in dollars."""
    return {**plain_usage(tokens), "cost": tokens.cost_usd, "is_byok": False}


def mistral_usage(tokens: Tokens) -> dict[str, Any]:
    """Without reasoning tokens."""
    usage = plain_usage(tokens)
    del usage["completion_tokens_details"]
    return usage


_FILTER_RESULTS = {
    name: {"filtered": False, "severity": "safe"}
    for name in ("hate", "self_harm", "sexual", "violence")
}
AZURE_OPENING: Mapping[str, Any] = {
    "choices": [],
    "created": 0,
    "id": "",
    "model": "",
    "object": "",
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _FILTER_RESULTS}],
}
"""Azure's first chunk (copilot/vercel-ai.azure-model-router.1)."""

_EMPTY: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manner:
    """How one provider speaks chat completions. The defaults are OpenAI's own."""

    extra: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    """Fields of every chunk."""
    opening: bytes = b""
    """Sent before the first chunk."""
    role: Mapping[str, Any] | None = field(
        default_factory=lambda: MappingProxyType({"role": "assistant", "content": ""})
    )
    """The first chunk's delta; None: the role comes with the first content."""
    every_delta: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    """Fields of every delta."""
    reasoning: Callable[[str], Delta | None] = _nothing
    signed: Callable[[str], Delta | None] = _nothing
    """How the signature of reasoning is sent."""
    whole_calls: bool = False
    call: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({"type": "function"}))
    """Fields of a call's first fragment beside id and function."""
    later_call: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    """Fields of its other fragments: Qwen repeats an empty id."""
    call_index: bool = True
    call_id: str = "call_double{}"
    refusals: bool = True
    """Has `delta.refusal`; elsewhere a refusal is text."""
    usage: Callable[[Tokens], dict[str, Any]] = plain_usage
    usage_places: tuple[UsagePlace, ...] = ()
    usage_if_asked: tuple[UsagePlace, ...] = ("last",)
    """Only with `stream_options.include_usage`."""
    finish_words: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """Where they are not OpenAI's."""
    every_choice: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    """Fields of every choice."""
    failing: Literal["chunk", "event", "choice"] = "chunk"
    """An error inside the stream: a bare error object, then [DONE]; a named event, then the end
    of the bytes (Groq); a chunk with an error and an error finish, then [DONE] (OpenRouter)."""
    failing_finish: Mapping[Kind, str] = field(default_factory=lambda: _EMPTY)
    """Errors said by a finish reason instead."""


_FINISH = {"refusal": "stop"}


class ChatScribe:
    """Writes chat completion chunks."""

    def __init__(self, answer: Answer, ask: Ask, manner: Manner) -> None:
        """Begin an answer in one provider's manner."""
        self.answer = answer
        self._ask = ask
        self._manner = manner
        self._calls = -1
        self._role = manner.role is None

    def start(self) -> Iterator[bytes]:
        manner = self._manner
        if manner.opening:
            yield manner.opening
        if manner.role is not None:
            yield self._chunk({**manner.role})

    def opening(self, part: Part) -> Iterator[bytes]:
        if not isinstance(part, ToolCall):
            return
        self._calls += 1
        if not self._manner.whole_calls:
            yield self._call(part, arguments="")

    def piece(self, part: Part, text: str) -> Iterator[bytes]:
        delta = self._delta(part, text)
        if delta is not None:
            yield self._chunk(delta)

    def closing(self, part: Part, whole: str) -> Iterator[bytes]:
        if isinstance(part, ToolCall) and self._manner.whole_calls:
            yield self._call(part, arguments=whole or "{}")
        elif isinstance(part, ToolCall) and not whole:
            yield from self.piece(part, "{}")
        elif isinstance(part, Reasoning) and part.signature is not None:
            delta = self._manner.signed(part.signature)
            if delta is not None:
                yield self._chunk(delta)
        elif isinstance(part, Text) and part.citations:
            yield self._chunk({"content": "", "annotations": _annotations(part)})

    def ending(self) -> Iterator[bytes]:
        manner, why = self._manner, self.answer.why
        finish = manner.finish_words.get(why) or _FINISH.get(why, why)
        places = (*manner.usage_places, *(manner.usage_if_asked if self._ask.usage else ()))
        usage = manner.usage(self.answer.tokens)
        beside: dict[str, Any] = {"usage": usage} if "finish" in places else {}
        if "x_groq" in places:
            beside["x_groq"] = {"id": "req_double", "usage": usage}
        inside = {"usage": usage} if "choice" in places else {}
        yield self._chunk({}, finish=finish, choice=inside, beside=beside)
        if "last" in places:
            yield data({**self._envelope(), "choices": [], "usage": usage})
        if "repeat" in places:
            yield self._chunk({"content": ""}, finish=finish, beside={"usage": usage})
        yield DONE

    def failure(self, kind: Kind, error: ErrorAnswer) -> Iterator[bytes]:
        manner = self._manner
        if kind in manner.failing_finish:
            yield self._chunk({}, finish=manner.failing_finish[kind])
            yield DONE
        elif manner.failing == "event":
            yield event("error", error.body)
        elif manner.failing == "choice":
            yield self._chunk({"content": ""}, finish="error", beside=error.body)
            yield DONE
        else:
            yield data(error.body)
            yield DONE

    def _delta(self, part: Part, text: str) -> Delta | None:
        manner = self._manner
        match part:
            case Text():
                return {"content": text}
            case Refusal():
                return {"refusal": text} if manner.refusals else {"content": text}
            case Reasoning():
                return manner.reasoning(text)
            case ToolCall():
                if manner.whole_calls:
                    return None
                fragment = {**self._index(), **manner.later_call, "function": {"arguments": text}}
                return {"tool_calls": [fragment]}

    def _call(self, part: ToolCall, *, arguments: str) -> bytes:
        manner = self._manner
        call = {
            **self._index(),
            "id": part.call_id or manner.call_id.format(self._calls),
            **manner.call,
            "function": {"name": part.name, "arguments": arguments},
        }
        return self._chunk({"tool_calls": [call]})

    def _index(self) -> dict[str, int]:
        return {"index": self._calls} if self._manner.call_index else {}

    def _chunk(
        self,
        delta: Delta,
        *,
        finish: str | None = None,
        choice: Mapping[str, Any] = _EMPTY,
        beside: Mapping[str, Any] = _EMPTY,
    ) -> bytes:
        if self._role:
            self._role = False
            delta = {"role": "assistant", **delta}
        choice = {
            "index": 0,
            "delta": {**self._manner.every_delta, **delta},
            "finish_reason": finish,
            **self._manner.every_choice,
            **choice,
        }
        return data({**self._envelope(), "choices": [choice], **beside})

    def _envelope(self) -> dict[str, Any]:
        return {
            "id": "chatcmpl-double",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self._ask.model,
            **self._manner.extra,
        }


def _annotations(part: Text) -> list[dict[str, Any]]:
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "url": citation.url,
                "title": citation.title,
                "start_index": citation.start,
                "end_index": citation.end,
                "content": citation.quote,
            },
        }
        for citation in part.citations
    ]
