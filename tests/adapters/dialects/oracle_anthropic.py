"""A naive reading of a Messages API stream, to judge the decoder by.

It sees the whole body at once and shares no code with the decoder: every `data:` line is JSON, the
deltas of a block are those under its index up to its stop. Slow, and wrong for streams that use an
index twice; the streams it judges do not.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Facts:
    """What a stream says."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    """(id, name, arguments parsed) of each tool call."""
    signatures: list[tuple[str, str]] = field(default_factory=list)
    """(format, value) of each."""
    quotes: list[str] = field(default_factory=list)
    """The quoted words of each citation."""
    input: int | None = None
    cached: int | None = None
    written: int | None = None
    output: int | None = None
    finish: str = "interrupted"
    stop_reason: str | None = None
    id: str | None = None
    model: str | None = None


FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "compaction": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_length",
}


def payloads(body: bytes) -> list[dict[str, Any]]:
    """Every JSON object of the body, in order."""
    return [
        orjson.loads(line.removeprefix(b"data:"))
        for line in body.splitlines()
        if line.startswith(b"data:")
    ]


def facts(body: bytes) -> Facts:
    """Read a whole stream."""
    found = Facts()
    events = payloads(body)
    starts = [event["message"] for event in events if event["type"] == "message_start"]
    if starts:
        found.id, found.model = starts[0]["id"], starts[0]["model"]
    for event in events:
        if event["type"] == "content_block_start":
            _block(found, event["content_block"], _deltas(events, event))
    _usage(found, starts[:1], [event for event in events if event["type"] == "message_delta"])
    _finish(found, events)
    return found


def _deltas(events: list[dict[str, Any]], start: dict[str, Any]) -> list[dict[str, Any]]:
    own = [event for event in events if event.get("index") == start["index"]]
    return [event["delta"] for event in own if event["type"] == "content_block_delta"]


def _block(found: Facts, block: dict[str, Any], deltas: list[dict[str, Any]]) -> None:
    def joined(name: str) -> str:
        return "".join(delta[name] for delta in deltas if name in delta)

    if block["type"] == "text":
        found.text += block["text"] + joined("text")
        cited = [
            *(block.get("citations") or []),
            *(d["citation"] for d in deltas if "citation" in d),
        ]
        found.quotes += [citation["cited_text"] for citation in cited]
    elif block["type"] == "thinking":
        found.reasoning += block["thinking"] + joined("thinking")
        found.signatures += [
            ("anthropic.signature", delta["signature"]) for delta in deltas if "signature" in delta
        ]
    elif block["type"] == "redacted_thinking":
        found.signatures.append(("anthropic.redacted", block["data"]))
    elif block["type"] == "tool_use":
        arguments = joined("partial_json")
        parsed = orjson.loads(arguments) if arguments else block["input"]
        found.calls.append((block["id"], block["name"], parsed))
    elif block["type"] == "fallback":
        found.model = block["to"]["model"]


def _usage(found: Facts, starts: list[dict[str, Any]], ends: list[dict[str, Any]]) -> None:
    counts: dict[str, int] = {}
    for holder in [*starts, *ends]:
        counts |= {
            name: count for name, count in holder.get("usage", {}).items() if count is not None
        }
    found.cached = counts.get("cache_read_input_tokens")
    found.written = counts.get("cache_creation_input_tokens")
    if "input_tokens" in counts:
        found.input = counts["input_tokens"] + (found.cached or 0) + (found.written or 0)
    found.output = counts.get("output_tokens") if ends else None


def _finish(found: Facts, events: list[dict[str, Any]]) -> None:
    reasons = [
        event["delta"]["stop_reason"] for event in events if event["type"] == "message_delta"
    ]
    if any(event["type"] == "error" for event in events):
        found.finish = "error"
    elif reasons:
        found.stop_reason = reasons[-1]
        found.finish = FINISHES.get(reasons[-1], "other")
