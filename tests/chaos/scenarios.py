"""All scenarios by number, and the tests that prove a number elsewhere."""

from tests.chaos import again, clients, failover, groups, kills, outage, pace, power, services
from tests.chaos.proven import by
from tests.chaos.scenario import Scenario

LIMITS = "tests/service/limits/test_shared_limits.py"

SCENARIOS = (
    Scenario("T1", "everything is killed", kills.everything, matrix=True),
    Scenario("T2", "and the engine forgets", kills.forgetful, matrix=True),
    Scenario("T3", "masters die, stale replicas take over", failover.failovers),
    Scenario("T4", "the engine is away", outage.away),
    Scenario("T4", "and requests do not feel it", services.away),
    Scenario("T5", "a loss of power, where only processes may die", power.lost),
    Scenario(
        "T6",
        "what is confirmed has been synced",
        by(
            "journal::test_every_event_is_synced_before_it_is_confirmed_where_power_may_be_lost",
            "journal::test_a_failed_sync_is_the_end_and_nothing_is_confirmed_after_it",
        ),
    ),
    Scenario("T7", "two hundred streams are cut", services.cut),
    Scenario("T8", "attempts end in every way", services.every_end),
    Scenario("T9", "replies get lost", outage.speechless, matrix=True),
    Scenario(
        "T10",
        "the control: a plain XADD",
        by("publisher::test_a_plain_xadd_whose_reply_is_lost_is_there_twice"),
    ),
    Scenario("T11", "the disk is full", services.full_disk),
    Scenario("T12", "the engine refuses", outage.refusing, matrix=True),
    Scenario(
        "T12",
        "a cluster refuses",
        by(
            "publisher::test_a_shard_that_moves_to_another_node_is_followed",
            "publisher::test_a_cluster_that_is_down_is_waited_for",
        ),
    ),
    Scenario("T13", "the stream is full", outage.full),
    Scenario(
        "T14",
        "a poisoned event",
        by(
            "aggregate::test_a_poisoned_event_is_given_up_after_five_deliveries"
            "_and_the_others_are_counted"
        ),
    ),
    Scenario("T15", "a consumer dies before it acknowledges", kills.halted, matrix=True),
    Scenario("T16", "a group or a consumer is deleted", groups.deleted),
    Scenario("T17", "one group is behind", groups.behind),
    Scenario(
        "T19",
        "four processes share one limit",
        by(
            f"{LIMITS}::test_four_processes_share_a_burst_exactly_and_settling_moves_the_next_one",
            "tests/service/limits/test_limit_scripts.py::test_an_end_corrects_the_estimate_once",
        ),
    ),
    Scenario("T20", "the engine is frozen", outage.frozen),
    Scenario(
        "T20",
        "and limits do without it",
        by(
            f"{LIMITS}::test_an_engine_that_freezes_costs_no_request_more_than_the_patience"
            "_and_only_once"
        ),
    ),
    Scenario("T21", "who asks is cancelled", clients.cancelled),
    Scenario(
        "T22",
        "idle connections are cut",
        by("publisher::test_connections_that_the_server_dropped_while_idle_are_no_failure"),
    ),
    Scenario(
        "T23",
        "the embedded engine outlives its service",
        by(
            "embedded::test_a_server_that_a_killed_service_left_behind_is_adopted_and_later_ended",
            "embedded::test_a_killed_server_is_back_within_two_seconds_with_what_it_held",
            "embedded::test_real_processes_share_one_server_that_outlives_kill_9_and_no_clean_stop",
        ),
    ),
    Scenario("T23", "the embedded engine dies", services.engine_dies),
    Scenario("T24", "no engine, and the counting process is killed", kills.without_engine),
    Scenario(
        "T24",
        "killed within any transaction",
        by("replay::test_killed_within_any_transaction_it_still_counts_everything_once"),
    ),
    Scenario(
        "T25",
        "the arithmetic of costs",
        by(
            "cost::test_every_part_is_within_half_a_nano_of_the_exact_one"
            "_and_the_total_is_their_sum"
        ),
    ),
    Scenario("T27", "the sums are replayed", again.replayed),
    Scenario("T28", "the pace", pace.gated),
)
