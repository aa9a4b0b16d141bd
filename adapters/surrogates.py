r"""Half a character in a JSON payload, made readable: `\ud83d` without its other half.

A provider that cuts its text by UTF-16 units ends a chunk in the middle of an emoji and begins the
next with the rest. No UTF-8 can hold such a half, so the fast JSON decoders refuse the whole chunk,
and the answer would end over it. Each half becomes U+FFFD, what Unicode has for a character that
cannot be told; joining the halves would hold text back in every dialect for a fault that is rare.

Only looked for once a decoder refused a payload: a good one pays nothing.
"""

import re
from typing import Final

_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|.)",  # any other, so that the second backslash of two begins none
    re.DOTALL,
)


def mended(payload: bytes) -> bytes | None:
    r"""The payload with U+FFFD for every lone surrogate; None where it has none."""
    written = _ESCAPE.sub(_whole, payload)
    return None if written == payload else written


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["lone"] else escape[0]
