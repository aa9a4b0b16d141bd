"""Who has read most of a prompt before: what a provider is likely to have in its prompt cache.

Providers keep the beginnings of prompts for some minutes and charge a tenth for reading them again.
A hedge sent elsewhere pays for all of it, so a request whose beginning was sent to one candidate a
moment ago and to no other is not worth hedging (`exclusions`, cache lost). Nobody tells what is in
a cache; what is known is what was sent where and when, and that is remembered here: per target, the
running hash of the messages after each of them, with the characters so far.

Deciding only: `now` in seconds is an argument. Lives as long as the process; bounded. Left out: the
providers' own rules (least lengths, breakpoints), of which the shortest length here is the mean.
"""

from collections import OrderedDict
from itertools import accumulate

from adapters.request import AssistantMessage, ChatRequest, Message, ToolMessage, text_of
from service.routing.health import Target

LEAST = 4_096  # characters
"""A thousand tokens: what most providers begin to cache at."""

KEPT = 300.0
"""Seconds: the shortest time for which the providers that say so keep a prompt."""

MOST_PROMPTS = 10_000
"""Of all targets, the oldest forgotten; 100 bytes each."""


class PromptCaches:
    """What was sent to whom lately."""

    def __init__(self) -> None:
        """Nothing was."""
        self._sent: OrderedDict[tuple[Target, int], float] = OrderedDict()
        """When, by target and the hash of a whole prompt."""

    def sent(self, target: Target, prompt: "Prompt", now: float) -> None:
        """A prompt is on its way to a target."""
        if prompt.length < LEAST:
            return
        key = (target, prompt.hashes[-1])
        self._sent.pop(key, None)
        self._sent[key] = now
        if len(self._sent) > MOST_PROMPTS:
            self._sent.popitem(last=False)

    def share(self, target: Target, prompt: "Prompt", now: float) -> float:
        """The share of a prompt that the target has probably read before, 0 to 1."""
        for hashed, length in zip(reversed(prompt.hashes), reversed(prompt.lengths), strict=True):
            if length < LEAST:
                break
            sent = self._sent.get((target, hashed))
            if sent is not None and now < sent + KEPT:
                return length / prompt.length
        return 0.0


class Prompt:
    """A request's messages, as a cache sees them: every beginning has a name and a length."""

    __slots__ = ("hashes", "lengths")

    def __init__(self, request: ChatRequest) -> None:
        """Read a request: a pass over its text."""
        texts = [_text(message) for message in request.messages]
        self.lengths = list(accumulate(map(len, texts)))
        """Characters up to the end of each message."""
        hashed = 0
        self.hashes: list[int] = []
        for message, text in zip(request.messages, texts, strict=True):
            hashed = hash((hashed, message.role, text))
            self.hashes.append(hashed)

    @property
    def length(self) -> int:
        """Characters of all messages."""
        return self.lengths[-1]


def _text(message: Message) -> str:
    text = text_of(message.content)
    if isinstance(message, AssistantMessage) and message.tool_calls:
        calls = (call.function.name + call.function.arguments for call in message.tool_calls)
        return text + "".join(calls)
    return text + message.tool_call_id if isinstance(message, ToolMessage) else text
