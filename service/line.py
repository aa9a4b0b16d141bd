"""What the parent of several workers and each of them say to one another, and how.

A line is a pair of connected sockets, one end in each process; a message is its length in four
bytes and MessagePack after it. The system closes a process' end when it dies, however it dies, so
the end of the messages is also how a worker learns that its parent is gone: no process number is
compared with a living one, and nothing is polled. A message that one side does not know, because
the program was replaced before a worker was, is passed over.

Nothing waits for what was said to be taken: messages are rare, and the longest, the figures of a
worker with 80 models in use, has a quarter of a megabyte.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from typing import Final

import msgspec

log = logging.getLogger(__name__)

_LENGTH: Final = 4  # bytes


class Message(msgspec.Struct, frozen=True, tag=True):
    """Anything that is said on a line."""


# --- By the parent --------------------------------------------------------------------------


class Drain(Message, frozen=True):
    """Take nothing new, let finish what runs, and end."""


class Reload(Message, frozen=True):
    """Read the configuration again; answered by `Reloaded` or `Refused`."""


class Tell(Message, frozen=True):
    """Say your figures; answered by `Figures`."""

    question: int


class Gathered(Message, frozen=True):
    """The answer to `Ask`."""

    question: int
    figures: dict[int, bytes]
    """By worker; without the one that asked and those that did not answer."""
    missing: int
    """How many workers did not answer, or are not there."""
    restarts: dict[int, int]
    """By worker: how often another process took its place."""


# --- By a worker ----------------------------------------------------------------------------


class Serving(Message, frozen=True):
    """It takes requests."""


class Refused(Message, frozen=True):
    """The configuration cannot stand: at the start, where the worker ends, or read again."""

    text: str


class Reloaded(Message, frozen=True):
    """The configuration that was read again is in force."""


class Ask(Message, frozen=True):
    """Collect the figures of all the other workers; answered by `Gathered`."""

    question: int


class Figures(Message, frozen=True):
    """The answer to `Tell`."""

    question: int
    packed: bytes


# --- By both --------------------------------------------------------------------------------


class Changed(Message, frozen=True):
    """The admin API changed a provider; the parent passes it on to the other workers."""

    provider: str
    enabled: bool
    """It was switched on, which forgives what it had refused."""


Said = (
    Drain | Reload | Tell | Gathered | Serving | Refused | Reloaded | Ask | Figures | Changed
)  # fmt: skip

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder[Said](Said).decode


def framed(message: Message) -> bytes:
    """A message as it goes over the line."""
    encoded = _encode(message)
    return len(encoded).to_bytes(_LENGTH, "big") + encoded


class Line:
    """One end, until it is closed; made by `over`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both on the same socket."""
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Line":
        """Speak over this end of a pair; the line closes it."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def say(self, message: Message) -> None:
        """Send it, if anybody is there."""
        if not self._writer.is_closing():
            self._writer.write(framed(message))

    async def heard(self) -> AsyncIterator[Said]:
        """What the other side says, until it is gone."""
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(_LENGTH), "big")
                message = await self._reader.readexactly(length)
                try:
                    said = _decode(message)
                except msgspec.DecodeError as failure:
                    log.warning("what cannot be understood is passed over: %s", failure)
                    continue
                yield said
        except (asyncio.IncompleteReadError, OSError):
            return

    def close(self) -> None:
        """Say what is left to be said, and leave."""
        self._writer.close()
