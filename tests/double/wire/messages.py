"""Anthropic Messages.

Blocks have indexes and never interleave; `ping` stands where the provider puts it, after the first
block has begun. Token counts are exclusive on this wire: `input_tokens` leaves cached and
cache-written tokens out.
"""

from collections.abc import Iterator
from typing import Any

from tests.double.answer import Answer, Citation, Part, Reasoning, Refusal, Text, ToolCall
from tests.double.errors import ErrorAnswer, Kind
from tests.double.wire.scribe import Ask, event

PING = event("ping", {"type": "ping"})

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


class MessagesScribe:
    """Writes Messages events."""

    def __init__(self, answer: Answer, ask: Ask) -> None:
        """Begin an answer."""
        self.answer = answer
        self._ask = ask
        self._index = -1
        self._pinged = False
        self._refusal: str | None = None

    def start(self) -> Iterator[bytes]:
        message: dict[str, Any] = {
            "id": "msg_double",
            "type": "message",
            "role": "assistant",
            "model": self._ask.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**self._input_usage(), "output_tokens": 1, "service_tier": "standard"},
        }
        yield event("message_start", {"type": "message_start", "message": message})

    def opening(self, part: Part) -> Iterator[bytes]:
        if isinstance(part, Refusal):  # said in the finish alone
            return
        self._index += 1
        yield self._event("content_block_start", content_block=self._block(part))
        if not self._pinged:
            self._pinged = True
            yield PING

    def piece(self, part: Part, text: str) -> Iterator[bytes]:
        match part:
            case Text():
                yield self._delta("text_delta", text=text)
            case Reasoning(redacted=None):
                yield self._delta("thinking_delta", thinking=text)
            case ToolCall():
                yield self._delta("input_json_delta", partial_json=text)
            case Reasoning() | Refusal():  # withheld, or said in the finish
                return

    def closing(self, part: Part, whole: str) -> Iterator[bytes]:
        match part:
            case Text():
                for citation in part.citations:
                    yield self._delta("citations_delta", citation=_cited(citation))
            case Reasoning(signature=str(), redacted=None):
                yield self._delta("signature_delta", signature=part.signature)
            case Refusal():
                self._refusal = whole
                return
            case Reasoning() | ToolCall():
                pass
        yield self._event("content_block_stop")

    def ending(self) -> Iterator[bytes]:
        stop = self.answer.stop_sequence
        why = self.answer.why if stop is None else "stop_sequence"
        delta: dict[str, Any] = {
            "stop_reason": _STOP_REASONS.get(why, why),
            "stop_sequence": stop,
        }
        if self._refusal is not None:
            delta["stop_details"] = {
                "type": "refusal",
                "category": "cyber",
                "explanation": self._refusal,
            }
        usage = {**self._input_usage(), "output_tokens": self.answer.tokens.output}
        yield event("message_delta", {"type": "message_delta", "delta": delta, "usage": usage})
        yield event("message_stop", {"type": "message_stop"})

    def failure(self, kind: Kind, error: ErrorAnswer) -> Iterator[bytes]:
        del kind
        yield event("error", error.body)

    def _block(self, part: Part) -> dict[str, Any]:
        match part:
            case Reasoning(redacted=str()):
                return {"type": "redacted_thinking", "data": part.redacted}
            case Reasoning():
                return {"type": "thinking", "thinking": "", "signature": ""}
            case ToolCall():
                call_id = part.call_id or f"toolu_double{self._index}"
                return {"type": "tool_use", "id": call_id, "name": part.name, "input": {}}
            case _:
                return {"type": "text", "text": ""}

    def _input_usage(self) -> dict[str, int]:
        tokens = self.answer.tokens
        return {
            "input_tokens": tokens.input - tokens.cached - tokens.cache_write,
            "cache_creation_input_tokens": tokens.cache_write,
            "cache_read_input_tokens": tokens.cached,
        }

    def _delta(self, kind: str, **fields: object) -> bytes:
        return self._event("content_block_delta", delta={"type": kind, **fields})

    def _event(self, name: str, **fields: object) -> bytes:
        return event(name, {"type": name, "index": self._index, **fields})


def _cited(citation: Citation) -> dict[str, Any]:
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title,
        "cited_text": citation.quote,
        "encrypted_index": "double",
    }
