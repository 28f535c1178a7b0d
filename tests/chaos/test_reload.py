"""Reloads of a node under load: none is felt by a task, and new configuration and new code are really run."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial

_MODULE = """
import os
import time
from dtqs import Context, Payload, processor

class CutPayload(Payload):
    gate: str = ""

@processor("cut", payload=CutPayload)
def cut(payload: CutPayload, context: Context) -> dict[str, int]:
    while payload.gate and not os.path.exists(payload.gate):
        time.sleep(0.02)
    return {"version": VERSION}
"""


def install(packages: Path, version: str) -> None:
    """Install the task type `cut`, whose result is this version, or another version of it."""
    about = packages / "dtqs_cut-1.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: dtqs-cut\nVersion: 1\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[dtqs.processors]\ncut = dtqs_cut:cut\n", encoding="utf-8")
    (packages / "dtqs_cut.py").write_text(_MODULE.replace("VERSION", version), encoding="utf-8")


def change(system: Trial, before: str, after: str) -> None:
    text = system.config_path.read_text(encoding="utf-8")
    assert before in text
    system.config_path.write_text(text.replace(before, after), encoding="utf-8")


def reload(system: Trial, status: int = 0) -> str:
    """Reload as an operator does, and return what the command says."""
    assert system.supervisor
    done = system.run("ctl", "reload", "--pid", str(system.supervisor.pid))
    assert done.returncode == status, f"{done.stdout}{done.stderr}\n{system.log('supervisor')[-5000:]}"
    return done.stdout + done.stderr


@contextmanager
def load(system: Trial) -> Iterator[None]:
    """Submit light and heavy tasks all the time."""
    end = threading.Event()

    def submit() -> None:
        while not end.wait(0.2):
            system.put({"n": 1}, 30)
            system.put({"sleep_seconds": 0.1}, 1, light=False)

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(30)


def test_reloads_under_load_lose_double_and_spend_nothing(trial: Try, tmp_path: Path) -> None:
    system = trial({"pool:default": {"workers": 2}, "processor:echo": {"faults": "on"}}, supervisor=False)
    packages, gate = tmp_path / "packages", tmp_path / "gate"
    install(packages, "1")
    system.start_supervisor()
    assert system.supervisor
    film = system.put_one({"gate": str(gate)}, task_type="cut")
    camera = system.running(film)
    with load(system):
        change(system, "workers = 2", "workers = 4\nbatch_limit = 20")
        reload(system)
        assert len({worker.slot for worker in system.workers()}) == 4
        change(system, "workers = 4", "workers = many")
        assert "[pool:default] workers = 'many'" in reload(system, 78)
        change(system, "workers = many", "workers = 3")
        install(packages, "2 +")
        assert "dtqs_cut" in reload(system, 78), "code on disk is checked too"
        install(packages, "2")
        victim = next(worker for worker in system.workers() if worker.pid != camera.pid)
        system.kill(victim.pid)
        reload(system)
        change(system, "batch_limit = ", "batch_limit = 30\n; before: ")
        reload(system)
    assert system.running(film).pid == camera.pid, "its worker has left, and goes on"
    new = system.put_one({}, task_type="cut")
    assert system.outcome(new) == "completed"
    gate.touch()
    assert set(system.done()) == {"completed"}
    results = system.rows("SELECT result ->> 'version' FROM tasks WHERE id = ANY (%s::uuid[]) ORDER BY id", [film, new])
    assert [row[0] for row in results] == ["1", "2"]
    assert system.attempts(film) == 1
    spent = system.spent()
    # the task that the killed worker ran, if it ran one
    assert set(spent) <= {1, 2}, spent
    assert spent.get(2, 0) <= 1, spent
    eventually(lambda: len(system.workers()) == 3, 10, "only the new workers are left")
    assert system.supervisor.poll() is None
