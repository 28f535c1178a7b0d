"""SIGKILL of a worker that writes files: its leftovers are removed soon, and files of living workers stay."""

import signal
from pathlib import Path

from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial, gone

ONE = {"pool:default": {"workers": 1}}


def _files(system: Trial) -> set[Path]:
    return {path for path in system.config.files.directory.rglob("*") if path.is_file()}


def _size(path: Path) -> int:
    """Return the file's size, or -1 if the file has moved: a stored output gets its final name."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _start_hoard(system: Trial) -> tuple[str, set[Path]]:
    """Begin a task and wait for the files of its first attempt: one in its folder, a whole output, a half output.

    Return the task's id and these files.
    """
    before = _files(system)
    task_id = system.put_one({"seconds": 1000}, task_type="hoard")
    eventually(
        lambda: len([path for path in _files(system) - before if _size(path) == 1000]) == 3,
        20,
        "three files are written",
    )
    return task_id, _files(system) - before


def _existing(files: set[Path]) -> list[Path]:
    return [path for path in files if path.exists()]


def test_a_killed_workers_files_are_removed_and_a_living_workers_files_stay(trial: Try) -> None:
    system = trial({"pool:default": {"workers": 2}})
    killed, left = _start_hoard(system)
    living, used = _start_hoard(system)
    system.kill(system.running(killed).pid)
    eventually(lambda: not _existing(left), 10, "the dead worker's files are gone")
    assert system.outcome(killed) == "completed"
    assert system.attempts(killed) == 2
    assert sorted(_existing(used)) == sorted(used)
    kept = [
        system.config.files.directory / uri[-4:-2] / uri[-2:] / uri
        for (uri,) in system.rows("SELECT id::text FROM files")
    ]
    assert len(_existing(set(kept))) == 2, "the outputs of the second attempt stay"
    assert not system.rows("SELECT 1 FROM tasks WHERE id = %s AND outcome IS NOT NULL", living)
    system.check()


def test_a_killed_nodes_files_are_removed_by_a_node_that_shares_the_folder(trial: Try) -> None:
    system = trial(ONE)
    killed, left = _start_hoard(system)
    system.start_another_supervisor()
    living, used = _start_hoard(system)
    gone(system.kill_supervisor())
    eventually(lambda: not _existing(left), 20, "the dead node's files are gone")
    assert sorted(_existing(used)) == sorted(used)
    assert not system.rows("SELECT 1 FROM tasks WHERE id = %s AND outcome IS NOT NULL", living)
    assert not system.rows("SELECT 1 FROM tasks WHERE id = %s AND outcome IS NOT NULL", killed), (
        "the other node's worker is busy"
    )
    system.check()


def test_the_outputs_of_a_worker_that_ended_normally_stay(trial: Try) -> None:
    system = trial(ONE)
    delivered = system.put_one({"seconds": 0}, task_type="hoard")
    assert system.outcome(delivered) == "completed"
    kept = _files(system)
    folders = system.config.files.directory / "tmp"
    (worker,) = system.workers()
    assert system.supervisor
    system.supervisor.send_signal(signal.SIGHUP)
    eventually(
        lambda: [one for one in system.workers() if one.worker_id != worker.worker_id], 20, "another worker has started"
    )
    eventually(
        lambda: worker.worker_id not in [path.name for path in folders.iterdir()],
        20,
        "the former worker's folder is gone",
    )
    outputs = {path for path in kept if folders not in path.parents}
    assert len(outputs) == 2
    assert sorted(_existing(outputs)) == sorted(outputs)
