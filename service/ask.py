"""`tailrace ask`: one question to a running service, its answer in the terminal as it comes.

It reads the native event stream like any other client and prints what the events say, each when it
comes. The answer's text goes to standard output; what is said about it (a warning, who took over,
with `--explain` the plan and every attempt) goes to standard error. One thing is said on standard
output: that text which stands there is withdrawn, because whoever reads only that must not take it
for a part of the answer. The stream is asked to end with its reader, so an interrupted command
costs nothing further.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TextIO

import msgspec

from adapters.events import (
    AttemptCommit,
    AttemptEnd,
    AttemptStart,
    Candidate,
    ControlEvent,
    Event,
    Failover,
    Outcome,
    Passed,
    RefusalDelta,
    RoutePlan,
    SequencedEvent,
    Status,
    StreamEnd,
    TextDelta,
    WarningEvent,
)
from adapters.sse import Message
from service.remote import RemoteError

MOST_NAMED = 4
"""Candidates named by `--explain`; `tailrace plan` lists them all."""

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(SequencedEvent | ControlEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the command line asked."""

    text: str
    model: str = "auto"
    use_case: str | None = None
    tier: str | None = None
    complexity: str | None = None
    latency: str | Mapping[str, object] | None = None
    """A strategy, or the object form of the request."""
    max_tokens: int | None = None
    after_commit: str | None = None
    providers: tuple[str, ...] = ()
    """These only; empty: anybody."""
    explain: bool = False

    def body(self) -> dict[str, object]:
        """The request of `POST /v1/streams`; what was not asked for is left to the service."""
        wishes = {
            "use_case": self.use_case,
            "budget_tier": self.tier,
            "complexity": self.complexity,
            "latency": self.latency,
            "max_tokens": self.max_tokens,
            "after_commit": self.after_commit,
            "providers": {"only": self.providers} if self.providers else None,
            "open_early_ms": 0 if self.explain else None,
        }
        return {
            "messages": [{"role": "user", "content": self.text}],
            "model": self.model,
            "on_disconnect": "cancel_after:0",
            **{name: wish for name, wish in wishes.items() if wish is not None},
        }


@dataclass(slots=True, kw_only=True)
class Screen:
    """Two streams of text, on a terminal the same one, and where the answer's stands."""

    out: TextIO
    notes: TextIO
    _mid_line: bool = field(default=False, init=False)
    """The answer's last line is not ended."""
    _noted: bool = field(default=False, init=False)
    """A note has stood below it since."""

    def answer(self, text: str) -> None:
        """More of the answer, at once."""
        self.out.write(text)
        self.out.flush()
        self._mid_line, self._noted = not text.endswith("\n"), False

    def note(self, text: str) -> None:
        """A line about the answer, below what it has said so far.

        The line break before it is the note's: one in the answer would change what it says.
        """
        gap = "\n" if self._mid_line and not self._noted else ""
        print(f"{gap}{text}", file=self.notes, flush=True)
        self._noted = True

    def withdraw(self, text: str) -> None:
        """A line in the answer's own stream, about what stands there."""
        self.end_line()
        self.answer(f"{text}\n")

    def end_line(self) -> None:
        """Leave the cursor at the start of a line."""
        if self._mid_line:
            self.answer("\n")


def show(messages: Iterable[Message], screen: Screen, *, explain: bool) -> int:
    """Print the answer as it comes; the exit code: 0 where there is one, 1 where it failed.

    Raises RemoteError: the connection broke, or the stream stopped without its last event.
    """
    story = _Story(screen, explain=explain)
    try:
        for message in messages:
            event = _decoder.decode(message.data)
            story.tell(event)
            if isinstance(event, StreamEnd):
                return _exit_code(event)
    finally:
        screen.end_line()
    raise RemoteError("the stream stopped without an end")


def show_raw(messages: Iterable[Message], out: TextIO) -> int:
    """Print each event's JSON on a line of its own; else as `show`."""
    for message in messages:
        print(message.data.decode(), file=out, flush=True)
        if message.event == "stream.end":
            return _exit_code(_decoder.decode(message.data))
    raise RemoteError("the stream stopped without an end")


def _exit_code(end: Event) -> int:
    answered = isinstance(end, StreamEnd) and end.status in {Status.COMPLETED, Status.INCOMPLETE}
    return 0 if answered else 1


# --- The story of one stream ----------------------------------------------------------------


class _Story:
    """Prints events in their order; remembers what later ones refer to by number."""

    def __init__(self, screen: Screen, *, explain: bool) -> None:
        self._screen = screen
        self._explain = explain
        self._starts: dict[int, AttemptStart] = {}
        self._running: set[int] = set()
        self._said: dict[str, int] = {}
        """Characters on the screen, by block; what was withdrawn is not counted any more."""

    def tell(self, event: Event) -> None:
        """Print what an event says, if it says anything to a person."""
        match event:
            case TextDelta() | RefusalDelta():
                self._said[event.block] = self._said.get(event.block, 0) + len(event.delta)
                self._screen.answer(event.delta)
            case Failover():
                self._taken_over(event)
            case WarningEvent():
                self._screen.note(f"[warning: {event.message}]")
            case StreamEnd():
                self._ended(event)
            case _:
                self._attempted(event)

    def _taken_over(self, event: Failover) -> None:
        withdrawn = sum(self._said.pop(block, 0) for block in event.drop or ())
        if withdrawn:
            which = f"the last {withdrawn} characters above" if self._said else "the text above"
            self._screen.withdraw(f"[withdrawn: {which}; another answer follows]")
        how = _TAKEN_OVER[event.mode].format(_name(self._starts.get(event.to)))
        self._screen.note(f"[{how}: {event.error.message}]")

    def _ended(self, event: StreamEnd) -> None:
        self._screen.end_line()
        if event.error is not None:
            self._screen.note(f"tailrace: {event.error.code}: {event.error.message}")
        if self._explain:
            self._screen.note(f"[{_sum(event)}]")

    def _attempted(self, event: Event) -> None:
        if isinstance(event, AttemptStart):
            self._starts[event.attempt] = event
            self._running.add(event.attempt)
        elif isinstance(event, AttemptEnd):
            self._running.discard(event.attempt)
        if self._explain:
            for line in self._explained(event):
                self._screen.note(f"[{line}]")

    def _explained(self, event: Event) -> Iterator[str]:
        match event:
            case RoutePlan():
                yield from _planned(event)
            case AttemptStart():
                yield f"{event.after_ms} ms: attempt {event.attempt}, {event.role}: {_name(event)}"
            case AttemptCommit():
                yield self._won(event)
            case AttemptEnd(outcome=outcome) if outcome in _ENDED:
                why = f": {event.error.message}" if event.error else ""
                yield f"{self._numbered(event.attempt)} {_ENDED[outcome]}{why}"
            case _:
                return

    def _won(self, event: AttemptCommit) -> str:
        alone = self._running <= {event.attempt}
        verb = "takes over" if event.reason == "failover" else "answers" if alone else "wins"
        what = "a clean end without content" if event.reason == "empty_end" else "first token"
        won = f"{self._numbered(event.attempt)} {verb}: {what} after {event.ttft_ms} ms"
        start = self._starts.get(event.attempt)
        if start is None or not start.after_ms:
            return won
        return f"{won}, {start.after_ms + event.ttft_ms} ms into the request"

    def _numbered(self, attempt: int) -> str:
        start = self._starts.get(attempt)
        return f"attempt {attempt}" if start is None else f"attempt {attempt} ({start.provider})"


_TAKEN_OVER = {"restart": "restarted by {}", "continue": "continued by {}"}

_ENDED = {
    Outcome.LOST_RACE: "lost",
    Outcome.FAILED: "failed",
    Outcome.CANCELLED: "was cancelled",
    Outcome.SUPERSEDED: "was replaced",
    Outcome.TIMEOUT: "timed out",
}
"""How attempts end that have something to tell; a completed one is what the last line is about."""


def _name(start: AttemptStart | None) -> str:
    if start is None:
        return "another attempt"
    name = f"{start.provider}/{start.model}"
    if start.substitutes is None:
        return name
    original = f"{start.substitutes.provider}/{start.substitutes.model}"
    kinship = _spoken(start.substitutes.kinship)
    return f"{name} instead of {original}" + ("" if kinship == "other" else f" ({kinship})")


def _planned(plan: RoutePlan) -> Iterator[str]:
    hedged = "" if plan.hedge_after_ms is None else f" after {plan.hedge_after_ms} ms"
    cap = "" if plan.cap_usd is None else f", at most ${plan.cap_usd}"
    yield f"plan: {plan.policy}, {plan.strategy}{hedged}{cap}"
    for candidate in plan.candidates[:MOST_NAMED]:
        yield f"  may answer: {_expected(candidate)}"
    if len(plan.candidates) > MOST_NAMED:
        yield f"  may answer: {len(plan.candidates) - MOST_NAMED} more"
    for reason, names in _grouped(plan.skipped or ()).items():
        yield f"  skipped, {_spoken(reason)}: {', '.join(names)}"


def _expected(candidate: Candidate) -> str:
    cost = "" if candidate.cost_usd is None else f", about ${candidate.cost_usd}"
    usual = (
        "" if candidate.ttft_ms is None else f", first token usually after {candidate.ttft_ms} ms"
    )
    return f"{candidate.provider}/{candidate.model}{cost}{usual}"


def _grouped(skipped: Iterable[Passed]) -> dict[str, list[str]]:
    """Who was passed over, by the reason: a dozen providers without a key are one line."""
    groups: dict[str, list[str]] = {}
    for skip in skipped:
        name = skip.provider if skip.model is None else f"{skip.provider}/{skip.model}"
        groups.setdefault(skip.reason, []).append(name)
    return groups


def _sum(end: StreamEnd) -> str:
    who = f" by {end.provider}/{end.model}" if end.provider else ""
    first = end.timing.ttft_ms
    parts = [
        "no token" if first is None else f"first token after {first} ms",
        *([] if end.timing.tokens_per_s is None else [f"{end.timing.tokens_per_s:g} tokens/s"]),
        f"cost {_cost(end)}",
        f"{_count(end.usage.input)} tokens in",
        f"{_count(end.usage.output)} out",
        f"all in {end.timing.total_ms} ms",
    ]
    return f"{end.finish}{who}: {', '.join(parts)}"


def _cost(end: StreamEnd) -> str:
    """The answer's, and what its losing and broken attempts add to it."""
    own, all_of_it = end.usage.cost_usd, end.usage_total.cost_usd
    said = "unknown" if own is None else f"${own}"
    return said if all_of_it in {own, None} else f"{said} (${all_of_it} with every attempt)"


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)


def _spoken(name: str) -> str:
    return name.replace("_", " ")
