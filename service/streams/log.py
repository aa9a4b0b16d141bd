"""One stream's events: a sequence number each, encoded once, read by cursor.

`append` numbers the events of one network read, encodes each into the bytes that every consumer
will see, keeps them, and calls the live readers, all in the caller's task: a second task would
cost more than the JSON (docs/hot-path.md). A reader is told with `push` and has a cursor of its
own, so a late joiner, a resumed reader and a live one share one code path, and a slow one
holds no queue of its own.

The log is bounded. Beyond `max_bytes` or `max_events` the oldest entries go, folded into a
snapshot; a cursor that points before the oldest kept entry is served that snapshot and reads on
from there. Nothing is folded, and no event object is kept, while the log stays within its bounds.
(The bounds are exceeded by one append at most: what is new is never evicted.)

An entry is a whole SSE block, `id: <stream>:<seq>`, `event:` and one `data:` line, because most
readers are SSE; `json_of` slices the JSON out of it for the others.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from adapters.events import (
    SCHEMA_VERSION,
    ControlEvent,
    Event,
    SequencedEvent,
    StreamEnd,
    StreamSnapshot,
)
from service.streams.fold import Fold

MAX_BYTES = 8 * 1024 * 1024
MAX_EVENTS = 50_000

EVICTED = 64
"""The part of a full log that is folded away at once: a 64th."""

_DATA = b"\ndata: "
_EVENT = b"\nevent: "
_BLOCK = b"id: %b:%%d\nevent: %%b\ndata: "
_JSON = b'{"v":%d,"stream":"%b","seq":%%d,"ts":%%d,%%b\n\n'

_DELTA = b'"delta":"'
_AFTER_DELTA = b'"}\n\n'

_encode = msgspec.json.Encoder().encode


def _delta_bytes(entry: bytes) -> int:
    at = entry.find(_DELTA)
    return 0 if at < 0 else len(entry) - at - len(_DELTA) - len(_AFTER_DELTA)


class _Tags(dict[type[Event], bytes]):
    """Event class -> its type as bytes, filled as classes are met."""

    def __missing__(self, kind: type[Event]) -> bytes:
        tag = self[kind] = str(kind.__struct_config__.tag).encode()
        return tag


_TAGS = _Tags()


class Reader(Protocol):
    """Whoever follows a log."""

    def push(self, new: list[bytes], upto: int) -> None:
        """The entries `new` have been added; the next one will have the number `upto`.

        Called in the writer's task: must neither block nor raise.
        """


def control_json(stream: str, event: ControlEvent) -> bytes:
    """A control event as every transport sends it: with the envelope, but without a number."""
    return b'{"v":%d,"stream":"%b",%b' % (SCHEMA_VERSION, stream.encode(), _encode(event)[1:])


def json_of(entry: bytes) -> bytes:
    """The event's JSON inside an entry."""
    return entry[entry.index(_DATA) + len(_DATA) : -2]


class StreamLog:
    """The events of one stream."""

    __slots__ = (
        "_counted",
        "_entries",
        "_evicted",
        "_max_bytes",
        "_max_events",
        "_readers",
        "_template",
        "_written",
        "end",
        "first",
        "size",
        "stream",
    )

    def __init__(
        self, stream: str, *, max_bytes: int = MAX_BYTES, max_events: int = MAX_EVENTS
    ) -> None:
        """`stream` is the stream's id; the bounds are in bytes of encoded entries, and entries."""
        self.stream = stream
        self.first = 0
        """Sequence number of the oldest entry kept."""
        self.size = 0
        """Bytes of the entries kept."""
        self.end: StreamEnd | None = None
        """The last event, once it is there; nothing can be appended after it."""
        self._max_bytes = max_bytes
        self._max_events = max_events
        self._entries: list[bytes] = []
        self._readers: list[Reader] = []
        self._evicted: Fold | None = None
        self._written = 0
        """Bytes of what was said before the event number `_counted`."""
        self._counted = 0
        name = stream.encode()
        self._template = _BLOCK % name + _JSON % (SCHEMA_VERSION, name)

    @property
    def next(self) -> int:
        """The sequence number that the next event will get."""
        return self.first + len(self._entries)

    def snapshot(self) -> StreamSnapshot | None:
        """Everything before `first`, as one event; None while nothing has been evicted."""
        fold = self._evicted
        if fold is None:
            return None
        attempt = fold.commit.attempt if fold.commit is not None else None
        return StreamSnapshot(as_of=self.first - 1, blocks=fold.snapshot(), attempt=attempt)

    def written(self) -> int:
        """Bytes of text, reasoning, refusals and arguments so far, as JSON writes them.

        The owner's only: of what a copy was told as a fold, nothing is counted.

        Counted when it is asked for, without decoding and from where it was counted last: 20,000
        tokens take about 5 ms, a fold 45.
        """
        for entry in self._entries[self._counted - self.first :]:
            self._written += _delta_bytes(entry)
        self._counted = self.next
        return self._written

    def append(self, events: Sequence[Event], ts: int) -> None:
        """Number, encode and keep `events`, then call the live readers.

        `ts` is the Unix time in milliseconds. Nothing may follow a StreamEnd.
        """
        if self.end is not None:
            message = f"stream {self.stream} has ended"
            raise RuntimeError(message)
        new: list[bytes] = []
        seq = before = self.first + len(self._entries)
        for event in events:
            entry = self._template % (seq, _TAGS[type(event)], seq, ts, _encode(event)[1:])
            new.append(entry)
            self.size += len(entry)
            seq += 1
        self._entries += new
        last = events[-1]
        if type(last) is StreamEnd:
            self.end = last
        if self.size > self._max_bytes or len(self._entries) > self._max_events:
            self._evict(before=before)
        for reader in self._readers:
            reader.push(new, seq)

    def adopt(self, entries: list[bytes]) -> None:
        """Keep entries that another process's log made, from `next` on, and call the readers.

        Raises msgspec.MsgspecError or ValueError, and keeps nothing, where an end cannot be read.
        """
        before = self.next
        # Read before anything is kept, as it may be of a version that says it differently.
        last = decode(entries[-1]) if tag_in(entries[-1]) == _END else None
        # What follows stands in `append`, too: shared, it would cost that 0.4 us a token.
        self._entries += entries
        self.size += sum(map(len, entries))
        if type(last) is StreamEnd:
            self.end = last
        if self.size > self._max_bytes or len(self._entries) > self._max_events:
            self._evict(before=before)
        for reader in self._readers:
            reader.push(entries, before + len(entries))

    def resume(self, first: int, fold: Fold) -> None:
        """Hold nothing but that everything before `first` makes `fold`.

        For a copy of another process's log, where that has evicted what the copy does not have.
        """
        self.first = self._counted = first
        self.size = 0
        self._entries = []
        self._evicted = fold

    def evicted(self) -> Fold | None:
        """Everything before `first`, not to be changed; None while nothing has been evicted."""
        return self._evicted

    def read(self, cursor: int) -> list[bytes]:
        """Entries from sequence number `cursor` on; `cursor` must not lie before `first`."""
        return self._entries[cursor - self.first :]

    def read_some(self, cursor: int, max_bytes: int) -> list[bytes]:
        """As `read`, but stop once `max_bytes` are reached; at least one entry if there is one."""
        taken: list[bytes] = []
        size = 0
        for entry in self._entries[cursor - self.first : cursor - self.first + 1024]:
            size += len(entry)
            if taken and size > max_bytes:
                break
            taken.append(entry)
        return taken

    def fold(self) -> Fold:
        """Everything so far as one answer."""
        fold = self._evicted.copy() if self._evicted is not None else Fold()
        for entry in self._entries:
            fold_in(fold, json_of(entry))
        return fold

    def subscribe(self, reader: Reader) -> None:
        """Call `reader.push` after every append from now on."""
        # A new list, so that a reader may leave while append is calling them.
        self._readers = [*self._readers, reader]

    def unsubscribe(self, reader: Reader) -> None:
        """Stop calling it; one that was not subscribed is no fault."""
        self._readers = [other for other in self._readers if other is not reader]

    @property
    def readers(self) -> int:
        """How many readers follow."""
        return len(self._readers)

    def _evict(self, *, before: int) -> None:
        """Fold the oldest away, but nothing that no reader has been called for yet.

        A share of them at a time: moving the rest down must not cost every event, and decoding many
        must not hold up the other streams.
        """
        if self._evicted is None:
            self._evicted = Fold()
        self.written()  # while all that has not been counted is still there
        entries, count = self._entries, 0
        share = len(entries) // EVICTED
        while count < before - self.first and (
            count < share or self.size > self._max_bytes or len(entries) - count > self._max_events
        ):
            fold_in(self._evicted, json_of(entries[count]))
            self.size -= len(entries[count])
            count += 1
        del entries[:count]
        self.first += count


_END = b"stream.end"


def tag_in(entry: bytes) -> bytes:
    """The type of an entry's event."""
    at = entry.index(_EVENT) + len(_EVENT)
    return entry[at : entry.index(b"\n", at)]


def tag_of(event: Event) -> bytes:
    """The event's type, as it stands in its entry."""
    return _TAGS[type(event)]


_decoder: msgspec.json.Decoder[SequencedEvent] = msgspec.json.Decoder(SequencedEvent)


def decode(entry: bytes) -> SequencedEvent:
    """An entry's event; the envelope's fields are dropped."""
    return _decoder.decode(json_of(entry))


def fold_in(fold: Fold, event: bytes | msgspec.Raw) -> None:
    """Add an event's JSON; one that only a newer version knows is passed over, as by any reader."""
    try:
        fold.add(_decoder.decode(event))
    except (msgspec.ValidationError, KeyError):
        return  # KeyError: what followed on the beginning of a block that was passed over
