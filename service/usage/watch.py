"""What happens to usage on its way: counted here, read by the metrics, told to no consumer.

`Watch` has the numbers; every publisher and every aggregator tells it through an observer of its
own (`publisher.Observer`, `aggregate.Observer`), so that one which is well cannot hide one that is
not. For the event loop's thread, as long as the process.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from service.usage.rollups import Letter


class Watch:
    """What happened since the start, and what is so now."""

    def __init__(self) -> None:
        """Nothing has happened."""
        self._counts: Counter[str] = Counter()
        self._publishing: list[Publishing] = []
        self._counting: list[Counting] = []

    def publishing(self) -> "Publishing":
        """For one publisher."""
        self._publishing.append(Publishing(self._counts))
        return self._publishing[-1]

    def counting(self) -> "Counting":
        """For one aggregator."""
        self._counting.append(Counting(self._counts))
        return self._counting[-1]

    def dismiss(self, publishing: "Publishing") -> None:
        """That publisher has ended; what it did stays counted."""
        self._publishing.remove(publishing)

    def counts(self) -> Iterator[tuple[str, int]]:
        """What happened, and how often since the start."""
        for name in ("published", "rewound", "counted", "repeated", "given_up", "missing"):
            yield name, self._counts[name]

    def troubles(self) -> Iterator[tuple[str, int]]:
        """What may be wrong, and 1 where it is with anybody now."""
        yield "stream_full", int(any(one.at_cap for one in self._publishing))
        yield "publishing", int(any(one.failing for one in self._publishing))
        yield "counting", int(any(one.failing for one in self._counting))


@dataclass(slots=True, eq=False)
class Publishing:
    """What one publisher tells."""

    counts: Counter[str]
    at_cap: bool = field(default=False, init=False)
    """Whether its stream takes no more until the consumers have caught up."""
    failing: bool = field(default=False, init=False)

    def published(self, events: int) -> None:
        """So many are in the stream that were not before."""
        self.counts["published"] += events

    def rewound(self, producer: str, known: int, mark: int) -> None:
        """Redis held less than it did."""
        del producer, known, mark  # the log has them
        self.counts["rewound"] += 1

    def full(self, full: bool) -> None:  # noqa: FBT001 - as in publisher.Observer
        """Whether the stream is at its cap."""
        self.at_cap = full

    def failed(self, reason: str | None) -> None:
        """A try did; None: all is well."""
        self.failing = reason is not None


@dataclass(slots=True, eq=False)
class Counting:
    """What one aggregator tells, of all its shards."""

    counts: Counter[str]
    failing: int = field(default=0, init=False)
    """Shards that cannot go on."""

    def counted(self, new: int, repeated: int) -> None:
        """So many are in the sums now, and so many were already."""
        self.counts["counted"] += new
        self.counts["repeated"] += repeated

    def buried(self, letter: Letter) -> None:
        """An event was given up."""
        del letter  # the log and the table of dead letters have it
        self.counts["given_up"] += 1

    def missing(self, producer: str, after: int, mark: int) -> None:
        """Events of a producer are in no stream."""
        del producer, after, mark  # the log has them
        self.counts["missing"] += 1

    def failed(self, reason: str | None) -> None:
        """One more shard cannot go on; None: one that could not is well again."""
        self.failing += -1 if reason is None else 1
