"""Measure the cost of a `video` task beside the encoding: our processor, then the whole system, beside plain ffmpeg.

    python bench/video.py [--rounds 3] [--seconds 48] [--only alone|system] [--json]

The same ffmpeg command runs in a shell, in turns. 48 seconds of 720p become H.264 of the same size, speed `medium`.
With a shorter video, the fixed cost of a task and the noise between rounds would hide the difference.
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

from http_load import Client, get, post, wait_for_event
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
OUTPUT = {"name": "video", "format": "mp4"}
_AT_MOST = 1.03
_CLIP_SECONDS = 5.3


class Silence:
    """Drop the reports of an attempt that has no watcher."""

    def progress(self, task_id: str, attempt: int, fraction: float, message: str) -> None:
        """Ignore it."""

    def log(self, task_id: str, attempt: int, level: str, message: str, data: Json) -> None:
        """Ignore it."""

    def effect_begins(self, task_id: str, effect: Effect) -> None:
        """Ignore it."""

    def take(self, turns: Sequence[Turn]) -> None:
        """Return at once: there is no rate limit."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of wall time and of processor time."""

    wall: float
    cpu: float


def timed(work: Callable[[], object]) -> Times:
    """Call a function and return its times, with those of its children."""
    start, before = time.monotonic(), _cpu_seconds()
    work()
    return Times(time.monotonic() - start, _cpu_seconds() - before)


def _cpu_seconds() -> float:
    used = [resource.getrusage(scope) for scope in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


class Alone:
    """The processor without queue, database and API, on a folder of its own."""

    def __init__(self, folder: Path, source: Path) -> None:
        self._space = FileSpace(FilesSection(directory=folder / "files", roots=(folder,)))
        self._payload = VideoPayload.model_validate({"source": f"file:{source}", "outputs": [OUTPUT]})
        self._processor = VideoProcessor(VideoSettings())

    def once(self) -> None:
        """Run the whole task: probe the source, encode, check the output, hash it, and flush it to the disk."""
        context = self._context()
        try:
            self._processor.run(self._payload, context)
        finally:
            context.close()

    def command(self, target: Path) -> str:
        """Return the task's encoding command as a person would type it, with file names."""
        context = self._context()
        try:
            with Sources(context) as sources, target.open("w+b") as made:
                file = sources.open(self._payload.source)
                programs = Programs(VideoSettings(), context.work_dir())
                container = recognise(file)
                video = programs.probe(file, container)
                timeline = programs.timeline(file, container, video)
                studio = Studio(programs, context, sources, file, container, video, timeline, programs.encoders())
                maker = SingleFile(studio, VideoOutput.model_validate(OUTPUT), Meter(context.progress, [1]))
                arguments = maker.command(made)
                names = {fd_path(file): self._payload.source.removeprefix("file:"), fd_path(made): str(target)}
        finally:
            context.close()
        return shlex.join([names.get(argument, argument) for argument in arguments])

    def _context(self) -> Context:
        return Context(uuid7(), 1, Silence(), self._space)


class System:
    """The whole system: submit over HTTP, and wait for the stream's last event."""

    def __init__(self, product: Product, source: Path) -> None:
        self._product, self._source = product, _upload(product, source)

    def once(self) -> None:
        body = {"task_type": "video", "payload": {"source": self._source, "outputs": [OUTPUT]}}
        with Client(self._product.port) as client:
            link = json.loads(client.send(post("/submit", body, self._product.key)))["links"]["sse"]
        wait_for_event(self._product.port, get(link), b"completed")


def _upload(product: Product, source: Path) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=30)
    with source.open("rb") as file:
        connection.request(
            "POST",
            "/files",
            file,
            {"Authorization": f"Bearer {product.key}", "Content-Length": str(source.stat().st_size)},
        )
        uri: str = json.loads(connection.getresponse().read())["uri"]
    connection.close()
    return uri


def in_turns(name: str, ours: Callable[[], object], command: str, rounds: int, with_cpu: bool) -> list[Compared]:
    """Run our side and the command one after the other. The order changes with each round."""
    wall = Compared(f"{name}, wall time", "s", "ffmpeg in a shell", at_most=_AT_MOST)
    processor = Compared(f"{name}, processor time", "s", "ffmpeg in a shell", at_most=_AT_MOST)
    sides = (
        lambda: timed(ours),
        lambda: timed(lambda: subprocess.run(["sh", "-c", command], check=True, stdout=subprocess.DEVNULL)),
    )
    for number in range(rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        one, other = (result for _, result in sorted([(side, sides[side]()) for side in order]))
        wall.add(one.wall, other.wall)
        processor.add(one.cpu, other.cpu)
        say(
            f"{name}, round {number + 1} of {rounds}: {one.wall:.2f} s; "
            f"in a shell {other.wall:.2f} s: {one.wall / other.wall:.3f}"
        )
    return [wall, processor] if with_cpu else [wall]


def measure(rounds: int, seconds: float, only: str | None) -> list[Compared]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dtqs-bench-")))
        source = folder / "source.mp4"
        times = round(seconds / _CLIP_SECONDS)
        subprocess.run(
            ["ffmpeg", "-v", "error", "-stream_loop", str(times - 1), "-i", CLIP, "-c", "copy", source], check=True
        )
        alone = Alone(folder, source)
        command = alone.command(folder / "shell.mp4")
        say(command)
        results = [] if only == "system" else in_turns("the whole task", alone.once, command, rounds, with_cpu=True)
        if only != "alone":
            rig = stack.enter_context(Rig())
            product = stack.enter_context(running(rig))
            product.start_workers(1)
            product.wait_workers(1)
            results += in_turns("submit to final event", System(product, source).once, command, rounds, with_cpu=False)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=48.0, help="length of the video")
    parser.add_argument("--only", choices=("alone", "system"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    show("video", measure(arguments.rounds, arguments.seconds, arguments.only), arguments.json)


if __name__ == "__main__":
    main()
