"""Repetition that coverage is not measured of.

What has been run once under measurement adds nothing to it when it is run ten thousand times more,
cut at another byte each time, and takes four times as long by it (Python 3.11, where every call
and every line is reported; a later one reports each only once).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unmeasured() -> Iterator[None]:
    """Measure nothing of what this thread runs inside."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
