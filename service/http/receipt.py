"""Whether what was written to a connection has arrived at its other end.

That a write succeeded says nothing of it: the kernel holds a megabyte for a peer that is gone, and
takes minutes to find out. What the kernel knows is how much the peer has not acknowledged. There is
no event for it, so it is asked again at growing intervals: the answer comes late by half of what
the acknowledgement took, at most, and a peer that is silent costs a dozen questions.

An acknowledgement is the peer's kernel's, or that of the proxy in between: neither is a page. Over
a WebSocket there is better: a ping that comes back (`service.http.ui_socket`).

Only Linux is known to tell. Elsewhere nothing counts as arrived.
"""

import asyncio
import fcntl
import sys
import termios
from typing import Final

FIRST_LOOK: Final = 0.002  # seconds
"""The first look but one; a neighbour has acknowledged by then."""

GROWTH: Final = 1.5


async def arrived(transport: asyncio.Transport | None, patience: float) -> bool:
    """Whether the peer acknowledges all that was written, within `patience` seconds.

    False also where the connection ends meanwhile, or nobody can tell.
    """
    pause = FIRST_LOOK
    try:
        async with asyncio.timeout(patience):
            while (left := unacknowledged(transport)) is not None:
                if left == 0:
                    return True
                await asyncio.sleep(pause)
                pause *= GROWTH
    except TimeoutError:
        return False
    return False


def unacknowledged(transport: asyncio.Transport | None) -> int | None:
    """Bytes that were written and not acknowledged; None where nobody can tell."""
    if transport is None or transport.is_closing():  # its descriptor may be another's already
        return None
    queued = bytearray(4)
    try:
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
    except OSError:
        return None
    return transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)
