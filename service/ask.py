"""`tailrace ask`: one question to a running service, its answer in the terminal as it comes.

It reads the native event stream like any other client. The answer's text goes to standard output
and nothing else does; what is said about it (a retraction, a warning, with `--explain` the plan and
every attempt) goes to standard error. The stream is asked to end with its reader, so an interrupted
command costs nothing further.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TextIO

import msgspec

from adapters.events import (
    AttemptCommit,
    AttemptEnd,
    AttemptStart,
    ControlEvent,
    Error,
    Event,
    Failover,
    RefusalDelta,
    RoutePlan,
    SequencedEvent,
    Status,
    StreamEnd,
    TextDelta,
    Timing,
    WarningEvent,
)
from adapters.sse import Message
from service.remote import RemoteError

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(SequencedEvent | ControlEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the command line asked."""

    text: str
    model: str = "auto"
    use_case: str | None = None
    tier: str | None = None
    latency: str | None = None
    explain: bool = False

    def body(self) -> dict[str, object]:
        """The request of `POST /v1/streams`; what was not asked for is left to the service."""
        wishes = {
            "use_case": self.use_case,
            "budget_tier": self.tier,
            "latency": self.latency,
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
    """Two streams of text, and where the answer's stands."""

    out: TextIO
    notes: TextIO
    _mid_line: bool = field(default=False, init=False)

    def answer(self, text: str) -> None:
        """More of the answer, at once."""
        self.out.write(text)
        self.out.flush()
        self._mid_line = not text.endswith("\n")

    def note(self, text: str) -> None:
        """A line about the answer, below what it has said so far."""
        self.end_line()
        print(text, file=self.notes, flush=True)

    def end_line(self) -> None:
        """Leave the cursor at the start of a line."""
        if self._mid_line:
            self.answer("\n")


def show(messages: Iterable[Message], screen: Screen, *, explain: bool) -> int:
    """Print the answer as it comes; the exit code: 0 where there is one, 1 where it failed.

    Raises RemoteError: the connection broke, or the stream stopped without its last event.
    """
    try:
        for message in messages:
            event = _decoder.decode(message.data)
            if isinstance(event, TextDelta | RefusalDelta):
                screen.answer(event.delta)
            for note in _notes(event, explain=explain):
                screen.note(note)
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


def _notes(event: Event, *, explain: bool) -> Iterator[str]:
    match event:
        case Failover():
            yield f"[{event.mode}: {event.error.message}]"
        case WarningEvent():
            yield f"[warning: {event.message}]"
        case StreamEnd(error=Error() as error):
            yield f"tailrace: {error.code}: {error.message}"
        case _:
            pass
    if explain and (explanation := _explanation(event)) is not None:
        yield explanation


def _explanation(event: Event) -> str | None:
    match event:
        case RoutePlan():
            names = (f"{candidate.provider}/{candidate.model}" for candidate in event.candidates)
            return f"[{event.policy}: {', '.join(names)}]"
        case AttemptStart():
            where = f"{event.provider}/{event.model}"
            return f"[attempt {event.attempt}: {event.role}, {where}, after {event.after_ms} ms]"
        case AttemptCommit():
            return f"[attempt {event.attempt} answers: first token after {event.ttft_ms} ms]"
        case AttemptEnd():
            why = f": {event.error.message}" if event.error else ""
            return f"[attempt {event.attempt} {event.outcome}{why}]"
        case StreamEnd():
            who = f" by {event.provider}/{event.model}" if event.provider else ""
            used = f"{_count(event.usage.input)} tokens in, {_count(event.usage.output)} out"
            return f"[{event.finish}{who}: {used}; {_times(event.timing)}]"
        case _:
            return None


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)


def _times(timing: Timing) -> str:
    first = "no token" if timing.ttft_ms is None else f"first after {timing.ttft_ms} ms"
    return f"{first}, all in {timing.total_ms} ms"
