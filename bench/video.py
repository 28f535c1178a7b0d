"""What the whole task costs beside the encoding: our processor, then the whole system, beside the same ffmpeg command in a shell, in turns.

    python bench/video.py [--rounds 3] [--seconds 48] [--only alone|system] [--json]

48 seconds of 720p become an H.264 of the same size, speed `medium`: of a shorter film the fixed cost of a task and the noise between rounds hide what is
measured. See README.md for what stands beside what.
"""

import argparse
import http.client
import json
import resource
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from http_load import Client, post, wait_for_event
from product import Product, running
from report import Compared, show
from rig import Rig, say

from dtqs.config import FilesSection
from dtqs.files import FileSpace
from dtqs.processors.base import Context, Json
from dtqs.processors.video import VideoProcessor
from dtqs.processors.video.command import fd_path
from dtqs.processors.video.container import recognise
from dtqs.processors.video.meter import Meter
from dtqs.processors.video.payload import VideoOutput, VideoPayload
from dtqs.processors.video.settings import VideoSettings
from dtqs.processors.video.single_file import SingleFile
from dtqs.processors.video.sources import Sources
from dtqs.processors.video.studio import Programs, Studio
from dtqs.task import Effect
from dtqs.turn import Turn
from dtqs.uuid7 import uuid7

CLIP = Path(__file__).parents[1] / "docs/media/bigbuckbunny.mp4"
OUTPUT = {"name": "film", "format": "mp4"}
_AT_MOST = 1.03
_CLIP_SECONDS = 5.3


class Silence:
    """Takes reports of an attempt that nobody watches."""

    def progress(self, task_id: str, attempt: int, fraction: float, message: str) -> None:
        """Drop it."""

    def log(self, task_id: str, attempt: int, level: str, message: str, data: Json) -> None:
        """Drop it."""

    def effect_begins(self, task_id: str, effect: Effect) -> None:
        """Drop it."""

    def take(self, turns: Sequence[Turn]) -> None:
        """There is always a turn."""


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds on the clock, and of processors."""

    wall: float
    cpu: float


def took(work: Callable[[], object]) -> Took:
    """Do it, children and all, and tell what it took."""
    start, before = time.monotonic(), _cpu_seconds()
    work()
    return Took(time.monotonic() - start, _cpu_seconds() - before)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


class Alone:
    """The processor without queue, database and API, on a folder of its own."""

    def __init__(self, folder: Path, film: Path) -> None:
        self._space = FileSpace(FilesSection(directory=folder / "files", roots=(folder,)))
        self._payload = VideoPayload.model_validate({"source": f"file:{film}", "outputs": [OUTPUT]})
        self._processor = VideoProcessor(VideoSettings())

    def once(self) -> None:
        """The whole task: look at the source, encode, look at what came out, hash it, put it on the disk."""
        context = self._context()
        try:
            self._processor.run(self._payload, context)
        finally:
            context.close()

    def command(self, target: Path) -> str:
        """Return the one command of the task as a person would type it, with names of files."""
        context = self._context()
        try:
            with Sources(context) as sources, target.open("w+b") as made:
                file = sources.open(self._payload.source)
                programs = Programs(VideoSettings(), context.work_dir())
                container = recognise(file)
                film = programs.probe(file, container)
                timeline = programs.timeline(file, container, film)
                studio = Studio(programs, context, sources, file, container, film, timeline, programs.encoders())
                words = SingleFile(studio, VideoOutput.model_validate(OUTPUT), Meter(context.progress, [1])).command(made)
                names = {fd_path(file): self._payload.source.removeprefix("file:"), fd_path(made): str(target)}
        finally:
            context.close()
        return shlex.join([names.get(word, word) for word in words])

    def _context(self) -> Context:
        return Context(uuid7(), 1, Silence(), self._space)


class System:
    """The whole of it: submit over HTTP, and wait for the stream's last event."""

    def __init__(self, product: Product, film: Path) -> None:
        self._product, self._source = product, _uploaded(product, film)

    def once(self) -> None:
        body = {"task_type": "video", "payload": {"source": self._source, "outputs": [OUTPUT]}}
        with Client(self._product.port) as client:
            link = json.loads(client.send(post("/submit", body, self._product.key)))["links"]["sse"]
        wait_for_event(self._product.port, link, b"completed")


def _uploaded(product: Product, film: Path) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=30)
    with film.open("rb") as file:
        connection.request(
            "POST",
            "/files",
            file,
            {"Authorization": f"Bearer {product.key}", "Content-Length": str(film.stat().st_size)},
        )
        uri: str = json.loads(connection.getresponse().read())["uri"]
    connection.close()
    return uri


def in_turns(what: str, ours: Callable[[], object], command: str, rounds: int, with_cpu: bool) -> list[Compared]:
    """Our side and the command, one after the other, and which is first changes."""
    clock = Compared(f"{what}, on the clock", "s", "ffmpeg in a shell", at_most=_AT_MOST)
    processors = Compared(f"{what}, of processors", "s", "ffmpeg in a shell", at_most=_AT_MOST)
    sides = (
        lambda: took(ours),
        lambda: took(lambda: subprocess.run(["sh", "-c", command], check=True, stdout=subprocess.DEVNULL)),
    )
    for number in range(rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        one, other = (result for _, result in sorted([(side, sides[side]()) for side in order]))
        clock.add(one.wall, other.wall)
        processors.add(one.cpu, other.cpu)
        say(
            f"{what}, round {number + 1} of {rounds}: {one.wall:.2f} s; in a shell {other.wall:.2f} s: {one.wall / other.wall:.3f}"
        )
    return [clock, processors] if with_cpu else [clock]


def measure(rounds: int, seconds: float, only: str | None) -> list[Compared]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dtqs-bench-")))
        film = folder / "film.mp4"
        times = round(seconds / _CLIP_SECONDS)
        subprocess.run(
            ["ffmpeg", "-v", "error", "-stream_loop", str(times - 1), "-i", CLIP, "-c", "copy", film], check=True
        )
        alone = Alone(folder, film)
        command = alone.command(folder / "shell.mp4")
        say(command)
        results = [] if only == "system" else in_turns("the whole task", alone.once, command, rounds, with_cpu=True)
        if only != "alone":
            rig = stack.enter_context(Rig())
            product = stack.enter_context(running(rig))
            product.start_workers(1)
            product.wait_workers(1)
            results += in_turns("submit to final event", System(product, film).once, command, rounds, with_cpu=False)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=48.0, help="of film")
    parser.add_argument("--only", choices=("alone", "system"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    show("video", measure(arguments.rounds, arguments.seconds, arguments.only), arguments.json)


if __name__ == "__main__":
    main()
