"""Deaths for lack of memory, recognised by the kernel's counter."""

from pathlib import Path

from dtqs.supervisor.oom import OomWatch, find_counter


def test_a_rise_of_the_counter_is_remembered_for_a_moment(tmp_path: Path) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("oom 4\noom_kill 3\noom_group_kill 0\n")
    watch = OomWatch(counter)
    watch.update(10.0)
    assert not watch.struck(10.0)
    counter.write_text("oom 5\noom_kill 4\noom_group_kill 0\n")
    watch.update(20.0)
    watch.update(21.0)
    assert watch.struck(21.5)
    assert not watch.struck(22.5)


def test_without_a_counter_no_death_is_for_lack_of_memory(tmp_path: Path) -> None:
    for watch in (OomWatch(None), OomWatch(tmp_path / "absent")):
        watch.update(1.0)
        assert not watch.struck(1.0)


def test_the_counter_is_found_in_both_versions_of_control_groups(tmp_path: Path) -> None:
    membership, root = tmp_path / "cgroup", Path("/sys/fs/cgroup")
    membership.write_text("9:cpu,memory:/box\n1:name=systemd:/x\n0::/\n")
    assert find_counter(membership, root) == root / "memory/box/memory.oom_control"
    membership.write_text("0::/system.slice/dtqs-worker.service\n")
    assert find_counter(membership, root) == root / "system.slice/dtqs-worker.service/memory.events"
    membership.write_text("")
    assert find_counter(membership, root) is None
    assert find_counter(tmp_path / "absent", root) is None
