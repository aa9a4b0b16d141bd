"""Names: prefixed, sortable by time, different every time."""

import re
from uuid import RFC_4122

from service import ids

NOW = 1_795_392_000_123


def test_a_name_is_its_prefix_and_26_characters_that_need_no_escaping() -> None:
    assert re.fullmatch(r"st_[0-9A-HJKMNP-TV-Z]{26}", ids.new("st", NOW))


def test_names_sort_by_the_time_they_were_made_at() -> None:
    names = [ids.new("st", NOW + offset) for offset in range(50)]
    assert names == sorted(names)


def test_names_of_one_moment_differ() -> None:
    assert len({ids.new("st", NOW) for _ in range(1_000)}) == 1_000


def test_a_uuid_says_its_version_and_its_time_and_sorts_by_it() -> None:
    made = [ids.uuid7(NOW + offset) for offset in range(50)]
    assert {(uuid.version, uuid.variant) for uuid in made} == {(7, RFC_4122)}
    assert made[0].int >> 80 == NOW
    assert [uuid.bytes for uuid in made] == sorted(uuid.bytes for uuid in made)


def test_uuids_of_one_moment_differ() -> None:
    assert len({ids.uuid7(NOW) for _ in range(1_000)}) == 1_000


def test_a_uuid_of_given_chance_comes_out_alike_and_keeps_all_of_it() -> None:
    most = (1 << ids.CHANCE) - 1
    made = {ids.uuid7_of(NOW, chance) for chance in (0, 1, 1 << 62, most)}
    assert len(made) == 4
    assert {(uuid.version, uuid.variant) for uuid in made} == {(7, RFC_4122)}
    assert ids.uuid7_of(NOW, most) in made
    assert {uuid.int >> 80 for uuid in made} == {NOW}


def test_a_name_says_when_it_was_made_and_another_one_does_not() -> None:
    assert ids.made_at(ids.new("st", 1_795_392_000_123)) == 1_795_392_000_123
    for other in ("", "st_1", "st_none", "st_01kb0000000000000000000000"):
        assert ids.made_at(other) is None
