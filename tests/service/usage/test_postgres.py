"""What is PostgreSQL's own; `test_database` asks it the questions that both answer."""

from service.usage.postgres import Postgres
from tests.service.usage.databases import created


def test_commits_are_synced_though_the_server_would_not(postgresql: str) -> None:
    url = f"{created(postgresql)}&options=-csynchronous_commit%3Doff"
    database = Postgres(url)
    assert database.ask("SHOW synchronous_commit") == [("on",)]
    database.close()


def test_stricter_settings_are_left_alone(postgresql: str) -> None:
    url = f"{created(postgresql)}&options=-csynchronous_commit%3Dremote_apply"
    database = Postgres(url)
    assert database.ask("SHOW synchronous_commit") == [("remote_apply",)]
    database.close()
