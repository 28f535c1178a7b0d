"""The jail from inside: a program in the place of ffmpeg, and in the place of the decoder's work, tries to get out."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dtqs.jail import Jail
from dtqs.processors.image import ImageProcessor
from dtqs.processors.image.payload import ImagePayload
from dtqs.processors.image.settings import ImageSettings
from dtqs.processors.video.ffmpeg import Bounds, Ffmpeg
from tests import attacks
from tests.fix_images import quarters, saved
from tests.fix_processors import Attempt

ATTACKS = Path(attacks.__file__).read_text(encoding="utf-8")
PYTHON = os.path.realpath(sys.executable)
BOUNDS = Bounds(4 << 30, 60, 1 << 30, 30.0)
Told = Mapping[str, str]


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What a worker has beside a task: its configuration, another task's file, servers that listen, and another process."""
    with ExitStack() as stack:
        yield prepared(tmp_path, stack)


def prepared(folder: Path, stack: ExitStack) -> dict[str, Any]:
    for name in ("state", "other-task", "work"):
        (folder / name).mkdir()
    secret, other = folder / "state" / "dtqs.ini", folder / "other-task" / "film.mp4"
    secret.write_text("[postgresql]\ndsn = postgresql://dtqs:sesame@localhost/dtqs\n")
    other.write_text("another task's")
    victim = stack.enter_context(subprocess.Popen(["sleep", "100"]))
    stack.callback(victim.kill)
    listeners = [stack.enter_context(socket.socket(family)) for family in (socket.AF_INET, socket.AF_UNIX, socket.AF_UNIX)]
    abstract = f"dtqs-test-{os.getpid()}"
    addresses: list[Any] = [("127.0.0.1", 0), str(folder / "s"), "\0" + abstract]
    for listener, address in zip(listeners, addresses, strict=True):
        listener.bind(address)
        listener.listen(64)
    return {
        "secret": str(secret), "other": str(other), "work": str(folder / "work"), "parent": os.getpid(), "victim": victim.pid,
        "tcp": listeners[0].getsockname(), "unix": str(folder / "s"), "abstract": abstract,
    }  # fmt: skip


def as_ffmpeg(targets: Mapping[str, Any], jail: Jail, python: str = PYTHON) -> Told:
    """Start the attacker as ffmpeg is started."""
    told: Told = json.loads(Ffmpeg(Path(targets["work"]), BOUNDS, jail).ask([python, "-I", "-S", "-c", ATTACKS, json.dumps(targets)]))
    return told


def got_away_with(told: Told) -> set[str]:
    return {name for name, end in told.items() if end == "done" and not name.startswith("in its own folder")}


def works(told: Told) -> bool:
    return all(end == "done" for name, end in told.items() if name.startswith("in its own folder"))


def test_without_a_jail_each_attempt_succeeds(targets: dict[str, Any]) -> None:
    done = subprocess.run([PYTHON, "-I", "-S", "-c", ATTACKS, json.dumps(targets)], capture_output=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    assert {name: end for name, end in told.items() if end != "done" and not name.startswith("call ")} == {}


def test_a_program_in_the_place_of_ffmpeg_is_refused_everything(targets: dict[str, Any]) -> None:
    told = as_ffmpeg(targets, Jail("required"))
    assert got_away_with(told) == set()
    assert works(told), told
    assert {told[f"call {name}"] for name in attacks.PRIVILEGED} == {"EPERM"}


def test_the_decoder_is_refused_everything(targets: dict[str, Any], attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own process, at the point where a picture is worked on."""
    modules = tmp_path / "site-packages"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(
        "import json\n"
        "from dtqs.processors.image.work import Work\n"
        f"attacks = {{'__name__': 'attacks'}}\nexec({ATTACKS!r}, attacks)\n"
        f"Work.run = lambda self: attacks['tried']({targets!r})\n"
    )
    monkeypatch.syspath_prepend(modules)
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "picture.png").write_bytes(saved(quarters(), "png"))
    image = ImageProcessor(ImageSettings())
    payload = ImagePayload.model_validate({"source": f"file:{tmp_path}/sources/picture.png"})
    try:
        with attempt.context().open_input(payload.source) as file:
            told, _ = image._process.run(payload, {payload.source: file}, lambda *_: None, Jail("required"))
    finally:
        image.close()
    assert got_away_with(told) == set()
    assert {told[name] for name in told if name.startswith("in its own folder") and "kill" not in name} <= {"EACCES"}, "it has no folder"
