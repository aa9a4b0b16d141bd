"""How long to wait before the next try of what failed.

Doubling from 0.2 s to 5 s, each time between half of that and all of it, so that those who failed
together do not come back together. At most four tries fall into any second.
"""

from typing import Final

FIRST_S: Final = 0.2
LONGEST_S: Final = 5.0

_DOUBLINGS: Final = 5  # beyond which it is LONGEST_S anyhow


def pause(failures: int, chance: float) -> float:
    """Seconds to wait.

    Args:
        failures: How many came before this one, without a success between.
        chance: From 0 to 1, drawn anew each time.
    """
    longest = min(LONGEST_S, FIRST_S * (1 << min(failures, _DOUBLINGS)))
    return longest * (1 + chance) / 2
