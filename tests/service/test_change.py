"""One change of a provider: what is given of it, and what is refused."""

import pytest

from service.change import MOST, Change, ChangeError


def test_only_what_is_given_is_changed() -> None:
    assert Change.of({}).given() == {}
    change = Change.of({"requests_per_minute": None})
    assert change.given() == {"requests_per_minute": None}


def test_the_later_of_two_changes_wins_where_both_say_something() -> None:
    earlier = Change.of({"enabled": False, "requests_per_minute": 5})
    both = Change.of({"requests_per_minute": None, "tokens_per_minute": 7}).over(earlier)
    assert both.given() == {
        "enabled": False,
        "requests_per_minute": None,
        "tokens_per_minute": 7,
    }


@pytest.mark.parametrize(
    ("value", "field", "said"),
    [
        ({"enabled": None}, "enabled", "enabled: null is not allowed; must be true or false"),
        ({"enabled": 1}, "enabled", "enabled: 1 is not allowed; must be true or false"),
        (
            {"requests_per_minute": "60"},
            "requests_per_minute",
            'requests_per_minute: "60" is not allowed; must be a whole number from 1 to',
        ),
        ({"concurrent_streams": 1.5}, "concurrent_streams", "1.5 is not allowed; must be a whole"),
        ({"tokens_per_minute": True}, "tokens_per_minute", "true is not allowed; must be a whole"),
        ({"tokens_per_minute": MOST + 1}, "tokens_per_minute", "or null for no limit"),
        ({"tokens_per_minute": 10**40}, "tokens_per_minute", "00 is not allowed; must be a"),
        ({"key": "test-key-groq"}, "key", "key: no such field; known are enabled, requests_per"),
        ([], None, "[] is not allowed; must be an object"),
    ],
)
def test_a_bad_change_is_refused_by_its_field_its_value_and_what_is_allowed(
    value: object, field: str | None, said: str
) -> None:
    with pytest.raises(ChangeError) as caught:
        Change.of(value)
    assert caught.value.field == field
    assert said in str(caught.value)


def test_a_long_value_is_cut_in_the_answer() -> None:
    with pytest.raises(ChangeError) as caught:
        Change.of({"enabled": "x" * 10_000})
    assert len(str(caught.value)) < 200
