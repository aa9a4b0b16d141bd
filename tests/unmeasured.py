"""What coverage is not measured of.

Python 3.11 reports every call and every line, which takes as long again as a test does, and four
times as long where an answer is cut at ten thousand bytes; a later one reports each only once. So
it is measured where it says something: of a room's own tests, and not of what is run on the way of
a question through the whole service, whether any test looks at it or not; and of repetition once.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PROCESSES = "COVERAGE_PROCESS_CONFIG"
"""Has a Python process that is started measure itself, if set."""


@contextmanager
def unmeasured() -> Iterator[None]:
    """Measure nothing of what this thread runs inside, nor of the processes that it starts."""
    tracer, processes = sys.gettrace(), os.environ.pop(_PROCESSES, None)
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
        if processes is not None:
            os.environ[_PROCESSES] = processes
