"""The streams this process knows, and for how long.

A stream stays readable for `ttl` seconds after its end, whatever its readers do; then it is
forgotten but for its name, so that a late resume learns that it expired (410) rather than that it
never was (404). Names are kept for the last `TOMBSTONES` streams.

An Idempotency-Key names the stream that its first request started, as long as that stream is kept:
the same request again attaches to it, a different one is a conflict. Which stream a chat is at is
in `chats`.
"""

from collections import OrderedDict
from dataclasses import dataclass

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, Phase
from service.streams.chats import Chats
from service.streams.stream import Stream

TOMBSTONES = 100_000
"""About 10 MiB of names at the most."""


@dataclass(slots=True)
class _Kept:
    stream: Stream
    key: str | None
    fingerprint: bytes
    expires: float | None = None


class Store:
    """Streams by id and by Idempotency-Key. `now` is monotonic seconds."""

    def __init__(self, *, ttl: float) -> None:
        """`ttl`: seconds a stream stays readable after its end."""
        self.ttl = ttl
        self._kept: dict[str, _Kept] = {}
        self._keys: dict[str, str] = {}
        self.chats = Chats(self._kept.__contains__)
        self._ended: OrderedDict[str, None] = OrderedDict()
        """Ended streams, oldest end first: the order in which they expire."""
        self._gone: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        """How many streams are kept, live and ended."""
        return len(self._kept)

    @property
    def live(self) -> list[Stream]:
        """The streams that have not ended."""
        return [kept.stream for kept in self._kept.values() if not kept.stream.ended]

    def add(self, stream: Stream, *, key: str | None = None, fingerprint: bytes = b"") -> None:
        """Keep a stream, under an Idempotency-Key if its request had one."""
        self._kept[stream.id] = _Kept(stream, key, fingerprint)
        if key is not None:
            self._keys[key] = stream.id

    def find(self, key: str, fingerprint: bytes) -> Stream | None:
        """The stream that this Idempotency-Key started; None where it is new.

        `fingerprint` is a digest of the request. Raises RequestError(conflict) where the key was
        used for a different request.
        """
        stream_id = self._keys.get(key)
        if stream_id is None:
            return None
        kept = self._kept[stream_id]
        if kept.fingerprint != fingerprint:
            raise conflicting()
        return kept.stream

    def get(self, stream_id: str) -> Stream:
        """The stream of that name.

        Raises RequestError: `stream_expired` where it is no longer kept, `not_found` where it never
        was.
        """
        kept = self._kept.get(stream_id)
        if kept is not None:
            return kept.stream
        raise unknown(expired=stream_id in self._gone)

    def ended(self, stream: Stream, now: float) -> None:
        """The stream's end is in its log: it expires `ttl` seconds from `now`."""
        kept = self._kept.get(stream.id)
        if kept is not None:
            kept.expires = now + self.ttl
            self._ended[stream.id] = None

    def sweep(self, now: float) -> int:
        """Forget what has expired; how many that were. To be called every few seconds."""
        count = 0
        while self._ended:
            stream_id = next(iter(self._ended))
            kept = self._kept[stream_id]
            if kept.expires is None or kept.expires > now:
                break
            self._forget(stream_id, kept)
            count += 1
        return count

    def _forget(self, stream_id: str, kept: _Kept) -> None:
        del self._ended[stream_id], self._kept[stream_id]
        if kept.key is not None:
            del self._keys[kept.key]
        self._gone[stream_id] = None
        if len(self._gone) > TOMBSTONES:
            self._gone.popitem(last=False)


def unknown(*, expired: bool) -> RequestError:
    """There is no such stream (any more)."""
    code = ErrorCode.STREAM_EXPIRED if expired else ErrorCode.NOT_FOUND
    message = "this stream is no longer kept" if expired else "no stream of this id"
    return RequestError(make(code, message, param="stream", phase=Phase.BEFORE_STREAM))


def conflicting() -> RequestError:
    """An Idempotency-Key came twice, with different requests."""
    return RequestError(
        make(
            ErrorCode.CONFLICT,
            "this Idempotency-Key was used for a different request",
            param="Idempotency-Key",
            phase=Phase.BEFORE_STREAM,
        )
    )
