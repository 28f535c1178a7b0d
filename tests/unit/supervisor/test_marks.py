"""The file of marks: a supervisor learns from it which workers its predecessor had. It ignores doubtful files."""

import mmap
from pathlib import Path

import pytest

from dtqs.scoreboard import Death, Scoreboard
from dtqs.supervisor import marks
from dtqs.uuid7 import uuid7

IDLE, BUSY, TASK = uuid7(), uuid7(), uuid7()


def make_board(folder: Path, boot_id: str, slots: int) -> Scoreboard:
    descriptor = marks.make(folder, boot_id, slots)
    with open(descriptor, "rb"):
        return Scoreboard(slots, mmap.mmap(descriptor, marks.marks_bytes(slots)), marks.HEAD_BYTES)


def leave(folder: Path, boot_id: str = "one") -> Path:
    """Leave the marks of a supervisor with an idle worker, one that runs a task, and an empty slot."""
    board = make_board(folder, boot_id, 3)
    for index, worker in enumerate((IDLE, BUSY)):
        board.slot(index).begin()
        board.slot(index).worker(worker)
        board.slot(index).run(TASK)
    board.slot(0).rest()
    assert (board.read(0).task_id, board.read(1).task_id, board.read(2).worker_id) == (None, TASK, None)
    return folder / f"marks-{boot_id}"


def test_the_next_supervisor_knows_the_workers_and_tasks_of_the_last(tmp_path: Path) -> None:
    leave(tmp_path)
    why = "its supervisor ended"
    assert marks.former(tmp_path) == (
        Death(IDLE, why, None, idle=True, blamed=False),
        Death(BUSY, why, TASK, idle=False, blamed=False),
    )


def test_a_worker_that_was_claiming_several_tasks_may_have_run_any_of_them(tmp_path: Path) -> None:
    slot = make_board(tmp_path, "one", 1).slot(0)
    slot.begin()
    slot.worker(BUSY)
    slot.claim([TASK, uuid7()])
    assert marks.former(tmp_path) == (Death(BUSY, "its supervisor ended", None, idle=False, blamed=False),)


def test_the_marks_of_the_own_supervisor_tell_of_no_death(tmp_path: Path) -> None:
    leave(tmp_path)
    assert marks.former(tmp_path, own="one") == ()


def test_the_marks_of_another_kernel_are_ignored(tmp_path: Path) -> None:
    file = leave(tmp_path)
    content = bytearray(file.read_bytes())
    content[20] ^= 1
    file.write_bytes(content)
    assert marks.former(tmp_path) == ()


def test_no_marks_match_while_the_boot_of_the_machine_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dtqs.supervisor.machine_boot._BOOT_ID", tmp_path / "hidden")
    leave(tmp_path)
    assert marks.former(tmp_path) == ()


@pytest.mark.parametrize("content", [b"", b"dtqs marks 1\n", b"\0" * 10_000])
def test_a_torn_file_is_ignored(tmp_path: Path, content: bytes) -> None:
    leave(tmp_path).write_bytes(content)
    assert marks.former(tmp_path) == ()


def test_an_overwritten_mark_is_ignored(tmp_path: Path) -> None:
    file = leave(tmp_path)
    file.write_bytes(file.read_bytes().replace(TASK.encode(), b"x" * 36))
    assert [death.worker_id for death in marks.former(tmp_path)] == [IDLE]


def test_the_marks_of_the_last_few_supervisors_are_kept(tmp_path: Path) -> None:
    for number in range(9):
        leave(tmp_path, str(number))
    assert len(marks.former(tmp_path)) == 8
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_that_can_hold_no_file_does_not_stop_a_supervisor(tmp_path: Path) -> None:
    board = make_board(tmp_path / "missing", "one", 1)
    board.slot(0).worker(BUSY)
    assert board.read(0).worker_id == BUSY
    assert marks.former(tmp_path / "missing") == ()
