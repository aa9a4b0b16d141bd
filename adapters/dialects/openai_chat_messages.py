"""The messages of a chat-completions request.

Histories come from other providers too. So tool-call ids are rewritten where a provider insists on
a form (by a hash, so that a call and its result stay paired in every request); reasoning that
carries another provider's signature is left out; and a tool call whose arguments are not a JSON
object, as a broken stream leaves one, is sent with `{}`: some answer 400 to such text (DashScope,
qwen-plus-malformed-replayed-tool-arguments-error.json), and without the call its result would be
an orphan, which is a 400 as well.
"""

import base64
import hashlib
import re
from typing import Any, assert_never

import orjson

from adapters.contract import Call
from adapters.dialects.blocks import is_json_object
from adapters.dialects.concessions import Concessions, refusal
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.request import (
    AssistantMessage,
    ImagePart,
    Message,
    Part,
    Reasoning,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
    text_of,
)

_UNKNOWN_REASONING = " "  # DeepSeek V4 refuses an empty string


def write(call: Call, quirks: ChatQuirks, notes: Concessions) -> list[dict[str, Any]]:
    """All messages of the call's request.

    Raises RequestError (`unsupported_parameter`) for an image that the model cannot take.
    """
    messages = _Messages(call, quirks, notes)
    return [messages.written(at, message) for at, message in enumerate(call.request.messages)]


def details_format(provider: str) -> str:
    """The `reasoning.signature` format of a provider's `reasoning_details`."""
    return f"{provider}.reasoning_details"


class _Messages:
    """Writes messages one by one; what they share is the call."""

    def __init__(self, call: Call, quirks: ChatQuirks, notes: Concessions) -> None:
        self._call = call
        self._provider = call.provider.name
        self._quirks = quirks
        self._notes = notes

    def written(self, at: int, message: Message) -> dict[str, Any]:
        """The message at that place in the request."""
        match message:
            case SystemMessage():
                role = self._quirks.instruction_role or message.role
                written = {"role": role, "content": text_of(message.content)}
                return self._named(message.name, written)
            case UserMessage():
                content = self._content(at, message.content)
                return self._named(message.name, {"role": "user", "content": content})
            case AssistantMessage():
                return self._named(message.name, self._assistant(at, message))
            case ToolMessage():
                # No name: the call's id pairs them, and most providers refuse one here.
                return {
                    "role": "tool",
                    "tool_call_id": self._call_id(message.tool_call_id),
                    "content": text_of(message.content),
                }
            case _:
                assert_never(message)

    def _named(self, name: str | None, written: dict[str, Any]) -> dict[str, Any]:
        if name is None:
            return written
        if self._quirks.names:
            return {**written, "name": name}
        self._notes.dropped("messages[].name", "the provider does not take it")
        return written

    def _content(self, at: int, content: str | list[Part]) -> str | list[dict[str, Any]]:
        """Text alone is sent as a string, which everybody takes."""
        if isinstance(content, str) or all(isinstance(part, TextPart) for part in content):
            return text_of(content)
        if not self._call.model.images:
            raise refusal(self._call, f"messages[{at}].content", "the model takes no images")
        return [_part(part) for part in content]

    def _assistant(self, at: int, message: AssistantMessage) -> dict[str, Any]:
        written: dict[str, Any] = {"role": "assistant", "content": None}
        if message.content is not None:
            written["content"] = text_of(message.content)
        if message.refusal is not None:
            if self._quirks.refusals:
                written["refusal"] = message.refusal
            else:
                said = (written["content"], message.refusal)
                written["content"] = "\n".join(text for text in said if text)
        if message.tool_calls:
            written["tool_calls"] = [
                self._tool_call(f"messages[{at}].tool_calls[{number}]", made)
                for number, made in enumerate(message.tool_calls)
            ]
        written.update(self._past_reasoning(message))
        return written

    def _tool_call(self, field: str, made: ToolCall) -> dict[str, Any]:
        arguments = made.function.arguments
        if not is_json_object(arguments):
            if arguments.strip():
                self._notes.changed(f"{field}.function.arguments", "not a JSON object, sent as {}")
            arguments = "{}"
        return {
            "id": self._call_id(made.id),
            "type": "function",
            "function": {"name": made.function.name, "arguments": arguments},
        }

    def _call_id(self, given: str) -> str:
        pattern = self._quirks.call_id_pattern
        if pattern is None or re.fullmatch(pattern, given):
            return given
        digest = base64.b32encode(hashlib.sha256(given.encode()).digest()).decode()
        return digest[: self._quirks.call_id_length]

    def _past_reasoning(self, message: AssistantMessage) -> dict[str, Any]:
        echo = self._quirks.reasoning_echo
        own = [part for part in message.reasoning or () if self._is_own(part)]
        text = "".join(part.text for part in own)
        if echo == "reasoning_details":
            details = [detail for part in own for detail in self._details(part)]
            if details:
                return {"reasoning_details": details}
            return {"reasoning": text} if text else {}
        if echo == "reasoning_content" and (text or message.tool_calls):
            return {"reasoning_content": text or _UNKNOWN_REASONING}
        return {}

    def _is_own(self, part: Reasoning) -> bool:
        """Whether reasoning may go to this provider: signed by it, or by nobody."""
        return part.signature is None or part.signature.provider == self._provider

    def _details(self, part: Reasoning) -> list[Any]:
        signature = part.signature
        if signature is None or signature.format != details_format(self._provider):
            return []
        try:
            details = orjson.loads(signature.value)
        except orjson.JSONDecodeError:
            details = None
        if not isinstance(details, list):
            self._notes.dropped(
                "messages[].reasoning", "its signature is not what the provider gave"
            )
            return []
        return details


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        return {"type": "image_url", "image_url": part.image_url.model_dump(exclude_none=True)}
    return {"type": "text", "text": part.text}
