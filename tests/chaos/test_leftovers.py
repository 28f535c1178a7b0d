"""SIGKILL of a worker in the middle of a task that writes files: what it left goes soon, and what lives is left alone."""

import signal
from pathlib import Path

from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial, gone

ONE = {"pool:default": {"workers": 1}}


def _files(system: Trial) -> set[Path]:
    return {path for path in system.config.files.directory.rglob("*") if path.is_file()}


def _size(path: Path) -> int:
    """Return the file's size, or -1 when it has moved on meanwhile: a stored output gets its final name."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _hoards(system: Trial) -> tuple[str, set[Path]]:
    """Begin a task; returns its id and the files that its first attempt has written when it is in the middle: in its folder, whole, and half."""
    before = _files(system)
    task_id = system.put_one({"seconds": 1000}, task_type="hoard")
    eventually(
        lambda: len([path for path in _files(system) - before if _size(path) == 1000]) == 3,
        20,
        "three files are written",
    )
    return task_id, _files(system) - before


def _there(files: set[Path]) -> list[Path]:
    return [path for path in files if path.exists()]


def test_what_a_killed_workers_attempt_has_left_goes_soon_and_a_living_ones_stays(trial: Try) -> None:
    system = trial({"pool:default": {"workers": 2}})
    killed, left = _hoards(system)
    living, used = _hoards(system)
    system.kill(system.running(killed).pid)
    eventually(lambda: not _there(left), 10, "what the dead worker left is gone")
    assert system.outcome(killed) == "completed"
    assert system.attempts(killed) == 2
    assert sorted(_there(used)) == sorted(used)
    kept = [
        system.config.files.directory / uri[-4:-2] / uri[-2:] / uri
        for (uri,) in system.rows("SELECT id::text FROM files")
    ]
    assert len(_there(set(kept))) == 2, "what the second attempt has delivered stays"
    assert not system.rows("SELECT 1 FROM tasks WHERE id = %s AND outcome IS NOT NULL", living)
    system.check()


def test_what_a_killed_node_has_left_is_removed_by_another_that_shares_the_folder(trial: Try) -> None:
    system = trial(ONE)
    killed, left = _hoards(system)
    system.start_another_supervisor()
    living, used = _hoards(system)
    gone(system.kill_supervisor())
    eventually(lambda: not _there(left), 20, "what the dead node left is gone")
    assert sorted(_there(used)) == sorted(used)
    assert not system.rows("SELECT 1 FROM tasks WHERE id = %s AND outcome IS NOT NULL", living)
    assert not system.rows("SELECT 1 FROM tasks WHERE id = %s AND outcome IS NOT NULL", killed), (
        "the other node's worker is busy"
    )
    system.check()


def test_what_a_worker_that_ended_in_order_has_delivered_stays(trial: Try) -> None:
    system = trial(ONE)
    delivered = system.put_one({"seconds": 0}, task_type="hoard")
    assert system.outcome(delivered) == "completed"
    kept = _files(system)
    folders = system.config.files.directory / "tmp"
    (worker,) = system.workers()
    assert system.supervisor
    system.supervisor.send_signal(signal.SIGHUP)
    eventually(
        lambda: [one for one in system.workers() if one.worker_id != worker.worker_id], 20, "another worker is there"
    )
    eventually(
        lambda: worker.worker_id not in [path.name for path in folders.iterdir()], 20, "the former one's folder is gone"
    )
    outputs = {path for path in kept if folders not in path.parents}
    assert len(outputs) == 2
    assert sorted(_there(outputs)) == sorted(outputs)
