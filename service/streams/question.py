"""What a stream was asked, kept beside it: enough to tell its answer again, and to go on from it.

An answer is in the log; what its dialect repeats of the request, and the conversation that a later
request goes on from, are not. They are kept on the stream itself in the process that was asked, and
where streams are shared, packed, in the stream's own hash, written with its first event: whoever
finds the stream finds this, and it is gone when the stream is.

It is packed by the task that copies streams, never on a request's way. A mebibyte takes 0.6 ms of
it; compressing one would take 50 ms and save a quarter, because requests of that size are images.

Left out, so that it never lies in Redis: all of a question that is private to who asked it, and one
that is longer than `LARGEST`. That it was one is known all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from pydantic import TypeAdapter

from adapters.request import Message

LARGEST: Final = 2 * 1024 * 1024
"""Bytes, packed: twice the largest body that is taken by default, as a conversation that goes on
by name alone outgrows every body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request, as far as its answer goes on needing it."""

    dialect: str
    """The client's."""
    model: str
    """As the client asked for it."""
    body: Mapping[str, Any]
    """What an answer repeats of it, in the dialect's own words."""
    messages: Sequence[Message] = ()
    """What a later request goes on from."""
    private: bool = False
    """Whether nobody but who asked may come back to it."""
    whole: bool = True
    """Whether this is all of it; without, there is neither a body nor a message."""

    def packed(self) -> bytes:
        """As it lies in Redis. Raises ValueError and the like where it holds what JSON cannot."""
        if not self.private:
            packed = self._packed(self.body, _MESSAGES.dump_json([*self.messages], **_SET))
            if len(packed) <= LARGEST:
                return packed
        return self._packed()

    @classmethod
    def unpacked(cls, packed: bytes) -> "Question":
        """The same again. Raises ValueError or msgspec.MsgspecError where it cannot be read."""
        read = _decode(packed)
        return cls(
            dialect=read.dialect,
            model=read.model,
            body=read.body or {},
            messages=_MESSAGES.validate_json(bytes(read.messages)),
            private=read.private,
            whole=read.body is not None,
        )

    def _packed(self, body: Mapping[str, Any] | None = None, messages: bytes = b"[]") -> bytes:
        return _encode(_Packed(self.dialect, self.model, body, msgspec.Raw(messages), self.private))


class _Packed(msgspec.Struct, frozen=True):
    dialect: str
    model: str
    body: Mapping[str, Any] | None
    messages: msgspec.Raw
    private: bool


_MESSAGES: Final = TypeAdapter(list[Message])
_SET: Final[Any] = {"exclude_none": True}
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Packed).decode
