"""What is told of an attempt, when, and what a lost call changes."""

import pytest

from service.limits import account
from service.limits.account import BATCH, Account, Counted, End, Entry, Hold
from service.limits.provider_limits import MINUTE, Together

NOW = 1_000.0
CLOCK = 1_700_000_000_000_000


def hold(name: str = "a", tokens: int = 100, made: float = NOW, lease: float = 600) -> Hold:
    return Hold(name, tokens, made, made + lease)


def words(batch: list[Entry]) -> list[tuple[object, ...]]:
    return [entry.words for entry in batch]


def answered(batch: list[Entry], *done: bool, at: int = CLOCK) -> Counted:
    return Counted(at, 0, 0, 0, done or (True,) * len(batch))


def told(of: Account, now: float = NOW) -> list[tuple[object, ...]]:
    """The words of the next call, which is answered well."""
    batch = of.batch(now)
    of.took(batch, answered(batch))
    return words(batch)


def admitted(of: Account, one: Hold) -> Hold:
    of.ask(one)
    told(of)
    return one


# --- Asking ---------------------------------------------------------------------------------


def test_who_asks_is_told_whether_they_are_admitted() -> None:
    of, first, second = Account(), hold("a"), hold("b")
    of.ask(first)
    of.ask(second)
    batch = of.batch(NOW)
    assert words(batch) == [
        ("ask", "a", 100, 600_000_000, 1),
        ("ask", "b", 100, 600_000_000, 1),
    ]
    assert of.took(batch, answered(batch, True, False)) == [(first, True), (second, False)]
    assert of.batch(NOW) == []


def test_an_answer_that_is_not_one_for_each_entry_changes_nothing() -> None:
    of, first, second = Account(), hold("a"), hold("b")
    of.ask(first)
    of.ask(second)
    batch = of.batch(NOW)
    with pytest.raises(ValueError, match="1 answers to 2 entries"):
        of.took(batch, answered(batch, False))
    assert (first.counted, first.refused) == (None, False)
    assert of.lost(batch) == [first, second]


def test_one_call_takes_so_many_and_the_next_one_the_rest_in_their_order() -> None:
    of = Account()
    for number in range(BATCH + 2):
        of.ask(hold(str(number)))
    assert of.waiting == BATCH + 2
    assert [said[1] for said in told(of)] == [str(number) for number in range(BATCH)]
    assert [said[1] for said in told(of)] == [str(BATCH), str(BATCH + 1)]
    assert of.waiting == 0


def test_who_does_not_ask_any_more_before_it_was_told_is_not_told() -> None:
    of, one = Account(), hold()
    of.ask(one)
    of.withdraw(one)
    assert of.batch(NOW) == []
    assert of.waiting == 0


def test_who_does_not_ask_any_more_when_it_was_told_gives_back_what_it_is_granted() -> None:
    of, one = Account(), hold()
    of.ask(one)
    batch = of.batch(NOW)
    of.withdraw(one)
    assert of.batch(NOW) == []  # it is not known yet whether there is anything to end
    of.took(batch, answered(batch))
    assert told(of) == [("end", "a", -100, CLOCK, -1)]
    assert of.waiting == 0


def test_or_nothing_where_it_was_refused() -> None:
    of, one = Account(), hold()
    of.ask(one)
    batch = of.batch(NOW)
    of.withdraw(one)
    of.took(batch, answered(batch, False))
    assert of.batch(NOW) == []
    assert of.waiting == 0


# --- Ends -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("tokens", "more"), [(40, -60), (100, 0), (150, 50), (None, 0)])
def test_an_end_tells_by_how_much_it_was_more_than_estimated(tokens: int | None, more: int) -> None:
    of = Account()
    of.end(End(admitted(of, hold()), tokens))
    assert told(of) == [("end", "a", more, CLOCK, 0)]
    assert of.batch(NOW) == []


def test_what_was_not_sent_is_given_back_whole() -> None:
    of = Account()
    of.end(End(admitted(of, hold()), unsent=True))
    assert told(of) == [("end", "a", -100, CLOCK, -1)]


def test_an_end_of_which_no_answer_came_is_told_again() -> None:
    of = Account()
    of.end(End(admitted(of, hold()), 40))
    batch = of.batch(NOW)
    assert of.lost(batch) == []
    assert words(of.batch(NOW)) == words(batch) != []


def test_an_end_whose_lease_is_over_is_not_told() -> None:
    of = Account()
    of.end(End(admitted(of, hold(lease=5)), 40))
    assert of.batch(NOW + 5) == []
    assert of.waiting == 0


def test_where_too_many_wait_the_oldest_are_left_to_their_leases_and_counted() -> None:
    of = Account()
    first, second = admitted(of, hold("a")), admitted(of, hold("b"))
    of.end(End(first))
    for _ in range(account.MOST_ENDS):
        of.end(End(second))
    assert of.waiting == account.MOST_ENDS
    assert of.left_to_leases == 1
    assert {said[1] for said in words(of.batch(NOW))} == {"b"}


# --- The engine is away ---------------------------------------------------------------------


def test_who_was_not_told_yet_goes_on_without_the_engine() -> None:
    of, one = Account(), hold()
    of.ask(one)
    assert of.strand() == [one]
    of.withdraw(one)  # not admitted here either
    assert of.batch(NOW) == []
    assert of.waiting == 0


def test_who_was_told_of_but_not_answered_may_have_been_admitted_and_so_is_ended() -> None:
    of, one = Account(), hold()
    of.ask(one)
    assert of.lost(of.batch(NOW)) == [one]
    of.withdraw(one)
    ((verb, name, tokens, counted, requests),) = told(of)
    assert (verb, name, tokens, requests) == ("end", "a", -100, -1)
    assert isinstance(counted, int)
    assert counted > CLOCK


def test_what_was_admitted_here_is_told_and_then_how_it_ended_in_a_call_of_its_own() -> None:
    of, one = Account(), hold()
    of.owe(one)
    of.end(End(one, 40))
    assert told(of, NOW + 10) == [("own", "a", 100, 590_000_000, 1)]
    assert told(of, NOW + 10) == [("end", "a", -60, CLOCK, 0)]
    assert of.waiting == 0


def test_what_was_admitted_here_and_runs_is_ended_like_any_other_later() -> None:
    of, one = Account(), hold()
    of.owe(one)
    assert told(of) == [("own", "a", 100, 600_000_000, 1)]
    assert of.waiting == 0
    of.end(End(one, 40))
    assert told(of) == [("end", "a", -60, CLOCK, 0)]


def test_who_asked_in_vain_and_was_admitted_here_is_told_like_any_other() -> None:
    of, one = Account(), hold()
    of.ask(one)
    of.lost(of.batch(NOW))
    of.owe(one)
    of.end(End(one, 100))
    assert told(of) == [("own", "a", 100, 600_000_000, 1)]
    assert told(of) == [("end", "a", 0, CLOCK, 0)]


def test_what_is_told_in_vain_is_told_again_before_its_end() -> None:
    of, one = Account(), hold()
    of.owe(one)
    first = of.batch(NOW)
    of.end(End(one, 40))
    assert of.lost(first) == []
    assert words(of.batch(NOW)) == words(first)
    assert [said[0] for said in [*told(of), *told(of)]] == ["own", "end"]


def test_what_ended_here_a_minute_ago_is_not_told_at_all() -> None:
    of, one = Account(), hold()
    of.owe(one)
    of.end(End(one, 40))
    assert of.batch(NOW + MINUTE) == []
    assert of.waiting == 0


def test_what_still_runs_after_a_minute_counts_as_a_stream_and_with_what_it_took_beyond() -> None:
    of, one = Account(), hold()
    of.owe(one)
    assert told(of, NOW + MINUTE) == [("own", "a", 0, 540_000_000, 0)]
    of.end(End(one, 40))
    assert told(of, NOW + MINUTE) == [("end", "a", 0, CLOCK, 0)]
    of.owe(other := hold("b"))
    told(of, NOW + MINUTE)
    of.end(End(other, 130))
    assert told(of, NOW + MINUTE) == [("end", "b", 30, CLOCK, 0)]
    of.owe(unsent := hold("c"))
    told(of, NOW + MINUTE)
    of.end(End(unsent, unsent=True))
    assert told(of, NOW + MINUTE) == [("end", "c", 0, CLOCK, 0)]


def test_what_the_engine_still_knows_when_it_is_reminded_counts_as_it_did() -> None:
    of = Account()
    one = admitted(of, hold())
    of.remind(one)
    batch = of.batch(NOW + MINUTE)
    assert words(batch) == [("own", "a", 0, 540_000_000, 0)]
    of.took(batch, answered(batch, False, at=CLOCK + 1))
    of.end(End(one, 40))
    assert told(of, NOW + MINUTE) == [("end", "a", -60, CLOCK, 0)]


def test_what_it_has_forgotten_counts_as_it_is_reminded() -> None:
    of = Account()
    one = admitted(of, hold())
    of.remind(one)
    batch = of.batch(NOW + MINUTE)
    of.took(batch, answered(batch, True, at=CLOCK + 1))
    of.end(End(one, 40))
    assert told(of, NOW + MINUTE) == [("end", "a", 0, CLOCK + 1, 0)]


def test_what_ends_before_the_engine_is_reminded_is_ended_there() -> None:
    of = Account()
    one = admitted(of, hold())
    of.remind(one)
    of.end(End(one, 40))
    assert told(of) == [("end", "a", -60, CLOCK, 0)]
    assert of.waiting == 0


def test_what_runs_beyond_its_lease_is_not_told() -> None:
    of = Account()
    of.owe(hold(lease=5))
    assert of.batch(NOW + 5) == []
    assert of.waiting == 0


def test_what_was_over_within_its_lease_counts_for_the_rest_of_its_minute() -> None:
    of, one = Account(), hold(lease=5)
    of.owe(one)
    of.end(End(one, 100))
    assert told(of, NOW + 30) == [("own", "a", 100, 1, 1)]
    assert told(of, NOW + 30) == []


def test_what_is_forgotten_while_it_is_told_is_ended_there() -> None:
    of, one = Account(), hold()
    of.owe(one)
    batch = of.batch(NOW)
    of.end(End(one, 40))
    of.batch(NOW + MINUTE)
    of.took(batch, answered(batch))
    assert told(of, NOW + MINUTE) == [("end", "a", 0, CLOCK, 0)]


# --- Replies --------------------------------------------------------------------------------


def test_a_reply_is_read_in_requests_and_tokens() -> None:
    counted = Counted.of([CLOCK, 90_000_000, 60_000_000, 3, 1, 0])
    assert counted == Counted(CLOCK, 1.5, 1.0, 3, (True, False))
    assert counted.together(NOW) == Together(1.5, 1.0, 3, NOW)
