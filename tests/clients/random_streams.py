"""Random native streams as a service tells them: whole, or cut anywhere by a break or a cancel.

What is in them is drawn by `messages_streams.answers`: text, refusals, reasoning of every form,
calls, files and tools of a provider's own, woven into one another, signed and cited or not. Two
calls that speak in turns are too rare among them, and are drawn on their own.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.errors import make
from adapters.events import (
    AttemptEnd,
    BlockEnd,
    BlockStart,
    ErrorCode,
    Finish,
    Outcome,
    SequencedEvent,
    Status,
)
from tests.service.dialects.messages_streams import (
    ARGUMENTS,
    answers,
    call,
    counted,
    pieces,
    stream,
    woven_by,
)
from tests.service.streams.events_for_tests import end

BEGUN = 3
"""Events until an attempt has committed."""

CUT = {
    Finish.INTERRUPTED: (Status.FAILED, ErrorCode.STREAM_INTERRUPTED),
    Finish.CANCELLED: (Status.CANCELLED, ErrorCode.CANCELLED),
}


@st.composite
def cut(draw: st.DrawFn, whole: list[SequencedEvent]) -> list[SequencedEvent]:
    """The beginning of a stream, and the end that tells that it is one."""
    kept = whole[: draw(st.integers(BEGUN, len(whole) - 1))]
    finish = draw(st.sampled_from(list(CUT)))
    status, code = CUT[finish]
    begun = [event.block for event in kept if isinstance(event, BlockStart)]
    over = {event.block for event in kept if isinstance(event, BlockEnd)}
    left = [BlockEnd(block=name, status="incomplete") for name in begun if name not in over]
    error = make(code, "so it ended", bytes_out=True)
    return [*kept, *left, end(finish, status, usage=counted(9, 3), error=error)]


@st.composite
def parallel(draw: st.DrawFn) -> list[SequencedEvent]:
    """An answer of several calls that speak in turns."""
    count = draw(st.integers(2, 3))
    calls = [call(f"b1.{number}", *draw(pieces(draw(ARGUMENTS)))) for number in range(count)]
    turns = draw(st.permutations([number for number, of in enumerate(calls) for _ in of]))
    usage = counted(9, 3)
    over = AttemptEnd(attempt=1, outcome=Outcome.COMPLETED, usage=usage)
    return stream(*woven_by(calls, turns), over, end=end(Finish.TOOL_CALLS, usage=usage))


@st.composite
def streams(draw: st.DrawFn) -> list[SequencedEvent]:
    """Any stream; about every other one is cut."""
    whole: list[SequencedEvent] = draw(answers() | parallel())
    return draw(cut(whole)) if draw(st.booleans()) else whole


def some(count: int) -> list[list[SequencedEvent]]:
    """The same so many streams whenever it is asked."""
    made: list[list[SequencedEvent]] = []

    @settings(max_examples=count, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(streams())
    def draw(events: list[SequencedEvent]) -> None:
        made.append(events)

    draw()
    return made
