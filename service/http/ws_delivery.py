"""Several streams over one socket: whose turn it is, how much of it, who is too slow. No I/O.

A `Lane` is one stream's place on the socket: a cursor into its log and the account of what the
client has not acknowledged. It has no queue, so a slow client costs a cursor: the events stay in
the log, where they are anyway. `Delivery` gives the lanes their turns, round robin; the shell calls
`next` for as long as the peer takes more, and `wake` whenever a log has grown.

Credit: a lane may have `window` bytes of event JSON on their way unacknowledged, and goes over it
by one event at the most, so no window is too small for any event. A client that has never
acknowledged anything is not counted as long as it has one lane: there, TCP is flow control enough.
With two, one slow consumer would stall the other.

A lane that keeps up gets each event as `ev`. One that is behind gets batches, `evs`, and, where the
client takes that, adjacent deltas of a block joined into one event `{seq: last, seq_first: first}`:
they fold to the same answer, because sequence numbers have no gaps. A cursor that the log has
evicted is answered with a `stream.snapshot` and goes on from the oldest entry.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from itertools import groupby

import msgspec

from adapters.events import (
    ReasoningDelta,
    RefusalDelta,
    SequencedEvent,
    StreamSnapshot,
    TextDelta,
    ToolDelta,
)
from service.http import ws_messages
from service.streams.log import StreamLog, control_json, decode, json_of

BURST = 8
"""Events that still count as keeping up: what one network read gives, behind the events of a
commit. More than that waiting means that the client, or its credit, held something up."""

BATCH = 16 * 1024
"""Bytes of one `evs`, and of one turn: what the sub-protocol allows."""

JOINABLE_BATCH = 64 * 1024
"""Bytes of log entries that are read at once where deltas may be joined. They shrink, since the
envelopes go; were there nothing to join, this is still the largest frame that is aimed at."""

GRAINS = 64
"""Parts of a window in which acknowledgements are counted: bounds the account of a lane."""

Numbered = tuple[int, bytes]
"""An event's sequence number and JSON."""

_encode = msgspec.json.Encoder().encode
_UNMETERED = 1 << 62


class Lane:
    """One stream's place on a socket."""

    __slots__ = (
        "_ev",
        "_evs",
        "_grain",
        "_marks",
        "blocked_since",
        "cursor",
        "id",
        "log",
        "unacked",
        "waiting",
        "window",
    )

    def __init__(self, id: str, log: StreamLog, *, cursor: int, window: int) -> None:  # noqa: A002 - the protocol's word
        """`cursor` is the next sequence number to send, `window` in bytes."""
        self.id = id
        self.log = log
        self.cursor = cursor
        self.window = window
        self.unacked = 0
        """Bytes of event JSON sent and not acknowledged."""
        self.blocked_since: float | None = None
        """Since when it has something to send and no credit; monotonic seconds."""
        self.waiting = False
        """Whether it stands in line for a turn."""
        self._marks: deque[tuple[int, int]] = deque()  # (last sequence number, bytes up to it)
        self._grain = window // GRAINS
        name = _encode(id)
        self._ev = b'{"t":"ev","id":%b,"e":' % name
        self._evs = b'{"t":"evs","id":%b,"e":[' % name

    @property
    def pending(self) -> bool:
        """Whether the log holds something that was not sent."""
        return self.cursor < self.log.next

    @property
    def over(self) -> bool:
        """Whether the last event was sent."""
        return self.log.end is not None and not self.pending

    def take(self, limit: int, *, coalesce: bool) -> tuple[list[bytes], Iterable[Numbered]]:
        """The messages of one turn, and the events in them; moves the cursor.

        Stops at about `limit` bytes, but not before one event.
        """
        log, cursor = self.log, self.cursor
        snapshot = log.snapshot() if cursor < log.first else None
        if snapshot is not None:
            return self._evicted(snapshot)
        if log.next - cursor > BURST:
            return self._batch(limit, coalesce=coalesce)
        jsons = [json_of(entry) for entry in log.read_some(cursor, min(limit, BATCH))]
        self.cursor += len(jsons)
        return [self._ev + json + b"}" for json in jsons], enumerate(jsons, cursor)

    def charge(self, sent: Iterable[Numbered]) -> None:
        """These events are on their way."""
        marks = self._marks
        for seq, json in sent:
            size = len(json)
            self.unacked += size
            if marks and marks[-1][1] + size <= self._grain:
                marks[-1] = (seq, marks[-1][1] + size)
            else:
                marks.append((seq, size))

    def ack(self, seq: int) -> None:
        """Everything up to `seq` has been dealt with."""
        while self._marks and self._marks[0][0] <= seq:
            self.unacked -= self._marks.popleft()[1]

    def forgive(self) -> None:
        """Count from here: what is on its way does not matter any more."""
        self._marks.clear()
        self.unacked = 0

    def _batch(self, limit: int, *, coalesce: bool) -> tuple[list[bytes], Iterable[Numbered]]:
        """One message of many events."""
        cursor = self.cursor
        entries = self.log.read_some(cursor, min(limit, JOINABLE_BATCH if coalesce else BATCH))
        self.cursor += len(entries)
        if coalesce:
            taken = list(joined(entries, cursor))
        else:
            taken = list(enumerate(map(json_of, entries), cursor))
        return [b"%b%b]}" % (self._evs, b",".join(json for _, json in taken))], taken

    def _evicted(self, snapshot: StreamSnapshot) -> tuple[list[bytes], Iterable[Numbered]]:
        """What stands for the events that the log no longer has."""
        self.cursor = self.log.first
        json = control_json(self.log.stream, snapshot)
        return [self._ev + json + b"}"], [(snapshot.as_of, json)]


class Delivery:
    """The lanes of one socket. All times are monotonic seconds."""

    def __init__(self, *, patience: float) -> None:
        """`patience`: seconds a lane may wait for credit before it counts as slow."""
        self.coalesce = False
        """Whether the client takes joined deltas."""
        self.notable = False
        """Set where a lane ended or lost its credit: there is more to do than to write."""
        self._patience = patience
        self._lanes: dict[str, Lane] = {}
        self._turns: deque[Lane] = deque()
        self._ended: list[str] = []
        self._acknowledges = False

    def __len__(self) -> int:
        """How many lanes there are."""
        return len(self._lanes)

    def __contains__(self, id: str) -> bool:  # noqa: A002 - the protocol's word
        """Whether a lane has that id."""
        return id in self._lanes

    @property
    def generating(self) -> int:
        """How many lanes' answers are still being made."""
        return sum(lane.log.end is None for lane in self._lanes.values())

    def add(self, lane: Lane) -> None:
        """Start sending a stream; its id is free."""
        self._lanes[lane.id] = lane
        self.wake(lane)

    def remove(self, id: str) -> None:  # noqa: A002 - the protocol's word
        """Stop sending a stream."""
        lane = self._lanes.pop(id)
        if lane.waiting:
            self._turns.remove(lane)
        self._recount()

    def wake(self, lane: Lane) -> None:
        """The lane may have something to send: it gets in line."""
        if not lane.waiting:
            lane.waiting = True
            self._turns.append(lane)

    def ack(self, id: str, seq: int) -> None:  # noqa: A002 - the protocol's word
        """The client has dealt with a stream's events up to `seq`; an unknown id is no fault."""
        self._acknowledges = True
        lane = self._lanes.get(id)
        if lane is not None:
            lane.ack(seq)
            self.wake(lane)

    def next(self, now: float) -> list[bytes]:
        """The messages of the next turn; empty where nobody has anything to send, or credit."""
        while self._turns:
            lane = self._turns.popleft()
            lane.waiting = False
            messages = self._turn(lane, now)
            if messages:
                return messages
        return []

    def ended(self) -> list[str]:
        """The ids whose `end` was given out since the last call; their lanes are gone."""
        ended, self._ended = self._ended, []
        self.notable = False
        return ended

    def slow(self, now: float) -> list[str]:
        """The ids that have waited too long for credit."""
        return [
            lane.id
            for lane in self._lanes.values()
            if lane.blocked_since is not None and now >= lane.blocked_since + self._patience
        ]

    def due(self) -> float | None:
        """When the next lane will have waited too long; None: nobody waits."""
        blocked = [
            lane.blocked_since for lane in self._lanes.values() if lane.blocked_since is not None
        ]
        return min(blocked) + self._patience if blocked else None

    @property
    def _metered(self) -> bool:
        return self._acknowledges or len(self._lanes) > 1

    def _turn(self, lane: Lane, now: float) -> list[bytes]:
        messages: list[bytes] = []
        if lane.pending:
            room = lane.window - lane.unacked if self._metered else _UNMETERED
            if room <= 0:
                self._block(lane, now)
                return messages
            lane.blocked_since = None
            messages, sent = lane.take(room, coalesce=self.coalesce)
            if self._metered:
                lane.charge(sent)
        if lane.over:
            messages.append(ws_messages.encode(ws_messages.End(id=lane.id, reason="stream_end")))
            self._ended.append(lane.id)
            self.notable = True
            self.remove(lane.id)
        elif lane.pending:
            self.wake(lane)
        return messages

    def _block(self, lane: Lane, now: float) -> None:
        if lane.blocked_since is None:
            lane.blocked_since = now
            self.notable = True

    def _recount(self) -> None:
        """A client that does not acknowledge is not counted once one lane is left."""
        if self._metered:
            return
        for lane in self._lanes.values():
            lane.forgive()
            self.wake(lane)


# --- Joining deltas -------------------------------------------------------------------------

_Delta = TextDelta | ReasoningDelta | RefusalDelta | ToolDelta
_Entry = tuple[int, bytes, SequencedEvent]


def joined(entries: Iterable[bytes], seq: int) -> Iterator[Numbered]:
    """The events of log entries, the first of which is `seq`, adjacent deltas of a block joined."""
    numbered = ((number, entry, decode(entry)) for number, entry in enumerate(entries, seq))
    for _, run in groupby(numbered, key=_run_of):
        yield _join(list(run))


def _run_of(item: _Entry) -> Hashable:
    """Equal for what may be joined; log probabilities belong to their own tokens."""
    seq, _, event = item
    if isinstance(event, _Delta) and getattr(event, "logprobs", None) is None:
        return type(event), event.block
    return seq


def _join(run: list[_Entry]) -> Numbered:
    first, _, event = run[0]
    last, entry, _ = run[-1]
    json = json_of(entry)
    if len(run) == 1 or not isinstance(event, _Delta):
        return last, json
    envelope = json[: json.index(b',"type":')]
    text = "".join(delta.delta for _, _, delta in run if isinstance(delta, _Delta))
    whole = _encode(type(event)(event.block, text))
    return last, b'%b,"seq_first":%d,%b' % (envelope, first, whole[1:])
