"""Names for streams and requests: sortable by time, unguessable, safe in a URL and an SSE id.

A ULID (48 bits of milliseconds, 80 random bits) in Crockford's base 32, behind a prefix that says
what it names. The random part is what protects a stream where no client keys are configured: who
knows the id may read it.
"""

import secrets

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new(prefix: str, now_ms: int) -> str:
    """`<prefix>_` and 26 characters; `now_ms` is the Unix time in milliseconds."""
    number = (now_ms << 80) | secrets.randbits(80)
    characters = []
    for _ in range(26):
        number, digit = divmod(number, 32)
        characters.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(characters))}"
