"""Mistral's chat completions: OpenAI's format but for a few names and the reasoning.

A delta's content is a string or, where the model thinks, a list of typed parts: `thinking` parts
hold a list of text parts of their own, `text` parts the answer; both may be in one chunk
(ruby_llm.chat_mistral_hybrid_reasoning_streams_thinking_separately_from_content.json). Parts of
other types, references and images, are skipped. Past reasoning is not sent back, which Mistral
allows and does not ask for.

An answer that goes on with a given beginning (`prefix`) repeats it; it is left out.

Source: the request and chunk models of mistralai 3.7.0; docs/providers.md.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

from typing_extensions import override

from adapters.contract import Call, Decoder, Encoded
from adapters.dialects import openai_chat_request, prefill
from adapters.dialects.openai_chat import ChatDecoder
from adapters.dialects.openai_chat_asides import objects, text
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.events import AttemptEvent, BlockKind, Error, Finish

QUIRKS: Final = ChatQuirks(
    stream_usage=False,  # unknown fields are a 422, and usage comes unasked
    seed_field="random_seed",
    unsupported=frozenset({"user"}),
    names=False,
    call_id_pattern="[A-Za-z0-9]{9}",
    call_id_length=9,
    required_word="any",
    prefill="prefix",
    # "Expected last role User or Tool (or Assistant with prefix True)", a 400.
    assistant_last=False,
)
"""What the format itself settles; a provider may add to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MistralChat:
    """The dialect."""

    name: ClassVar[str] = "mistral_chat"
    quirks: ChatQuirks = QUIRKS

    def encode(self, call: Call) -> Encoded:
        """Write the request; see `openai_chat_request.encode`."""
        return openai_chat_request.encode(call, self.quirks)

    def decoder(self, call: Call) -> Decoder:
        """A fresh decoder for one attempt."""
        given = prefill.beginning(call) if call.model.prefill else None
        if given is None:
            return MistralDecoder(call, self.quirks)
        return PrefilledDecoder(call, self.quirks, prefill.RepeatedPrefix(given))


class MistralDecoder(ChatDecoder):
    """One answer's bytes -> events, with content in parts."""

    @override
    def _content(self, out: list[AttemptEvent], content: object) -> None:
        if isinstance(content, str):
            self._say(out, BlockKind.TEXT, content)
        for part in objects(content):
            if part.get("type") == "thinking":
                thoughts = objects(part.get("thinking"))
                said = "".join(text(thought.get("text")) for thought in thoughts)
                self._say(out, BlockKind.REASONING, said)
            elif part.get("type") == "text":
                self._say(out, BlockKind.TEXT, text(part.get("text")))


class PrefilledDecoder(MistralDecoder):
    """The same for an answer that goes on with a given beginning: without that beginning."""

    __slots__ = ("_repeated",)

    def __init__(self, call: Call, quirks: ChatQuirks, repeated: prefill.RepeatedPrefix) -> None:
        """A decoder at the start of a body."""
        super().__init__(call, quirks)
        self._repeated = repeated

    @override
    def _common(self, out: list[AttemptEvent], payload: bytes) -> bool:
        return not self._repeated.open and super()._common(out, payload)

    @override
    def _say(self, out: list[AttemptEvent], kind: BlockKind, said: str) -> None:
        answer = kind is BlockKind.TEXT
        super()._say(out, kind, self._repeated.take(said) if answer else said)

    @override
    def _end(self, out: list[AttemptEvent], finish: Finish, error: Error | None) -> None:
        rest = self._repeated.rest()
        if error is None:  # else it is the beginning of a repetition that was cut off
            super()._say(out, BlockKind.TEXT, rest)
        super()._end(out, finish, error)
