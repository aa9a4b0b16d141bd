"""What happens to usage on its way: counted here, read by the metrics, told to no consumer.

One object hears of publishing and of counting (`publisher.Observer`, `aggregate.Observer`). Plain
numbers, for the event loop's thread, as long as the process.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from service.usage.rollups import Letter


@dataclass(slots=True)
class Watch:
    """Numbers since the start, and what is so now."""

    events: int = 0
    """In the stream that were not there before."""
    rewinds: int = 0
    """Times that Redis held less than it had."""
    new: int = 0
    """Events that are in the sums now."""
    again: int = 0
    """Events that came and were in the sums already."""
    letters: int = 0
    """Events that were given up."""
    lost: int = 0
    """Producers of whom events are in no stream: replay their journals."""
    at_cap: bool = False
    """Whether the stream takes no more until its consumers have caught up."""
    failing: dict[str, str] = field(default_factory=dict)
    """What cannot go on at the moment, and why."""

    def publishing(self) -> "Publishing":
        """For a publisher."""
        return Publishing(self)

    def counting(self) -> "Counting":
        """For an aggregator."""
        return Counting(self)

    def counts(self) -> Iterator[tuple[str, int]]:
        """What happened, and how often since the start."""
        yield "published", self.events
        yield "rewound", self.rewinds
        yield "counted", self.new
        yield "repeated", self.again
        yield "given_up", self.letters
        yield "missing", self.lost

    def troubles(self) -> Iterator[tuple[str, int]]:
        """What may be wrong, and 1 where it is now."""
        yield "stream_full", int(self.at_cap)
        yield "publishing", int("publishing" in self.failing)
        yield "counting", int("counting" in self.failing)

    def note(self, part: str, reason: str | None) -> None:
        """A part fails for that reason; None: it does no more."""
        if reason is None:
            self.failing.pop(part, None)
        else:
            self.failing[part] = reason


@dataclass(frozen=True, slots=True)
class Publishing:
    """What a publisher tells."""

    watch: Watch

    def published(self, events: int) -> None:
        """So many are in the stream that were not before."""
        self.watch.events += events

    def rewound(self, producer: str, known: int, mark: int) -> None:
        """Redis holds less than it did."""
        del producer, known, mark  # the log has them
        self.watch.rewinds += 1

    def full(self, full: bool) -> None:  # noqa: FBT001 - as in publisher.Observer
        """Whether the stream is at its cap."""
        self.watch.at_cap = full

    def failed(self, reason: str | None) -> None:
        """A try did; None: all is well."""
        self.watch.note("publishing", reason)


@dataclass(frozen=True, slots=True)
class Counting:
    """What an aggregator tells."""

    watch: Watch

    def counted(self, new: int, repeated: int) -> None:
        """So many are in the sums now, and so many were already."""
        self.watch.new += new
        self.watch.again += repeated

    def buried(self, letter: Letter) -> None:
        """An event was given up."""
        del letter  # the log and the table of dead letters have it
        self.watch.letters += 1

    def missing(self, producer: str, after: int, mark: int) -> None:
        """Events of a producer are in no stream."""
        del producer, after, mark  # the log has them
        self.watch.lost += 1

    def failed(self, reason: str | None) -> None:
        """A try did; None: all is well."""
        self.watch.note("counting", reason)
