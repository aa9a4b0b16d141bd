"""What happens to usage on its way is counted."""

from service.usage.rollups import Letter
from service.usage.watch import Watch

LETTER = Letter(place="s 1-0", producer="p", seq=1, body=b"", reason="why", deliveries=5, at_ns=1)


def test_what_is_published_is_counted_and_so_is_going_back() -> None:
    watch = Watch()
    publishing = watch.publishing()
    publishing.published(3)
    publishing.published(2)
    publishing.rewound("p", 5, 1)
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


def test_a_full_stream_and_a_failing_part_are_told_for_as_long_as_they_are_so() -> None:
    watch = Watch()
    publishing, counting = watch.publishing(), watch.counting()
    publishing.full(full=True)
    publishing.failed("MISCONF")
    counting.failed("UnavailableError")
    assert dict(watch.troubles()) == {"stream_full": 1, "publishing": 1, "counting": 1}
    assert watch.failing == {"publishing": "MISCONF", "counting": "UnavailableError"}
    publishing.full(full=False)
    publishing.failed(None)
    counting.failed(None)
    assert dict(watch.troubles()) == {"stream_full": 0, "publishing": 0, "counting": 0}
