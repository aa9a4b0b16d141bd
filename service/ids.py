"""Names for streams and requests: sortable by time, unguessable, safe in a URL and an SSE id.

A ULID (48 bits of milliseconds, 80 random bits) in Crockford's base 32, behind a prefix that says
what it names. The random part is what protects a stream where no client keys are configured: who
knows the id may read it. Where an id leaves for other systems it is a UUID of version 7, which is
the same idea in the form that they know.
"""

import secrets
from uuid import UUID

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


_TIME = 10  # characters


def new(prefix: str, now_ms: int) -> str:
    """`<prefix>_` and 26 characters; `now_ms` is the Unix time in milliseconds."""
    number = (now_ms << 80) | secrets.randbits(80)
    characters = []
    for _ in range(26):
        number, digit = divmod(number, 32)
        characters.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(characters))}"


CHANCE = 74
"""Random bits of a UUID of version 7."""


def uuid7(now_ms: int) -> UUID:
    """48 bits of time and 74 random ones: RFC 9562, section 5.7."""
    return uuid7_of(now_ms, secrets.randbits(CHANCE))


def uuid7_of(now_ms: int, chance: int) -> UUID:
    """The same of given random bits, for what is made up and must come out alike again."""
    version, variant = 7 << 76, 2 << 62
    high, low = divmod(chance, 1 << 62)
    return UUID(int=(now_ms << 80) | version | variant | (high << 64) | low)


def made_at(name: str) -> int | None:
    """When `new` made a name, Unix time in milliseconds; None where it is no such name."""
    time = name.rpartition("_")[2][:_TIME]
    if len(time) < _TIME or not set(time) <= set(_ALPHABET):
        return None
    number = 0
    for character in time:
        number = number * 32 + _ALPHABET.index(character)
    return number
