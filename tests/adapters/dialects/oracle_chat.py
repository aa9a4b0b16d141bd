"""A second reading of chat-completions streams, for judging the decoders by.

As naive as can be: the body is split at blank lines, every chunk parsed whole, and the answer put
together afterwards from the list of all chunks. It shares nothing with the decoders and knows no
schema: finish reasons and counts are the provider's words.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Answer:
    """What a stream says."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[dict[str, str]] = field(default_factory=list)
    """id, name and args of each call, in order."""
    finish: str | None = None
    failed: bool = False
    usage: dict[str, Any] | None = None
    """The last usage object, wherever it stood."""
    upstream_id: str | None = None
    model: str | None = None

    @property
    def total_output(self) -> int:
        """Output tokens with reasoning among them."""
        assert self.usage is not None
        output: int = self.usage["completion_tokens"]
        rest: int = self.usage["total_tokens"] - self.usage["prompt_tokens"] - output
        return output + rest


def read(body: bytes) -> Answer:
    """The whole body at once."""
    answer = Answer()
    for chunk in _chunks(body):
        _add(answer, chunk)
    return answer


def _chunks(body: bytes) -> list[dict[str, Any]]:
    blocks = re.split(rb"\r?\n\r?\n", body)
    payloads = [
        re.sub(rb"^data: ?", b"", line)
        for block in blocks
        for line in block.splitlines()
        if line.startswith(b"data:")
    ]
    return [orjson.loads(payload) for payload in payloads if payload != b"[DONE]"]


def _add(answer: Answer, chunk: dict[str, Any]) -> None:
    answer.upstream_id = answer.upstream_id or chunk.get("id") or None
    answer.model = answer.model or chunk.get("model") or None
    answer.failed = answer.failed or bool(chunk.get("error"))
    answer.usage = chunk.get("usage") or answer.usage
    for choice in chunk.get("choices") or []:
        answer.finish = choice.get("finish_reason") or answer.finish
        answer.usage = choice.get("usage") or answer.usage
        _say(answer, choice.get("delta") or {})


def _say(answer: Answer, delta: dict[str, Any]) -> None:
    content = delta.get("content") or ""
    if isinstance(content, list):
        for part in content:
            if part["type"] == "thinking":
                answer.reasoning += "".join(thought["text"] for thought in part["thinking"])
            else:
                answer.text += part["text"]
    else:
        answer.text += content
    answer.reasoning += delta.get("reasoning_content") or delta.get("reasoning") or ""
    answer.refusal += delta.get("refusal") or ""
    calls = delta.get("tool_calls") or []
    for place, fragment in enumerate(calls):
        function = fragment.get("function") or {}
        if function.get("name") and fragment.get("id"):
            answer.calls.append({"id": fragment["id"], "name": function["name"], "args": ""})
        # Fragments of one chunk belong to different calls; one alone to its index or the last.
        at = fragment.get("index", place if len(calls) > 1 else len(answer.calls) - 1)
        answer.calls[at]["args"] += function.get("arguments") or ""
