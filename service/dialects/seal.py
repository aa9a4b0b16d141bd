"""A provider's signature as one opaque string, for dialects whose fields hold a string only.

What signs reasoning or a call is only good for the provider that made it, and another one refuses
it. So whose it is travels inside: the client gives the string back unchanged, and the signature
goes to that provider and is dropped for any other. What somebody else put in the same field (an
answer that came from elsewhere) is passed over: whose it is cannot be known.
"""

import base64
from typing import Final

import msgspec

from adapters.events import ReasoningSignature
from adapters.request import Signature

_SEALED: Final = "tailrace.1."


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
