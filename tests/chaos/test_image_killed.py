"""A kill of the worker, or of its decoding process, in the middle of an image."""

import random
from pathlib import Path

from PIL import Image

from dtqs.sandbox.processes import family
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial, alive, gone

ONE = {"pool:default": {"workers": 1}}


def _system(trial: Try, folder: Path) -> tuple[Trial, str]:
    """Return a running system, and the URI of an image that takes half a second to write as AVIF."""
    sources = folder / "sources"
    sources.mkdir()
    Image.frombytes("RGB", (800, 600), random.Random(3).randbytes(1_440_000)).save(
        sources / "noise.png", compress_level=0
    )
    return trial({**ONE, "files": {"roots": str(sources)}}), f"file:{sources}/noise.png"


def _stored(system: Trial) -> list[Path]:
    """Return the files that look finished: files that are still written are in a folder of their own."""
    folder = system.config.files.directory
    return [path for path in folder.rglob("*") if path.is_file() and "tmp" not in path.relative_to(folder).parts]


def test_a_worker_killed_in_an_image_leaves_no_half_output_and_no_process(trial: Try, tmp_path: Path) -> None:
    system, source = _system(trial, tmp_path)
    outputs = [
        {"name": "first", "width": 800, "format": "jpeg"},
        *({"name": f"o{n}", "width": 799 - n, "format": "avif", "quality": 95} for n in range(2)),
    ]
    task_id = system.put_one({"source": source, "outputs": outputs}, task_type="image")
    worker = system.running(task_id)
    eventually(lambda: _stored(system), 10, "the first output is stored")
    pids = family(worker.pid)
    assert len(pids) == 2, "the worker and its decoding process"
    system.kill(worker.pid)
    gone(pids)
    assert system.outcome(task_id, 30) == "completed"
    assert system.attempts(task_id) == 2
    for path in _stored(system):
        with Image.open(path) as image:
            image.load()
    result = system.rows("SELECT result FROM tasks WHERE id = %s", task_id)[0][0]
    assert [output["name"] for output in result["outputs"]] == ["first", "o0", "o1"]
    system.check()


def test_the_decoding_process_serves_many_tasks_and_is_replaced_after_its_death(trial: Try, tmp_path: Path) -> None:
    system, source = _system(trial, tmp_path)
    small = {"source": source, "outputs": [{"name": "a", "width": 50}]}
    assert system.outcome(system.put_one(small, task_type="image")) == "completed"
    (worker,) = system.workers()
    pids = family(worker.pid)
    assert len(pids) == 2
    assert system.outcome(system.put_one({"sleep_seconds": 0.01})) == "completed"
    assert system.outcome(system.put_one(small, task_type="image")) == "completed"
    assert family(worker.pid) == pids, "neither a task of another type nor the next image ended the process"
    before = len(_stored(system))
    slow = system.put_one(
        {"source": source, "outputs": [{"name": f"o{n}", "format": "avif", "quality": 95 - n} for n in range(3)]},
        task_type="image",
    )
    eventually(lambda: len(_stored(system)) > before, 10, "the first output is stored")
    system.kill(pids[1])
    assert system.outcome(slow, 30) == "completed", "the kernel may have killed it for the memory use of others"
    assert system.attempts(slow) == 2
    assert any(
        "the process that decoded the image was killed from outside (SIGKILL)" in (row.message or "")
        for row in system.logs(slow)
    )
    assert not alive(pids[1:])
    assert system.outcome(system.put_one(small, task_type="image")) == "completed"
    assert [one.pid for one in system.workers()] == [worker.pid]
    system.check()
