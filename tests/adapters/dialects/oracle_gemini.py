"""A naive reading of a generateContent stream, to judge the decoder by.

It sees the whole body at once and shares no code with the decoder: the parts of all chunks are one
list, and a question is asked of the list at a time. It takes no partial arguments but strings at
the top level, and no tools the provider runs.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Facts:
    """What a stream says."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    """(name, arguments) of each function call."""
    signatures: list[str] = field(default_factory=list)
    sources: list[tuple[str, str]] = field(default_factory=list)
    """(address, the words it supports) of each pair of source and stretch."""
    input: int | None = None
    cached: int | None = None
    thoughts: int | None = None
    output: int | None = None
    total: int | None = None
    finish: str = "interrupted"
    id: str | None = None
    model: str | None = None


FILTERED = {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"}


def chunks(body: bytes) -> list[dict[str, Any]]:
    """Every response object of the body, in order; what is not framed is the last one."""
    lines = body.splitlines()
    found: list[Any] = [
        orjson.loads(line.removeprefix(b"data:")) for line in lines if line.startswith(b"data:")
    ]
    rest = b"\n".join(line for line in lines if line[:1] in (b"{", b"}", b" "))
    if rest:
        found.append(orjson.loads(rest))
    return [one for chunk in found for one in (chunk if isinstance(chunk, list) else [chunk])]


def facts(body: bytes) -> Facts:
    """Read a whole stream."""
    found = Facts()
    all_chunks = chunks(body)
    candidates = [chunk["candidates"][0] for chunk in all_chunks if chunk.get("candidates")]
    parts = [part for one in candidates for part in one.get("content", {}).get("parts", [])]
    found.text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
    found.reasoning = "".join(part.get("text", "") for part in parts if part.get("thought"))
    found.signatures = [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]
    _calls(found, [part["functionCall"] for part in parts if "functionCall" in part])
    _sources(found, candidates)
    _usage(found, [chunk["usageMetadata"] for chunk in all_chunks if "usageMetadata" in chunk])
    for chunk in all_chunks:
        found.id = chunk.get("responseId", found.id)
        found.model = chunk.get("modelVersion", found.model)
    _finish(found, all_chunks, candidates)
    return found


def _calls(found: Facts, calls: list[dict[str, Any]]) -> None:
    for call in calls:
        if "name" in call:
            found.calls.append((call["name"], dict(call.get("args", {}))))
        for piece in call.get("partialArgs", []):
            arguments = found.calls[-1][1]
            name = piece["jsonPath"].removeprefix("$.")
            arguments[name] = arguments.get(name, "") + piece["stringValue"]


def _sources(found: Facts, candidates: list[dict[str, Any]]) -> None:
    for candidate in candidates:
        grounding = candidate.get("groundingMetadata", {})
        for support in grounding.get("groundingSupports", []):
            for index in support["groundingChunkIndices"]:
                address = grounding["groundingChunks"][index]["web"]["uri"]
                found.sources.append((address, support["segment"]["text"]))


def _usage(found: Facts, reports: list[dict[str, Any]]) -> None:
    last: dict[str, Any] = {}
    for report in reports:
        last = {**last, **report}

    def plus(*names: str) -> int | None:
        counts = [last[name] for name in names if name in last]
        return sum(counts) if counts else None

    found.input = plus("promptTokenCount", "toolUsePromptTokenCount")
    found.cached = plus("cachedContentTokenCount")
    found.thoughts = plus("thoughtsTokenCount")
    found.output = plus("candidatesTokenCount", "thoughtsTokenCount")
    found.total = plus("totalTokenCount")


def _finish(
    found: Facts, all_chunks: list[dict[str, Any]], candidates: list[dict[str, Any]]
) -> None:
    reasons = [one["finishReason"] for one in candidates if "finishReason" in one]
    blocked = any("blockReason" in chunk.get("promptFeedback", {}) for chunk in all_chunks)
    if any("error" in chunk for chunk in all_chunks):
        found.finish = "error"
    elif blocked or (reasons and reasons[-1] in FILTERED):
        found.finish = "content_filter"
    elif reasons and reasons[-1].startswith("MALFORMED"):
        found.finish = "error"
    elif reasons == ["STOP"] or set(reasons) == {"STOP"}:
        found.finish = "tool_calls" if found.calls else "stop"
    elif reasons == ["MAX_TOKENS"]:
        found.finish = "length"
