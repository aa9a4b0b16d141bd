"""Where this deployment keeps its sums, by the settings.

One place, because the service, the commands beside it and consumers on other machines must mean the
same database.
"""

from functools import partial
from typing import Final

from service.settings import Settings, SettingsError
from service.usage.database import connect
from service.usage.rollups import Rollups

FILE: Final = "usage.db"


def url_of(settings: Settings) -> str:
    """The database of the sums: `postgresql://...`, or the path of a file in the data folder."""
    return settings.usage.database or str(settings.server.data / FILE)


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
