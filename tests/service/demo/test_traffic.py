"""Made-up requests: in their hours, by habit, and the same again."""

from collections import Counter
from datetime import UTC, datetime
from random import Random

from service.demo.traffic import CLIENTS, DAY, Ask, asks

MONDAY = datetime(2026, 11, 16, tzinfo=UTC).timestamp()
WEEK = 7 * DAY


def week(seed: int = 0) -> list[Ask]:
    luck = Random(seed)  # noqa: S311 - made up, no secret
    return asks(luck, since=MONDAY, until=MONDAY + WEEK)


def moment(ask: Ask) -> datetime:
    return datetime.fromtimestamp(ask.at, UTC)


def test_the_same_luck_gives_the_same_requests_and_another_one_others() -> None:
    assert week() == week()
    assert week() != week(1)


def test_they_come_in_order_and_between_the_two_moments() -> None:
    times = [ask.at for ask in week()]
    assert times == sorted(times)
    assert times[0] > MONDAY
    assert times[-1] < MONDAY + WEEK


def test_every_client_asks_about_as_often_as_its_hours_say() -> None:
    asked = Counter(ask.client for ask in week())
    for client in CLIENTS:
        expected = sum(client.hours) * (5 + 2 * client.weekend)
        assert abs(asked[client.name] - expected) < 5 * expected**0.5


def test_offices_are_empty_at_night_and_batches_run_then() -> None:
    by_hour = Counter((ask.client, moment(ask).hour) for ask in week())
    assert by_hour["demo-web", 10] > 5 * by_hour["demo-web", 3]
    assert by_hour["demo-batch", 2] > 100
    assert by_hour["demo-batch", 10] == 0


def test_weekends_are_quieter() -> None:
    by_day = Counter(moment(ask).weekday() for ask in week() if ask.client == "demo-editor")
    assert by_day[6] < by_day[0] / 2


def test_everybody_asks_what_they_are_there_for_and_is_a_demo_by_name() -> None:
    habits = {client.name: client for client in CLIENTS}
    assert all(name.startswith("demo-") for name in habits)
    for ask in week():
        client = habits[ask.client]
        assert ask.use_case in client.use_cases
        assert ask.tier in client.tiers
        assert client.hedged > 0 or not ask.hedged
