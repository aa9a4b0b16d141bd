"""Which stream a chat is at, or was at last.

A chat is a client's own name for a conversation of which it asks for one answer after the other.
What is kept of it is the newest one's stream, and whether somebody was told that one's end. Streams
are named after the moment they were made, so the newest is the one whose name is the greatest, in
whatever order processes hear of them; and what was told stays told.

Kept here: the chats of this process, for as long as their streams. Where several processes serve
the same streams, `others` knows theirs.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class At:
    """Where a chat is."""

    stream: str
    """Its newest stream's id."""
    told: bool = False
    """Whether its end has arrived at somebody."""


def newest(known: Iterable[At | None]) -> At | None:
    """What is true of a chat by all that is known of it."""
    latest: At | None = None
    for at in known:
        if at is None or (latest is not None and at.stream < latest.stream):
            continue
        told = latest is not None and at.stream == latest.stream and latest.told
        latest = At(at.stream, at.told or told)
    return latest


class Others(Protocol):
    """What other processes know, and are to know."""

    def put(self, chat: str, at: At) -> None:
        """Tell them, soon; nothing is waited for."""

    async def find(self, chat: str) -> At | None:
        """What they know; None where that is nothing, or they cannot be asked."""


class Chats:
    """The chats of this process, and through it those of the others."""

    def __init__(self, is_kept: Callable[[str], bool]) -> None:
        """`is_kept`: whether a stream of that name is still to be had in this process."""
        self._is_kept = is_kept
        self._at: dict[str, At] = {}
        self.others: Others | None = None
        """None: this process is alone."""

    def __iter__(self) -> Iterator[tuple[str, At]]:
        """Every chat that is remembered here."""
        return iter(self._at.items())

    def put(self, chat: str, at: At) -> None:
        """A chat is at a stream; the oldest go whose streams are gone."""
        latest = newest((self._at.pop(chat, None), at)) or at
        self._at[chat] = latest
        self._forget(latest)
        if self.others is not None:
            self.others.put(chat, latest)

    async def find(self, chat: str) -> At | None:
        """Where a chat is, in whichever process."""
        theirs = None if self.others is None else await self.others.find(chat)
        return newest((self._at.get(chat), theirs))

    def _forget(self, latest: At) -> None:
        while True:
            oldest, at = next(iter(self._at.items()))
            if at is latest or self._is_kept(at.stream):
                return
            del self._at[oldest]
