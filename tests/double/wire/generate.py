"""Gemini's streamGenerateContent with `alt=sse`.

Every chunk is a whole response: parts so far unsent, and the usage so far, which the last chunk
makes final. Calls come whole and usually without an id; `candidatesTokenCount` leaves the thoughts
out. A refusal is a finish, not a text.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from tests.double.answer import Answer, Citation, Part, Reasoning, Refusal, Text, ToolCall
from tests.double.errors import ErrorAnswer, Kind
from tests.double.wire.scribe import Ask, data

_FINISH_REASONS = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
}


class GenerateScribe:
    """Writes Gemini chunks."""

    def __init__(self, answer: Answer, ask: Ask) -> None:
        """Begin an answer."""
        self.answer = answer
        self._ask = ask
        self._tokens = 0
        self._citations: list[Citation] = []

    def start(self) -> Iterator[bytes]:
        return iter(())

    def opening(self, part: Part) -> Iterator[bytes]:
        del part
        return iter(())

    def piece(self, part: Part, text: str) -> Iterator[bytes]:
        match part:
            case Text():
                yield self._chunk({"text": text})
            case Reasoning():
                yield self._chunk({"text": text, "thought": True})
            case ToolCall() | Refusal():  # sent whole, or said in the finish
                return

    def closing(self, part: Part, whole: str) -> Iterator[bytes]:
        match part:
            case ToolCall():
                yield self._chunk(_call(part, whole))
            case Reasoning(signature=str()):
                yield self._chunk({"text": "", "thoughtSignature": part.signature})
            case Text():
                self._citations.extend(part.citations)
            case Reasoning() | Refusal():
                return

    def ending(self) -> Iterator[bytes]:
        why = self.answer.why
        tokens = self.answer.tokens
        self._tokens = tokens.output - tokens.reasoning
        fields: dict[str, Any] = {"finishReason": _FINISH_REASONS.get(why, why)}
        if self._citations:
            fields["groundingMetadata"] = _grounding(self._citations)
        yield self._write({"text": ""}, **fields)

    def failure(self, kind: Kind, error: ErrorAnswer) -> Iterator[bytes]:
        del kind
        yield data(error.body)

    def _chunk(self, part: dict[str, Any]) -> bytes:
        tokens = self.answer.tokens
        self._tokens = min(self._tokens + 1, tokens.output - tokens.reasoning)
        return self._write(part)

    def _write(self, part: dict[str, Any], **fields: object) -> bytes:
        candidate = {"content": {"parts": [part], "role": "model"}, **fields, "index": 0}
        return data(
            {
                "candidates": [candidate],
                "usageMetadata": self._usage(),
                "modelVersion": self._ask.model,
                "responseId": "double",
            }
        )

    def _usage(self) -> dict[str, Any]:
        tokens = self.answer.tokens
        usage = {
            "promptTokenCount": tokens.input,
            "candidatesTokenCount": self._tokens,
            "totalTokenCount": tokens.input + self._tokens + tokens.reasoning,
            "cachedContentTokenCount": tokens.cached,
        }
        if tokens.reasoning:
            usage["thoughtsTokenCount"] = tokens.reasoning
        return usage


def _call(part: ToolCall, arguments: str) -> dict[str, Any]:
    call: dict[str, Any] = {"name": part.name, "args": orjson.loads(arguments or "{}")}
    if part.call_id is not None:
        call["id"] = part.call_id
    written: dict[str, Any] = {"functionCall": call}
    if part.signature is not None:
        written["thoughtSignature"] = part.signature
    return written


def _grounding(citations: list[Citation]) -> dict[str, Any]:
    return {
        "webSearchQueries": ["double"],
        "groundingChunks": [
            {"web": {"uri": citation.url, "title": citation.title}} for citation in citations
        ],
        "groundingSupports": [
            {
                "segment": {
                    "startIndex": citation.start,
                    "endIndex": citation.end,
                    "text": citation.quote,
                },
                "groundingChunkIndices": [number],
            }
            for number, citation in enumerate(citations)
        ],
    }
