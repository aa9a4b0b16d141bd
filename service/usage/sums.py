"""Where this deployment keeps its sums, by the settings.

One place, because the service, the commands beside it and consumers on other machines must mean the
same database.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Concatenate, Final, ParamSpec, TypeVar

from service.settings import Settings, SettingsError
from service.usage.database import connect
from service.usage.report import Ask
from service.usage.rollups import Rollups

P = ParamSpec("P")
T = TypeVar("T")

FILE: Final = "usage.db"


def url_of(settings: Settings) -> str:
    """The database of the sums: `postgresql://...`, or the path of a file in the data folder."""
    return settings.usage.database or str(settings.server.data / FILE)


class Reading:
    """The sums, for those who ask on the event loop: one at a time, in a thread.

    Were there no turn to wait for, a few slow questions would take every thread there is, and keep
    publishing and counting waiting, too.
    """

    def __init__(self, rollups: Rollups) -> None:
        """Nothing is connected before the first question."""
        self._rollups = rollups
        self._turn = asyncio.Lock()

    async def ask(
        self, question: Callable[Concatenate[Ask, P], T], *given: P.args, **named: P.kwargs
    ) -> T:
        """What `report` or `summary` say; raises UnavailableError."""
        async with self._turn:
            return await asyncio.to_thread(question, self._rollups.read, *given, **named)


def opened(settings: Settings) -> Rollups:
    """The sums; nothing is connected before the first question.

    Each call gives an instance of its own: who counts and who reads do not wait for each other.
    """
    return Rollups(partial(connect, url_of(settings)))


def check(settings: Settings) -> Rollups:
    """The sums, connected; it blocks.

    Raises SettingsError where the database is of no kind that can be used here, UnavailableError
    where it does not answer.
    """
    rollups = opened(settings)
    try:
        rollups.read("SELECT 1", ())
    except ValueError as refusal:
        raise SettingsError(f"usage.database: {refusal}") from None
    return rollups
