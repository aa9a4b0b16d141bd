"""All scenarios by number, and the tests that prove a number elsewhere."""

from tests.chaos import kills
from tests.chaos.proven import by
from tests.chaos.scenario import Scenario

SCENARIOS = (
    Scenario("T1", "everything is killed", kills.everything, matrix=True),
    Scenario("T2", "and the engine forgets", kills.forgetful, matrix=True),
    Scenario(
        "T6",
        "what is confirmed has been synced",
        by(
            "test_journal.py::test_every_event_is_synced_before_it_is_confirmed_where_power_may_be_lost",
            "test_journal.py::test_a_failed_sync_is_the_end_and_nothing_is_confirmed_after_it",
        ),
    ),
    Scenario(
        "T10",
        "the control: a plain XADD",
        by("test_publisher.py::test_a_plain_xadd_whose_reply_is_lost_is_there_twice"),
    ),
    Scenario(
        "T14",
        "a poisoned event",
        by(
            "test_aggregate.py::test_a_poisoned_event_is_given_up_after_five_deliveries_and_the_others_are_counted"
        ),
    ),
    Scenario("T15", "a consumer dies before it acknowledges", kills.halted, matrix=True),
    Scenario("T24", "no engine, and the counting process is killed", kills.without_engine),
    Scenario(
        "T24",
        "killed within any transaction",
        by("test_replay.py::test_killed_within_any_transaction_it_still_counts_everything_once"),
    ),
    Scenario(
        "T25",
        "the arithmetic of costs",
        by(
            "test_cost.py::test_every_part_is_within_half_a_nano_of_the_exact_one_and_the_total_is_their_sum"
        ),
    ),
)
