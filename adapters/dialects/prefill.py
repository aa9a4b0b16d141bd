"""A conversation that ends with the assistant: the beginning of the answer, given to the model.

Whether a client writes such a request or a broken answer is to be continued makes no difference: a
trailing assistant message that holds text, and neither tool calls nor a refusal, asks the model to
go on with it. Some models do (`contract.Model.prefill`), each format in its own words; what the
others do with it differs:

- where it is a 400, a user turn that asks to go on is added (`GO_ON`), with a warning;
- where the model answers it, as it would a user's message, it is sent as it is, with a warning.

Most answers begin behind the given text. Mistral's begin with it once more, so that decoder leaves
it out by a `RepeatedPrefix`.

Sources, read 2026-11: api-docs.deepseek.com (chat prefix completion); help.aliyun.com/en/
model-studio/partial-mode; platform.kimi.ai/docs (partial mode); docs.mistral.ai (prefix), and for
what Mistral repeats github.com/SillyTavern/SillyTavern/issues/2557 and vercel/ai pull request 3256.
"""

from adapters.contract import Call
from adapters.dialects.concessions import Concessions
from adapters.request import AssistantMessage, text_of

GO_ON = (
    "Continue your last message exactly where it stops. Begin with the very next character, a "
    "space or a line break where one belongs. Repeat nothing, and do not mention this request."
)
"""The user turn that asks for the rest of a message."""


def beginning(call: Call) -> str | None:
    """The text the request ends with, where it ends with a beginning of the answer."""
    last = call.request.messages[-1]
    if not isinstance(last, AssistantMessage) or last.tool_calls or last.refusal is not None:
        return None
    return text_of(last.content) or None


def is_prefill(call: Call) -> bool:
    """Whether the request ends with a beginning that the model goes on with."""
    return call.model.prefill and beginning(call) is not None


def needs_turn(call: Call, notes: Concessions) -> bool:
    """Whether `GO_ON` has to be added, for formats that refuse a trailing assistant message.

    Not behind tool calls: what is missing there are their results.
    """
    last = call.request.messages[-1]
    if not isinstance(last, AssistantMessage) or last.tool_calls or is_prefill(call):
        return False
    notes.changed("messages", "the model cannot be given a beginning, so a user turn was added")
    return True


def note_ignored(call: Call, notes: Concessions) -> None:
    """Warn where a beginning is sent to a model that may answer it instead of going on with it."""
    if not call.model.prefill and beginning(call) is not None:
        notes.ignored("messages", "the model is not known to go on with its own last message")


class RepeatedPrefix:
    """Takes the given beginning out of an answer that repeats it.

    Text is held back only as long as it is a beginning of the beginning.
    """

    __slots__ = ("_held", "_prefix", "open")

    def __init__(self, prefix: str) -> None:
        """`prefix`: the given beginning, not empty."""
        self._prefix = prefix
        self._held = ""
        self.open = True
        """Whether it is undecided yet; once it is not, all text is let through."""

    def take(self, text: str) -> str:
        """What to let out now."""
        if not self.open:
            return text
        self._held += text
        if len(self._held) < len(self._prefix) and self._prefix.startswith(self._held):
            return ""
        return self.rest().removeprefix(self._prefix)

    def rest(self) -> str:
        """The text is over: what was held back."""
        held, self._held = self._held, ""
        self.open = False
        return held
