"""A batch of the stream's entries: what is counted, what is given up, what is left for later.

What cannot be read, or is refused by the database, is given up with its fifth delivery, and at once
where it is of a kind or a major version that is not known here. What was delivered ten times is not
even tried: nobody who had it lived to say what was wrong with it. Deliveries are counted by Redis.

It blocks, for a thread; it raises UnavailableError, and may then be called again with the same.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from service.usage import tally
from service.usage.record import MAJOR
from service.usage.rollups import Arrival, Letter, Rollups

DELIVERIES: Final = 5
"""With this one an event that cannot be counted is given up."""

UNTRIED: Final = 2 * DELIVERIES
"""With this one it is given up without a try."""

Fields = Mapping[bytes, bytes]


class Entry(NamedTuple):
    """What a stream held."""

    id: str
    fields: Fields
    deliveries: int
    """This one included."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch; what is in neither list stays with its consumer."""

    counted: tuple[str, ...]
    """Ids of entries that are in the sums."""

    buried: tuple[tuple[str, Letter], ...]
    """Ids of entries that were given up, and what was written down of them."""

    new: int
    """Events that were not in the sums before."""

    positions: Mapping[str, int]
    """Of the batch's producers: up to where everything was taken."""


def settle(rollups: Rollups, stream: str, entries: Sequence[Entry], now_ns: int) -> Settled:
    """Count what can be counted, give up what has to be; `now_ns` in Unix time."""
    arrivals: dict[str, Arrival] = {}
    faults: dict[str, _Fault] = {}
    for entry in entries:
        try:
            arrivals[entry.id] = _tried(rollups, entry)
        except tally.UnreadableError as why:
            faults[entry.id] = _Fault(str(why), final=isinstance(why, tally.UnknownSchemaError))
    taken = rollups.take(list(arrivals.values()), now_ns)
    refused = {arrival.event.id: why for arrival, why in taken.refused}
    for key, arrival in arrivals.items():
        if arrival.event.id in refused:
            faults[key] = _Fault(refused[arrival.event.id], final=False)
    letters = {
        entry.id: _letter(stream, entry, faults[entry.id].reason, now_ns)
        for entry in entries
        if entry.id in faults and (faults[entry.id].final or entry.deliveries >= DELIVERIES)
    }
    if letters:
        rollups.bury(list(letters.values()))
    return Settled(
        counted=tuple(key for key in arrivals if key not in faults),
        buried=tuple(letters.items()),
        new=taken.new,
        positions=rollups.positions(_producers(arrivals.values(), letters.values())),
    )


@dataclass(frozen=True, slots=True)
class _Fault:
    reason: str
    final: bool
    """Whether nobody can do better."""


def _tried(rollups: Rollups, entry: Entry) -> Arrival:
    arrival = arrived(entry.fields)
    if entry.deliveries >= UNTRIED and not rollups.knows(arrival.event.id):
        raise tally.UnreadableError(f"{entry.deliveries} deliveries, and nobody said what is wrong")
    return arrival


def arrived(fields: Fields) -> Arrival:
    """An entry's event; raises tally.UnreadableError."""
    try:
        _, number, major, body = (fields[name] for name in (b"p", b"s", b"v", b"e"))
    except KeyError as name:
        raise tally.UnreadableError(f"the entry has no field {_shown(name.args[0])}") from None
    if major != _MAJOR:
        raise tally.UnknownSchemaError(
            f"schema major {_shown(major)} is not known here, only {MAJOR} is"
        )
    seq = _number(fields)
    if not seq:
        raise tally.UnreadableError(f"{_shown(number)} is no event's number")
    return Arrival(tally.read(body), producer_of(fields), seq)


def producer_of(fields: Fields) -> str:
    """Who wrote an entry; empty where it does not say."""
    return fields.get(b"p", b"").decode(errors="replace").replace("\0", "\ufffd")


_MAJOR: Final = b"%d" % MAJOR
_NUMBER: Final = re.compile(rb"[1-9]\d{0,17}")


def _number(fields: Fields) -> int:
    """The event's, in its producer's order; 0 where there is none."""
    found = _NUMBER.fullmatch(fields.get(b"s", b""))
    return int(found[0]) if found else 0


def _shown(value: bytes) -> str:
    return repr(value[:32].decode(errors="replace"))


def _letter(stream: str, entry: Entry, reason: str, now_ns: int) -> Letter:
    return Letter(
        place=f"{stream} {entry.id}",
        producer=producer_of(entry.fields),
        seq=_number(entry.fields),
        body=entry.fields.get(b"e", b""),
        reason=reason,
        deliveries=entry.deliveries,
        at_ns=now_ns,
    )


def _producers(arrivals: Collection[Arrival], letters: Collection[Letter]) -> set[str]:
    return {arrival.producer for arrival in arrivals} | {letter.producer for letter in letters}
