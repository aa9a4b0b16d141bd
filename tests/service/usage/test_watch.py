"""What happens to usage on its way is counted, and whoever cannot go on is told of."""

from service.usage.rollups import Letter
from service.usage.watch import Watch

LETTER = Letter(place="s 1-0", producer="p", seq=1, body=b"", reason="why", deliveries=5, at_ns=1)
WELL = {"stream_full": 0, "publishing": 0, "counting": 0}


def test_what_is_published_is_counted_and_so_is_going_back() -> None:
    watch = Watch()
    one, other = watch.publishing(), watch.publishing()
    one.published(3)
    other.published(2)
    one.rewound("p", 5, 1)
    counts = dict(watch.counts())
    assert (counts["published"], counts["rewound"]) == (5, 1)


def test_what_is_counted_is_told_from_what_came_again_and_what_was_given_up() -> None:
    watch = Watch()
    counting = watch.counting()
    counting.counted(4, 1)
    counting.buried(LETTER)
    counting.missing("p", 1, 3)
    counts = dict(watch.counts())
    names = ("counted", "repeated", "given_up", "missing")
    assert [counts[name] for name in names] == [4, 1, 1, 1]


def test_a_publisher_that_is_well_does_not_hide_one_that_is_not() -> None:
    watch = Watch()
    stuck, well = watch.publishing(), watch.publishing()
    stuck.full(full=True)
    stuck.failed("MISCONF")
    well.full(full=False)
    well.failed(None)
    assert dict(watch.troubles()) == WELL | {"stream_full": 1, "publishing": 1}
    stuck.full(full=False)
    stuck.failed(None)
    assert dict(watch.troubles()) == WELL


def test_a_publisher_that_has_ended_is_no_trouble_any_more() -> None:
    watch = Watch()
    stuck = watch.publishing()
    stuck.published(2)
    stuck.failed("MISCONF")
    watch.dismiss(stuck)
    assert dict(watch.troubles()) == WELL
    assert dict(watch.counts())["published"] == 2


def test_a_shard_that_is_well_again_does_not_hide_one_that_is_not() -> None:
    watch = Watch()
    counting = watch.counting()
    counting.failed("UnavailableError")
    counting.failed("ConnectionError")
    counting.failed(None)
    assert dict(watch.troubles()) == WELL | {"counting": 1}
    counting.failed(None)
    assert dict(watch.troubles()) == WELL
