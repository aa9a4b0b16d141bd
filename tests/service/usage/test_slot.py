"""Whose folder it is, whether its disk will do, and the space that is put by on it."""

from pathlib import Path

import pytest

from service.usage.slot import MOUNTS, Ballast, Slot, SlotError, check, in_use

MOUNTED = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:40 / /run rw,nosuid - tmpfs tmpfs rw
24 22 0:50 / /srv/nfs rw master:2 shared:9 - nfs4 server:/export rw
25 24 8:2 / /srv/nfs/local rw - xfs /dev/sdb1 rw
26 22 0:51 / /srv/with\\040space rw - cifs //server/share rw
27 22 8:3 / /srv/covered rw - ext4 /dev/sdc1 rw
28 27 0:52 / /srv/covered rw - fuse.sshfs host:/ rw
"""


def taken(data: Path) -> Slot:
    return Slot.claim(data, volatile=True)


# --- Whose ---


def test_each_takes_the_first_slot_that_is_free(tmp_path: Path) -> None:
    with taken(tmp_path) as first, taken(tmp_path) as second, taken(tmp_path):
        assert first.path == tmp_path / "usage" / "0"
        second.release()
        with taken(tmp_path) as again:
            assert again.path == tmp_path / "usage" / "1"


def test_a_slot_is_made_with_all_the_folders_above_it(tmp_path: Path) -> None:
    with taken(tmp_path / "a" / "b") as slot:
        assert slot.path.is_dir()


def test_a_folder_is_in_use_while_somebody_holds_any_of_its_slots(tmp_path: Path) -> None:
    assert not in_use(tmp_path)
    with taken(tmp_path), taken(tmp_path) as second:
        second.release()
        assert in_use(tmp_path)
    assert not in_use(tmp_path)
    with taken(tmp_path) as first:  # looking took nothing away
        assert first.path.name == "0"


def test_the_slots_that_nobody_holds_are_orphans_until_somebody_takes_them(tmp_path: Path) -> None:
    with taken(tmp_path), taken(tmp_path) as second, taken(tmp_path) as third:
        third.release()
        second.release()
        orphans = list(Slot.orphans(tmp_path))
        assert [slot.path.name for slot in orphans] == ["1", "2"]
        assert list(Slot.orphans(tmp_path)) == []
        for slot in orphans:
            slot.release()


def test_there_are_no_orphans_where_there_was_never_a_slot(tmp_path: Path) -> None:
    assert list(Slot.orphans(tmp_path)) == []


# --- Which disk ---


@pytest.mark.parametrize("path", ["/", "/opt/x", "/srv/nfs/local/data", "/srv/nfsx", "/runx"])
def test_a_local_disk_will_do(tmp_path: Path, path: str) -> None:
    check(Path(path), volatile=False, mounts=told(tmp_path))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/nfs", "nfs4"),
        ("/srv/nfs/data", "nfs4"),
        ("/srv/with space/data", "cifs"),
        ("/srv/covered/data", "fuse.sshfs"),
    ],
)
@pytest.mark.parametrize("volatile", [True, False])
def test_a_network_file_system_is_refused_by_its_name(
    tmp_path: Path, path: str, kind: str, *, volatile: bool
) -> None:
    with pytest.raises(SlotError, match=rf"^{path} is on a network file system \({kind}\)"):
        check(Path(path), volatile=volatile, mounts=told(tmp_path))


def test_a_file_system_in_memory_is_refused_unless_that_is_allowed(tmp_path: Path) -> None:
    mounts = told(tmp_path)
    check(Path("/run/data"), volatile=True, mounts=mounts)
    with pytest.raises(SlotError, match=r"^/run/data is in memory \(tmpfs\)"):
        check(Path("/run/data"), volatile=False, mounts=mounts)


def test_where_nobody_tells_the_file_systems_none_is_refused(tmp_path: Path) -> None:
    check(Path("/run"), volatile=False, mounts=tmp_path / "nothing")


def test_a_slot_in_memory_is_not_claimed() -> None:
    memory = Path("/dev/shm")  # noqa: S108 - nothing is written there
    if not (MOUNTS.exists() and f" {memory} " in MOUNTS.read_text(encoding="utf-8")):
        pytest.skip("there is no file system in memory here")
    with pytest.raises(SlotError, match="in memory"):
        check(memory, volatile=False)


def told(folder: Path) -> Path:
    mounts = folder / "mountinfo"
    mounts.write_text(MOUNTED, encoding="utf-8")
    return mounts


# --- Ballast ---


def test_ballast_takes_up_as_much_space_as_it_says_and_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "ballast"
    ballast = Ballast(path, 3_000_000)
    assert ballast.take()
    # Blocks, not length: a file with holes would be as long.
    assert path.stat().st_blocks * 512 >= 3_000_000
    ballast.let_go()
    assert not path.exists()
    ballast.let_go()


def test_ballast_that_is_there_is_left_as_it_is_and_one_of_another_size_made_anew(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ballast"
    assert Ballast(path, 5_000).take()
    noise = path.read_bytes()
    assert Ballast(path, 5_000).take()
    assert path.read_bytes() == noise
    assert Ballast(path, 6_000).take()
    assert path.stat().st_size == 6_000


def test_ballast_that_does_not_fit_takes_up_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ballast"
    assert not Ballast(path, 1 << 60).take()
    assert not path.exists()
    assert not Ballast(tmp_path / "no folder" / "ballast", 5).take()
