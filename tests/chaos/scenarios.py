"""All scenarios by number, and the tests that prove a number elsewhere."""

from tests.chaos import again, clients, failover, groups, kills, outage, pace, power, services
from tests.chaos.proven import proven
from tests.chaos.scenario import Scenario

LIMITS = "tests/service/limits/test_shared_limits.py"

SCENARIOS = (
    Scenario("T1", "everything is killed", kills.everything, on="every"),
    Scenario("T2", "and the engine forgets", kills.forgetful, on="every"),
    Scenario("T3", "masters die, stale replicas take over", failover.failovers),
    Scenario("T4", "the engine is away", outage.away),
    Scenario("T4", "and requests do not feel it", services.away),
    Scenario("T5", "a loss of power, where only processes may die", power.lost),
    proven(
        "T6",
        "what is confirmed has been synced",
        "journal::test_every_event_is_synced_before_it_is_confirmed_where_power_may_be_lost",
        "journal::test_a_failed_sync_is_the_end_and_nothing_is_confirmed_after_it",
    ),
    Scenario("T7", "two hundred streams are cut", services.cut, on="own"),
    Scenario("T8", "attempts end in every way", services.every_end, on="own"),
    Scenario("T9", "replies get lost", outage.speechless, on="every"),
    proven(
        "T10",
        "the control: a plain XADD",
        "publisher::test_a_plain_xadd_whose_reply_is_lost_is_there_twice",
    ),
    Scenario("T11", "the disk is full", services.full_disk),
    Scenario("T12", "the engine refuses", outage.refusing, on="every"),
    proven(
        "T12",
        "a cluster refuses",
        "publisher::test_a_shard_that_moves_to_another_node_is_followed",
        "publisher::test_a_cluster_that_is_down_is_waited_for",
    ),
    Scenario("T13", "the stream is full", outage.full),
    proven(
        "T14",
        "a poisoned event",
        "aggregate::test_a_poisoned_event_is_given_up_after_five_deliveries"
        "_and_the_others_are_counted",
    ),
    Scenario("T15", "a consumer dies before it acknowledges", kills.halted, on="every"),
    Scenario("T16", "a group or a consumer is deleted", groups.deleted),
    Scenario("T17", "one group is behind", groups.behind),
    proven(
        "T19",
        "four processes share one limit",
        f"{LIMITS}::test_four_processes_share_a_burst_exactly_and_settling_moves_the_next_one",
        "tests/service/limits/test_limit_scripts.py::test_an_end_corrects_the_estimate_once",
    ),
    Scenario("T20", "the engine is frozen", outage.frozen),
    proven(
        "T20",
        "and limits do without it",
        f"{LIMITS}::test_an_engine_that_freezes_costs_no_request_more_than_the_patience"
        "_and_only_once",
    ),
    Scenario("T21", "who asks is cancelled", clients.cancelled),
    proven(
        "T22",
        "idle connections are cut",
        "publisher::test_connections_that_the_server_dropped_while_idle_are_no_failure",
    ),
    proven(
        "T23",
        "the embedded engine outlives its service",
        "embedded::test_a_server_that_a_killed_service_left_behind_is_adopted_and_later_ended",
        "embedded::test_a_killed_server_is_back_within_two_seconds_with_what_it_held",
        "embedded::test_real_processes_share_one_server_that_outlives_kill_9_and_no_clean_stop",
    ),
    Scenario("T23", "the embedded engine dies", services.engine_dies, on="own"),
    Scenario(
        "T24", "no engine, and the counting process is killed", kills.without_engine, on="none"
    ),
    proven(
        "T24",
        "killed within any transaction",
        "replay::test_killed_within_any_transaction_it_still_counts_everything_once",
    ),
    proven(
        "T25",
        "the arithmetic of costs",
        "cost::test_every_part_is_within_half_a_nano_of_the_exact_one_and_the_total_is_their_sum",
    ),
    Scenario("T27", "the sums are replayed", again.replayed),
    Scenario("T28", "the pace", pace.gated),
)
