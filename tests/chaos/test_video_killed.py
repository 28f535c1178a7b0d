"""SIGKILL of a worker in a video task: its encoder ends, no half output stays, and the next attempt completes."""

import os
import signal
from pathlib import Path

from dtqs.sandbox.processes import family
from tests.support.films import facts, ffmpeg
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import alive, gone


def _encoders(worker: int) -> list[int]:
    return [pid for pid in family(worker) if pid != worker and b"progress" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # ffprobe, which runs first, ends soon
        return b""


def test_a_video_whose_worker_was_killed_is_made_by_the_next_attempt(trial: Try, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=640x480:r=25:d=4", "-preset", "ultrafast", sources / "film.mp4")
    system = trial({"pool:default": {"workers": 1}, "files": {"roots": sources}})
    task_id = system.put_one(
        {"source": f"file:{sources}/film.mp4", "outputs": [{"name": "film", "speed": "slow"}]}, task_type="video"
    )
    worker = system.running(task_id)
    encoders = eventually(lambda: _encoders(worker.pid), 10, "an encoder runs")
    files = system.folder / "files"
    eventually(lambda: [path for path in files.rglob("*.part") if path.stat().st_size], 10, "the encoder writes")
    assert alive(encoders) == encoders
    os.kill(worker.pid, signal.SIGKILL)
    gone(encoders)
    assert system.outcome(task_id, 60) == "completed"
    assert system.attempts(task_id) == 2
    ((output,),) = system.rows("SELECT result -> 'outputs' -> 0 ->> 'uri' FROM tasks WHERE id = %s", task_id)
    eventually(lambda: not (files / "tmp" / worker.worker_id).exists(), 10, "the dead worker's folder is gone")
    whole = [path for path in files.rglob("*") if path.is_file() and "tmp" not in path.relative_to(files).parts]
    assert [path.name for path in whole] == [output.removeprefix("upload:")]
    assert abs(float(facts(whole[0])["duration"]) - 4) < 0.1
    system.check()
