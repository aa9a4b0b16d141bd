"""What a client keeps for us, as one opaque string: its dialect's field holds a string only.

What signs reasoning or a call is only good for the provider that made it, and another one refuses
it. So whose it is travels inside: the client gives the string back unchanged, and the signature
goes to that provider and is dropped for any other. What somebody else put in the same field (an
answer that came from elsewhere) is passed over: whose it is cannot be known.

The summary of a conversation is words that any provider understands, so it names none. It is all
that is left of the conversation, so a checksum travels with it: one that a client's store cut short
would go on without a part of what was said, and nobody would know. Neither is a
secret, least of all from the client whose conversation it is: opaque means not to be relied on.
"""

import base64
from hashlib import blake2b
from typing import Final

import msgspec

from adapters.events import ReasoningSignature
from adapters.request import Signature

_SEALED: Final = "tailrace.1."
_PACKED: Final = "tailrace.summary.2."

_CHECK: Final = 8
"""Bytes of the checksum in front of a summary. It is against accidents, not against anybody."""


class DamagedError(ValueError):
    """What was written here came back as something else."""


class _Seal(msgspec.Struct, frozen=True, array_like=True):
    provider: str
    format: str
    value: str
    id: str | None = None


_decoder: Final = msgspec.json.Decoder(_Seal)


def sealed(signature: ReasoningSignature) -> str:
    """The string to give to a client."""
    seal = _Seal(signature.provider, signature.format, signature.value, signature.id)
    return _SEALED + base64.urlsafe_b64encode(msgspec.json.encode(seal)).decode()


def unsealed(value: object) -> Signature | None:
    """What `sealed` wrote; None for anything else."""
    if not isinstance(value, str) or not value.startswith(_SEALED):
        return None
    try:
        seal = _decoder.decode(base64.urlsafe_b64decode(value.removeprefix(_SEALED)))
    except ValueError:  # no base64, no JSON, or no seal
        return None
    return Signature(provider=seal.provider, format=seal.format, value=seal.value, id=seal.id)


def packed(summary: str) -> str:
    """The string to give to a client for the summary of a conversation."""
    said = summary.encode()
    return _PACKED + base64.urlsafe_b64encode(_checksum(said) + said).decode()


def unpacked(value: object) -> str | None:
    """The summary that `packed` wrote; None for anything else.

    Raises DamagedError where characters of it were lost, added or changed.
    """
    if not isinstance(value, str) or not value.startswith(_PACKED):
        return None
    try:
        written = base64.b64decode(value.removeprefix(_PACKED), altchars=b"-_", validate=True)
    except ValueError:  # no base64
        raise DamagedError from None
    check, said = written[:_CHECK], written[_CHECK:]
    if check != _checksum(said):
        raise DamagedError
    return said.decode("utf-8", "replace")


def _checksum(said: bytes) -> bytes:
    return blake2b(said, digest_size=_CHECK).digest()
