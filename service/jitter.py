"""How long to wait before the next try, drawn anew each time: `backoff` by this process' luck.

Apart from it, because what decides draws nothing.
"""

import random

from service import backoff


def pause(failures: int) -> float:
    """Seconds, after so many failures without a success between."""
    return backoff.pause(failures, random.random())  # noqa: S311 - jitter, no secret
