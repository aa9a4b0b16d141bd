"""The reader's side: streams of other processes, rebuilt here from their buffers.

A `Replica` is an ordinary `Stream` whose log adopts entries instead of making them, byte for byte
those of the owner, so whatever delivers a stream delivers this one, and a cursor means the same
everywhere. Cancelling it is a message to the owner; nothing here ends it but what the buffer says.

It is loaded once, however many readers ask for it at once, and then followed with all others of its
shard by one blocking read on one connection, which the process's own inbox shares: a message of
ours to ourselves makes it start again with a longer list. A run that does not continue the log
means that the owner's log has dropped what was missed; the fold that took its place is read then,
and the readers are served a snapshot, as after any eviction.

Lifetime: a replica is forgotten some seconds after its last reader has left; it is in Redis anyway.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from adapters.request import ChatRequest
from service import clock
from service.streams.buffer_scripts import Buffer, Shard, Shards
from service.streams.fold import Fold
from service.streams.log import StreamLog, fold_in, tag_in
from service.streams.question import Question
from service.streams.store import unknown
from service.streams.stream import Stream
from service.usage.client import Client

PAGE: Final = 1_000
"""Runs in a reply."""

LINGER: Final = 5.0
"""Seconds that a replica without a reader is kept."""

MESSAGES: Final = 10_000
"""Most that wait to be sent, and most that an inbox holds; the oldest are dropped."""

INBOX_MS: Final = 60_000
"""Of a process that is gone nothing is left after that."""

UNREADABLE: Final = (msgspec.MsgspecError, LookupError, ValueError)
"""What is raised by what another version, or who knows who, has put into a buffer or an inbox."""

_log = logging.getLogger(__name__)

_COMMIT: Final = b"attempt.commit"
_events_of = msgspec.json.Decoder(list[msgspec.Raw]).decode

# What a stream keeps of its request is for whoever makes the answer, which is somebody else.
_UNSEEN: Final = ChatRequest.model_construct(messages=[])


@dataclass(slots=True, eq=False)
class Replica:
    """Another process's stream."""

    stream: Stream
    owner: str
    grace: bool
    """Whether the owner cancels it when nobody follows, and so wants to know who does."""

    shard: Shard
    idle_since: float
    """Monotonic seconds; meaningless while somebody is attached."""

    alone_since: float | None = None
    """Since when its owner's lease is not there."""

    @property
    def buffer(self) -> Buffer:
        """Where it comes from."""
        return self.shard.stream(self.stream.id)

    @property
    def position(self) -> str:
        """The last entry that was read of the buffer, or would have been."""
        return f"{self.stream.log.next}-0"

    def resume(self, first: int, fold: bytes) -> None:
        """Start at `first`, or start again there: before it there is only the fold."""
        whole = Fold()
        for event in _events_of(fold):
            fold_in(whole, event)
        self.stream.log.resume(first, whole)
        if whole.commit is not None and not self.stream.content_started:
            self.stream.mark_committed()

    def take(self, first: int, entries: Sequence[bytes]) -> bool:
        """Go on with a run of entries; False where something before it is missing."""
        stream = self.stream
        known = stream.log.next - first
        if known < 0:
            return False
        new = list(entries[known:])
        if not new or stream.ended:
            return True
        if not stream.content_started and any(tag_in(entry) == _COMMIT for entry in new):
            stream.mark_committed()
        stream.log.adopt(new)
        if stream.ended:
            stream.mark_ended()
        return True


@dataclass(slots=True)
class _Loading:
    """Somebody loads this one; others wait for it."""

    done: asyncio.Event = field(default_factory=asyncio.Event)


class Replicas:
    """The streams of other processes that are followed here."""

    def __init__(self, shards: Shards, *, max_bytes: int, max_events: int) -> None:
        """The bounds of each one's log."""
        self._shards = shards
        self._bounds = (max_bytes, max_events)
        self._replicas: dict[str, Replica] = {}
        self._loading: dict[str, _Loading] = {}
        self._mail: deque[tuple[str, bytes]] = deque(maxlen=MESSAGES)
        self._posted = asyncio.Event()

    def __len__(self) -> int:
        """How many are followed, or were a moment ago."""
        return len(self._replicas)

    def find(self, stream_id: str) -> Replica | None:
        """One that is followed already."""
        return self._replicas.get(stream_id)

    def of(self, shard: Shard) -> list[Replica]:
        """A shard's that have not ended."""
        return [
            replica
            for replica in self._replicas.values()
            if replica.shard == shard and not replica.stream.ended
        ]

    def ring(self, shard: Shard, process: str) -> None:
        """Wake `process`, which is this one, from waiting for news."""
        self._mail.append((shard.inbox(process), WAKE))
        self._posted.set()

    async def load(self, client: Client, stream_id: str) -> Replica:
        """Follow a stream: everything that is in its buffer is in its log.

        Raises RequestError: `stream_expired`, `not_found`, `internal` where what lies there cannot
        be read; and whatever the client raises.
        """
        while True:
            known = self._replicas.get(stream_id)
            if known is not None:
                return known
            other = self._loading.get(stream_id)
            if other is None:
                break
            await other.done.wait()
        loading = self._loading[stream_id] = _Loading()
        try:
            replica = await self._load(client, stream_id)
            self._replicas[stream_id] = replica
        except UNREADABLE:
            raise _unreadable() from None
        finally:
            del self._loading[stream_id]
            loading.done.set()
        return replica

    async def reload(self, client: Client, replica: Replica) -> None:
        """Go on behind a gap: with the fold that took the place of what is missing."""
        known: Any = await client.hmget(replica.buffer.meta, ["first", "fold"])
        first, fold = known
        if first is not None and fold is not None and int(first) > replica.stream.log.next:
            replica.resume(int(first), fold)
        await self._read(client, replica)

    async def question(self, client: Client, stream_id: str) -> Question | None:
        """What a stream was asked; None where nobody has said so, or not in words known here.

        Raises whatever the client raises.
        """
        meta = self._shards.find(stream_id).stream(stream_id).meta
        packed: Any = await client.hget(meta, "question")
        try:
            return None if packed is None else Question.unpacked(packed)
        except UNREADABLE as failure:
            _log.warning("what stream %s was asked cannot be read here: %s", stream_id, failure)
            return None

    def forget(self, now: float) -> None:
        """Stop following what nobody reads any more; `now` in monotonic seconds."""
        for stream_id, replica in list(self._replicas.items()):
            if replica.stream.attached:
                replica.idle_since = now
            elif now >= replica.idle_since + LINGER:
                del self._replicas[stream_id]

    async def send(self, client: Client) -> None:
        """Wait for a message to an owner and send it."""
        await self._posted.wait()
        while self._mail:
            inbox, message = letter = self._mail.popleft()
            try:
                await client.xadd(inbox, {"m": message}, maxlen=MESSAGES, approximate=True)
                await client.pexpire(inbox, INBOX_MS)
            except BaseException:
                self._mail.appendleft(letter)  # all of them may be said twice
                raise
        self._posted.clear()

    async def _load(self, client: Client, stream_id: str) -> Replica:
        shard = self._shards.find(stream_id)
        buffer = shard.stream(stream_id)
        owner, grace, first, fold = await self._known(client, buffer)
        max_bytes, max_events = self._bounds
        log = StreamLog(stream_id, max_bytes=max_bytes, max_events=max_events)
        stream = Stream(log, _UNSEEN, cancel_after=None)
        replica = Replica(stream, owner.decode(), grace == b"1", shard, clock.monotonic())
        stream.on_stop(lambda error: self.post(replica, cancelling(stream_id, error.message)))
        if fold is not None:
            replica.resume(int(first), fold)
        await self._read(client, replica)
        return replica

    async def _known(self, client: Client, buffer: Buffer) -> Any:  # noqa: ANN401 - Redis' own types
        fields = ["owner", "grace", "first", "fold"]
        known: Any = await client.hmget(buffer.meta, fields)
        if known[0] is None and await client.exists(buffer.was):
            known = await client.hmget(buffer.meta, fields)  # made between the two?
            if known[0] is None:
                raise unknown(expired=True)
        if known[0] is None:
            raise unknown(expired=False)
        return known

    async def _read(self, client: Client, replica: Replica) -> None:
        """Everything from its position on."""
        while True:
            after = f"({replica.position}"
            found: Any = await client.xrange(replica.buffer.entries, min=after, count=PAGE)
            for _, fields in found:
                if not replica.take(*run_of(fields)):
                    return  # dropped meanwhile: the next run that comes says so again
            if len(found) < PAGE:
                return

    def post(self, replica: Replica, message: bytes) -> None:
        """Tell a replica's owner something."""
        self._mail.append((replica.shard.inbox(replica.owner), message))
        self._posted.set()


def _unreadable() -> RequestError:
    return RequestError(
        make(
            ErrorCode.INTERNAL,
            "this stream lies in Redis in a form that this process cannot read",
            http=503,
            retry_after_ms=1_000,
            phase=Phase.BEFORE_STREAM,
        )
    )


def run_of(fields: dict[bytes, bytes]) -> tuple[int, list[bytes]]:
    """A run as it lies in a buffer: the number of its first entry, and its entries.

    Raises one of UNREADABLE.
    """
    return int(fields[b"f"]), list(_split(fields[b"e"]))


def _split(run: bytes) -> Iterator[bytes]:
    # JSON escapes newlines, so an empty line is only ever the end of an entry.
    for block in run.split(b"\n\n")[:-1]:
        yield block + b"\n\n"


# --- Messages -------------------------------------------------------------------------------

WAKE: Final = msgspec.json.encode(["w"])
"""To oneself: there is another stream to read."""


def following(process: str, streams: Sequence[str]) -> bytes:
    """`process` has readers of these streams."""
    return msgspec.json.encode(["f", process, *streams])


def cancelling(stream: str, reason: str) -> bytes:
    """The stream is to be cancelled."""
    return msgspec.json.encode(["c", stream, reason])


def message_of(text: bytes) -> list[str]:
    """What one of these says: its kind, then the rest. Raises one of UNREADABLE."""
    return msgspec.json.decode(text, type=list[str])
