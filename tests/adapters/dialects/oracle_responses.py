"""What a Responses stream says, worked out without the decoder: by its last event.

The decoder passes deltas on; this reads the finished answer that `response.completed` or
`.incomplete` repeats as a whole, so that the two only agree if the deltas add up. A stream without
such an end is read by its text deltas alone. One body, one answer: what follows the end (one
recording holds four answers) is not looked at.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from adapters.events import Finish

_INCOMPLETE = {"max_output_tokens": Finish.LENGTH, "content_filter": Finish.CONTENT_FILTER}
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


@dataclass(slots=True)
class Answer:
    """What is in a stream."""

    finish: Finish = Finish.INTERRUPTED
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    signatures: list[tuple[str, str]] = field(default_factory=list)
    """(item id, encrypted content)."""
    addresses: list[str] = field(default_factory=list)
    """Of all sources, annotations and search results, in order."""
    usage: dict[str, Any] | None = None
    upstream_id: str | None = None
    model: str | None = None


def payloads(body: bytes) -> list[dict[str, Any]]:
    """Every whole event of a body, up to the first that ends an answer."""
    found: list[dict[str, Any]] = []
    *blocks, _ = body.decode().replace("\r\n", "\n").split("\n\n")
    for block in blocks:
        lines = [line for line in block.split("\n") if line.startswith("data: ")]
        found += [orjson.loads(line[6:]) for line in lines]
        if found and found[-1]["type"] in (*_ENDS, "error"):
            break
    return found


def read(body: bytes) -> Answer:
    """The answer in a body."""
    events = payloads(body)
    answer = Answer()
    for event in events:
        response = event.get("response") or {}
        answer.upstream_id = response.get("id") or answer.upstream_id
        answer.model = response.get("model") or answer.model
        answer.usage = response.get("usage") or answer.usage
        item = event.get("item") or {}
        if event["type"] == "response.output_item.done" and item.get("encrypted_content"):
            # The last event has another value for the same item (the recording with encrypted
            # content); OpenAI's reference says to use this one.
            answer.signatures.append((item["id"], item["encrypted_content"]))
    last = events[-1]["type"]
    if last in ("error", "response.failed"):
        answer.finish = Finish.ERROR
    if last in ("response.completed", "response.incomplete"):
        _finished(answer, events[-1]["response"])
    else:
        deltas = [event for event in events if event["type"] == "response.output_text.delta"]
        answer.text = "".join(event["delta"] for event in deltas)
    return answer


def _finished(answer: Answer, response: dict[str, Any]) -> None:
    for item in response["output"]:
        if item["type"] == "reasoning":
            parts = [part["text"] for part in item["summary"]]
            raw = [part["text"] for part in item.get("content") or []]
            answer.reasoning += "\n\n".join(parts) + "".join(raw)
        elif item["type"] == "function_call":
            answer.calls.append((item["call_id"], item["name"], item["arguments"]))
        elif item["type"] == "search_results":
            answer.addresses += [result["url"] for result in item["results"]]
        for part in item.get("content") or [] if item["type"] == "message" else []:
            answer.text += part.get("text", "")
            answer.refusal += part.get("refusal", "")
            answer.addresses += [source["url"] for source in part.get("annotations", [])]
    if response["status"] == "incomplete":
        answer.finish = _INCOMPLETE[response["incomplete_details"]["reason"]]
    elif answer.calls:
        answer.finish = Finish.TOOL_CALLS
    else:
        answer.finish = Finish.REFUSAL if answer.refusal else Finish.STOP
