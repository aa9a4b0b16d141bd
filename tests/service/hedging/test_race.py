"""The race as dialogues: facts in, commands out."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.errors import make
from adapters.events import Error, ErrorCode, Role
from adapters.request import AfterCommit, Strategy
from service.hedging.race import Cancel, Command, Commit, Finish, Options, Race, Start

BROKEN = make(ErrorCode.STREAM_INTERRUPTED, "cut")
GONE = make(ErrorCode.CANCELLED, "client left")


def started() -> Race:
    race = Race()
    assert race.begin() == [Start(1, 0, Role.PRIMARY)]
    return race


def test_the_first_content_wins_once() -> None:
    race = started()
    assert race.content(1) == [Commit(1, "first_content")]
    assert race.winner == 1
    assert race.content(1) == []


def test_a_winner_that_ends_finishes_the_stream() -> None:
    race = started()
    race.content(1)
    assert race.ended(1, None) == [Finish(1, None)]


def test_a_clean_end_without_content_wins() -> None:
    assert started().ended(1, None) == [Commit(1, "empty_end"), Finish(1, None)]


def test_an_error_never_wins() -> None:
    race = started()
    assert race.ended(1, BROKEN) == [Finish(None, BROKEN)]
    assert race.winner is None


def test_a_winner_that_breaks_finishes_with_its_error() -> None:
    race = started()
    race.content(1)
    assert race.ended(1, BROKEN) == [Finish(1, BROKEN)]


def test_stopping_cancels_what_runs_and_finishes_with_the_reason() -> None:
    before, after = started(), started()
    after.content(1)
    assert before.stop(GONE) == [Cancel(1, GONE), Finish(None, GONE)]
    assert after.stop(GONE) == [Cancel(1, GONE), Finish(1, GONE)]


def test_after_the_finish_no_fact_has_a_consequence() -> None:
    race = started()
    race.stop(GONE)
    assert race.content(1) == race.ended(1, None) == race.stop(GONE) == []


# --- Several candidates ---


DOWN = make(ErrorCode.UPSTREAM_5XX, "down", provider="a")
FULL = make(ErrorCode.RATE_LIMIT_PROVIDER, "full", provider="b", retry_after_ms=700)
UNPAID = make(ErrorCode.QUOTA_PROVIDER, "no money", provider="a")
REFUSED = make(ErrorCode.UNSUPPORTED_PARAMETER, "not here", provider="a")
WRONG = make(ErrorCode.INVALID_REQUEST, "nonsense", provider="a")

ABC = Options(providers=("a", "b", "c"))
AB = replace(ABC, providers=("a", "b"))
HEDGE = replace(ABC, strategy=Strategy.HEDGE, failover_after=8.0)
RACE = replace(ABC, strategy=Strategy.RACE)


class Gate:
    """A gate that waits 1.2 s and says yes to the first, or no."""

    def __init__(
        self, *, wait: float | None = 1.2, hedges: bool = True, fails: bool = True
    ) -> None:
        self.wait = wait
        self.hedges = hedges
        self.fails = fails
        self.asked: list[tuple[list[int], float]] = []

    def delay(self, candidate: int, now: float) -> float | None:
        del candidate, now
        return self.wait

    def hedge(self, unused: Sequence[int], now: float) -> int | None:
        self.asked.append((list(unused), now))
        return unused[-1] if self.hedges else None

    def failover(self, unused: Sequence[int], now: float) -> int | None:
        self.asked.append((list(unused), now))
        return unused[0] if self.fails else None


def normal(options: Options = ABC) -> Race:
    race = Race(options)
    race.begin(100.0)
    return race


def hedged(gate: Gate | None = None, options: Options = HEDGE) -> Race:
    race = Race(options, gate or Gate())
    assert race.begin(100.0) == [Start(1, 0, Role.PRIMARY)]
    return race


def test_a_failure_that_another_provider_may_not_have_starts_the_next_at_once() -> None:
    race = normal()
    assert race.ended(1, DOWN, 101.0) == [Start(2, 1, Role.FALLBACK)]
    assert race.ended(2, REFUSED, 102.0) == [Start(3, 2, Role.FALLBACK)]
    assert race.content(3) == [Commit(3, "first_content")]
    assert race.next_timer() is None


def test_when_all_have_failed_each_cause_is_named() -> None:
    race = normal(AB)
    race.ended(1, DOWN)
    (finish,) = race.ended(2, FULL)
    assert isinstance(finish, Finish)
    assert finish.winner is None
    error = finish.error
    assert error is not None
    assert error.code is ErrorCode.ALL_ATTEMPTS_FAILED
    assert error.causes == [DOWN, FULL]
    assert error.retryable
    assert error.retry_after_ms == 700
    assert error.message == "all 2 attempts failed: a: upstream_5xx; b: rate_limit_provider"


def test_what_waiting_does_not_help_is_not_called_retryable() -> None:
    race = normal(AB)
    race.ended(1, UNPAID)
    (finish,) = race.ended(2, REFUSED)
    assert isinstance(finish, Finish)
    assert finish.error is not None
    assert not finish.error.retryable


def test_the_callers_own_error_is_not_sent_to_everybody_in_turn() -> None:
    assert normal().ended(1, WRONG) == [Finish(None, WRONG)]


def test_the_callers_own_error_outranks_what_failed_before_it() -> None:
    race = normal()
    race.ended(1, DOWN)
    assert race.ended(2, WRONG) == [Finish(None, WRONG)]


def test_a_refused_key_stops_all_of_its_providers_candidates() -> None:
    race = normal(replace(ABC, providers=("a", "a", "b")))
    assert race.ended(1, UNPAID) == [Start(2, 2, Role.FALLBACK)]


def test_without_fallback_the_first_failure_is_the_answer() -> None:
    assert normal(replace(ABC, fallback=False)).ended(1, DOWN) == [Finish(None, DOWN)]


def test_attempts_are_counted_whatever_they_were_for() -> None:
    race = normal(replace(ABC, max_attempts=2))
    race.ended(1, DOWN)
    (finish,) = race.ended(2, DOWN)
    assert isinstance(finish, Finish)
    assert race.content(2) == []


def test_normal_never_arms_a_timer() -> None:
    race = Race(replace(ABC, failover_after=8.0), Gate())
    race.begin(100.0)
    assert race.next_timer() is None
    assert race.timer(1_000.0) == []


# --- Hedging ---


def test_a_silent_first_attempt_is_hedged_and_the_loser_cancelled() -> None:
    gate = Gate()
    race = hedged(gate)
    assert race.next_timer() == 101.2
    assert race.timer(101.1) == []
    assert race.timer(101.2) == [Start(2, 2, Role.HEDGE)]
    assert gate.asked == [([1, 2], 101.2)]
    assert race.content(2) == [Commit(2, "first_content"), Cancel(1, None)]
    assert race.next_timer() is None


def test_a_first_attempt_that_answers_in_time_is_not_hedged() -> None:
    race = hedged()
    race.content(1)
    assert race.next_timer() is None
    assert race.timer(101.2) == []


def test_a_hedges_failure_has_no_consequence_but_its_own() -> None:
    race = hedged()
    race.timer(101.2)
    assert race.ended(2, DOWN, 101.5) == []
    assert race.ended(1, None, 103.0) == [Commit(1, "empty_end"), Finish(1, None)]


def test_a_failure_never_wins_while_another_attempt_lives() -> None:
    race = hedged()
    race.timer(101.2)
    assert race.ended(1, WRONG, 101.5) == []
    assert race.content(2) == [Commit(2, "first_content")]


def test_when_the_hedge_and_the_hedged_both_fail_the_next_starts() -> None:
    race = hedged()
    race.timer(101.2)
    race.ended(2, DOWN, 101.5)
    assert race.ended(1, BROKEN, 102.0) == [Start(3, 1, Role.FALLBACK)]


def test_a_first_attempt_that_fails_early_is_replaced_at_once_and_that_one_is_hedged() -> None:
    race = hedged(options=replace(HEDGE, max_attempts=4))
    assert race.ended(1, DOWN, 100.5) == [Start(2, 1, Role.FALLBACK)]
    assert race.next_timer() == 101.7
    assert race.timer(101.7) == [Start(3, 2, Role.HEDGE)]


def test_a_hedge_that_is_denied_leaves_the_failover() -> None:
    gate = Gate(hedges=False)
    race = hedged(gate)
    assert race.timer(101.2) == []
    assert race.next_timer() == 108.0
    assert race.timer(108.0) == [Start(2, 1, Role.FALLBACK)]
    assert race.content(1) == [Commit(1, "first_content"), Cancel(2, None)]


def test_silence_after_the_hedge_starts_a_third() -> None:
    race = hedged()
    race.timer(101.2)
    assert race.next_timer() == 109.2
    assert race.timer(109.2) == [Start(3, 1, Role.FALLBACK)]
    assert race.next_timer() is None


def test_a_failover_that_may_not_start_yet_is_asked_for_again() -> None:
    gate = Gate(hedges=False, fails=False)
    race = hedged(gate)
    race.timer(101.2)
    assert race.timer(108.0) == []
    assert race.next_timer() == 109.0
    gate.fails = True
    assert race.timer(109.0) == [Start(2, 1, Role.FALLBACK)]


def test_one_who_is_never_to_be_hedged_is_only_failed_over() -> None:
    assert hedged(Gate(wait=None)).next_timer() == 108.0


def test_without_a_gate_a_hedged_request_only_fails_over() -> None:
    race = Race(HEDGE)
    race.begin(100.0)
    assert race.next_timer() == 108.0
    assert race.timer(108.0) == [Start(2, 1, Role.FALLBACK)]


def test_silence_is_no_failure_for_a_request_without_fallback() -> None:
    race = hedged(options=replace(HEDGE, fallback=False))
    assert race.timer(101.2) == [Start(2, 2, Role.HEDGE)]
    assert race.next_timer() is None


def test_with_one_attempt_allowed_there_is_no_timer() -> None:
    assert hedged(options=replace(HEDGE, max_attempts=1)).next_timer() is None


# --- Racing ---


def test_a_race_starts_its_width_at_once() -> None:
    race = Race(replace(RACE, width=3))
    assert race.begin() == [
        Start(1, 0, Role.PRIMARY),
        Start(2, 1, Role.RACE),
        Start(3, 2, Role.RACE),
    ]
    assert race.next_timer() is None
    assert race.content(2) == [Commit(2, "first_content"), Cancel(1, None), Cancel(3, None)]
    assert race.ended(1, DOWN) == []


@pytest.mark.parametrize(("providers", "attempts"), [(("a", "b", "c"), 1), (("a",), 3)])
def test_a_race_is_no_wider_than_its_attempts_and_candidates(
    providers: tuple[str, ...], attempts: int
) -> None:
    options = replace(RACE, providers=providers, width=3, max_attempts=attempts)
    assert Race(options).begin() == [Start(1, 0, Role.PRIMARY)]


def test_a_race_that_all_lose_goes_on_with_the_next() -> None:
    race = Race(RACE)
    race.begin()
    assert race.ended(1, DOWN) == []
    assert race.ended(2, DOWN) == [Start(3, 2, Role.FALLBACK)]


def test_two_contents_at_once_have_one_winner() -> None:
    race = Race(RACE)
    race.begin()
    race.content(1)
    assert race.content(2) == []
    assert race.ended(2, None) == []
    assert race.winner == 1


# --- After the commit ---


def answering(mode: AfterCommit, options: Options = ABC) -> Race:
    race = normal(replace(options, after_commit=mode))
    race.content(1)
    return race


@pytest.mark.parametrize(
    ("mode", "role"),
    [(AfterCommit.RESTART, Role.FALLBACK), (AfterCommit.CONTINUE, Role.CONTINUATION)],
)
def test_a_broken_answer_is_taken_over(mode: AfterCommit, role: Role) -> None:
    race = answering(mode)
    assert race.ended(1, BROKEN, 105.0) == [Start(2, 1, role)]
    assert race.winner is None
    assert race.ended(2, DOWN, 106.0) == [Start(3, 2, role)]
    assert race.content(3) == [Commit(3, "failover")]
    assert race.ended(3, None) == [Finish(3, None)]


def test_a_broken_answer_stays_broken_where_the_request_says_so() -> None:
    assert answering(AfterCommit.FAIL).ended(1, BROKEN) == [Finish(1, BROKEN)]
    assert answering(AfterCommit.RESTART, replace(ABC, fallback=False)).ended(1, BROKEN) == [
        Finish(1, BROKEN)
    ]


def test_a_break_that_nobody_would_repair_is_not_taken_over() -> None:
    filtered = make(ErrorCode.CONTENT_BLOCKED_OUTPUT, "filtered")
    assert answering(AfterCommit.RESTART).ended(1, filtered) == [Finish(1, filtered)]


def impossible(commands: list[Command], winner: int = 1) -> list[Error] | None:
    (finish,) = commands
    assert isinstance(finish, Finish)
    assert finish.winner == winner
    assert finish.error is not None
    assert finish.error.code is ErrorCode.FAILOVER_IMPOSSIBLE
    return finish.error.causes


def test_what_cannot_be_taken_back_ends_honestly() -> None:
    race = answering(AfterCommit.RESTART)
    assert impossible(race.ended(1, BROKEN, mode=AfterCommit.FAIL)) == [BROKEN]


@pytest.mark.parametrize(
    "options", [Options(providers=("a",)), Options(providers=("a", "b"), max_attempts=1)]
)
def test_a_broken_answer_that_nobody_else_was_to_give_ends_with_its_own_error(
    options: Options,
) -> None:
    race = answering(AfterCommit.RESTART, options)
    assert race.ended(1, BROKEN) == [Finish(1, BROKEN)]


def test_a_broken_answer_without_a_candidate_left_ends_honestly() -> None:
    race = Race(Options(providers=("a", "b"), after_commit=AfterCommit.RESTART))
    race.begin()
    race.ended(1, DOWN)
    race.content(2)
    assert impossible(race.ended(2, BROKEN), winner=2) == [BROKEN]


def test_a_takeover_that_nobody_manages_names_the_first_break_and_what_followed() -> None:
    race = answering(AfterCommit.RESTART, AB)
    race.ended(1, BROKEN)
    assert impossible(race.ended(2, DOWN)) == [BROKEN, DOWN]


def test_who_only_lost_the_race_may_take_a_broken_answer_over() -> None:
    race = Race(replace(RACE, width=3, after_commit=AfterCommit.RESTART, max_attempts=6))
    race.begin(100.0)
    race.content(2)
    assert race.ended(2, BROKEN, 101.0) == [Start(4, 0, Role.FALLBACK)]
    race.ended(4, DOWN, 102.0)
    assert race.content(5) == [Commit(5, "failover")]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (Options(providers=("a", "b")), "no candidate is left"),
        (replace(ABC, max_attempts=2), "all 2 attempts of the request are spent"),
    ],
)
def test_an_answer_that_cannot_be_taken_over_says_what_is_in_the_way(
    options: Options, why: str
) -> None:
    race = Race(replace(options, after_commit=AfterCommit.RESTART))
    race.begin()
    race.ended(1, DOWN)
    race.content(2)
    (finish,) = race.ended(2, BROKEN)
    assert isinstance(finish, Finish)
    assert finish.error is not None
    assert finish.error.message.endswith(f"could not be taken over: {why}")


def test_what_failed_before_the_answer_is_no_cause_of_its_end() -> None:
    race = normal(replace(ABC, after_commit=AfterCommit.RESTART, max_attempts=2))
    race.ended(1, DOWN)
    race.content(2)
    (finish,) = race.ended(2, BROKEN)
    assert isinstance(finish, Finish)
    assert finish.error is not None
    assert finish.error.causes == [BROKEN]


def test_a_takeover_is_not_hedged_but_failed_over() -> None:
    race = hedged(options=replace(HEDGE, after_commit=AfterCommit.CONTINUE))
    race.content(1)
    race.ended(1, BROKEN, 110.0)
    assert race.next_timer() == 118.0
    assert race.timer(118.0) == [Start(3, 2, Role.CONTINUATION)]


def test_stopping_during_a_takeover_leaves_the_broken_answer_as_it_is() -> None:
    race = answering(AfterCommit.RESTART)
    race.ended(1, BROKEN)
    assert race.stop(GONE) == [Cancel(2, GONE), Finish(1, GONE)]


def test_a_silence_that_nobody_is_left_for_starts_nobody() -> None:
    race = hedged(options=replace(HEDGE, providers=("a", "b", "a", "b"), rounds=2))
    assert race.timer(102.0) == [Start(2, 3, Role.HEDGE)]
    assert race.timer(110.0) == [Start(3, 1, Role.FALLBACK)]
    race.ended(1, DOWN, 111.0)
    assert race.timer(130.0) == []
    assert race.next_timer() is None


# --- Whatever happens ---


class Record:
    """What a race has commanded, held to the rules at every step."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.live: set[int] = set()
        self.candidates: list[int] = []
        self.spent: set[int] = set()
        """Candidates that may not be asked again: they are being asked, answered or broke."""
        self.committed: list[int] = []
        self.finished: list[Finish] = []

    def carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            assert not self.finished
            match command:
                case Start():
                    self._start(command)
                case Commit():
                    assert (command.reason == "failover") == bool(self.committed)
                    self.committed.append(command.attempt)
                case Cancel():
                    self.live.remove(command.attempt)
                    self.spent.remove(self.candidates[command.attempt - 1])  # it only lost
                case Finish():
                    assert command.winner == (self.committed[-1] if self.committed else None)
                    assert command.winner is not None or command.error is not None
                    self.finished.append(command)
        assert self.options.strategy is not Strategy.NORMAL or len(self.live) <= 1
        assert bool(self.finished) != bool(self.live)

    def _start(self, command: Start) -> None:
        assert command.attempt == len(self.candidates) + 1 <= self.options.max_attempts
        assert command.candidate not in self.spent
        self.spent.add(command.candidate)
        self.candidates.append(command.candidate)
        self.live.add(command.attempt)


OPTIONS = st.builds(
    Options,
    providers=st.just(("a", "b", "a", "c", "b")),
    strategy=st.sampled_from(Strategy),
    width=st.integers(1, 4),
    fallback=st.booleans(),
    failover_after=st.sampled_from([None, 8.0]),
    max_attempts=st.integers(1, 5),
    after_commit=st.sampled_from(AfterCommit),
)
GATES = st.builds(
    Gate, wait=st.sampled_from([None, 1.2]), hedges=st.booleans(), fails=st.booleans()
)
ERRORS = st.sampled_from([None, DOWN, FULL, UNPAID, REFUSED, WRONG, BROKEN])
FACTS = st.lists(
    st.tuples(st.sampled_from(["content", "ended", "timer"]), st.integers(1, 5), ERRORS),
    max_size=25,
)


RACING = Options(
    providers=("a", "b", "a", "c", "b"),
    strategy=Strategy.RACE,
    width=2,
    max_attempts=3,
    after_commit=AfterCommit.RESTART,
)


@example(RACING, Gate(), [("content", 1, None), ("ended", 1, DOWN)])  # the loser is asked again
@given(options=OPTIONS, gate=GATES, facts=FACTS)
def test_whatever_happens_each_attempt_has_one_end_and_so_has_the_request(
    options: Options, gate: Gate, facts: list[tuple[str, int, Error | None]]
) -> None:
    race, record, now = Race(options, gate), Record(options), 100.0
    record.carry_out(race.begin(now))
    for kind, attempt, error in facts:
        now = max(now + 1.0, race.next_timer() or 0.0) if kind == "timer" else now + 1.0
        if kind == "timer":
            record.carry_out(race.timer(now))
        elif attempt not in record.live:
            assert race.content(attempt) == race.ended(attempt, error, now) == []
        elif kind == "content":
            record.carry_out(race.content(attempt))
        else:
            record.live.remove(attempt)
            record.carry_out(
                race.ended(attempt, error, now, mode=AfterCommit.FAIL if attempt == 3 else None)
            )
    record.carry_out(race.stop(GONE))
    assert len(record.finished) == 1
    assert race.next_timer() is None


def test_a_takeover_that_the_caller_is_at_fault_for_ends_with_candidates_left() -> None:
    race = answering(AfterCommit.RESTART, ABC)
    race.ended(1, BROKEN)
    (finish,) = race.ended(2, WRONG)
    assert isinstance(finish, Finish)
    assert finish.error is not None
    assert finish.error.message.endswith("taken over: another one would refuse the request, too")
