"""Measure thumbnails per second of 12-megapixel JPEGs: our processor, pyvips, vipsthumbnail, Pillow, the whole system.

    python bench/image.py [--rounds 5] [--tasks 60] [--only alone|system] [--json]

Every contender makes a JPEG 400 pixels wide, quality 82, from each file of one set, in turns, on one core. README.md
lists the comparisons.
"""

import argparse
import http.client
import importlib.util
import io
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cpu import Meter
from http_load import Client, post
from picture_set import make_set, ssim
from PIL import Image
from product import Product, running
from report import Compared, print_columns, show
from rig import Rig, say

from dtqs.config import FilesSection
from dtqs.files import FileSpace
from dtqs.processors.base import Context, Json
from dtqs.processors.image.payload import ImagePayload
from dtqs.processors.image.processor import ImageProcessor
from dtqs.processors.image.settings import ImageSettings
from dtqs.task import Effect
from dtqs.turn import Turn
from dtqs.uuid7 import uuid7

# optional: only this comparison needs it
pyvips: Any = importlib.import_module("pyvips") if importlib.util.find_spec("pyvips") else None

WIDTH, QUALITY = 400, 82
_LIKE_VIPS, _OF_ALONE = 1.0, 0.8
Thumbnail = Callable[[Path, str], bytes]
"""Makes a thumbnail of a file as jpeg, or as png, which shows the image without the losses of coding."""


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


class Ours:
    """The processor as a worker runs it, from an open source to a durable output, without queue and database."""

    def __init__(self, folder: Path) -> None:
        self._processor = ImageProcessor(ImageSettings())
        self._space = FileSpace(FilesSection(directory=folder / "space", roots=(folder,)))

    def thumbnail(self, path: Path, format: str) -> bytes:
        payload = ImagePayload.model_validate({"source": f"file:{path}", "outputs": [_output(format)]})
        result = self._processor.run(payload, Context(uuid7(), 1, Silence(), self._space))
        with self._space.open_input(result["outputs"][0]["uri"]) as file:
            return file.read()

    def pids(self) -> dict[str, int]:
        return {f"decoder {pid}": pid for pid in self._processor.kept_pids()}


def _output(format: str) -> dict[str, object]:
    # not progressive, like the others' images
    return {
        "name": "thumb",
        "width": WIDTH,
        "format": format,
        "progressive": False,
        **({"quality": QUALITY} if format == "jpeg" else {}),
    }


def pillow_plain(path: Path, format: str) -> bytes:
    with Image.open(path) as image:
        return _encoded(image.resize((WIDTH, _height(image)), Image.Resampling.LANCZOS), format)


def pillow_draft(path: Path, format: str) -> bytes:
    with Image.open(path) as image:
        size = WIDTH, _height(image)
        image.draft(None, size)
        return _encoded(image.resize(size, Image.Resampling.LANCZOS), format)


def pillow_double(path: Path, format: str) -> bytes:
    with Image.open(path) as image:
        size = WIDTH, _height(image)
        image.draft(None, (2 * size[0], 2 * size[1]))
        return _encoded(image.resize(size, Image.Resampling.LANCZOS), format)


def with_pyvips(path: Path, format: str) -> bytes:
    image = pyvips.Image.thumbnail(str(path), WIDTH)
    data: bytes = image.jpegsave_buffer(Q=QUALITY, optimize_coding=True) if format == "jpeg" else image.pngsave_buffer()
    return data


def with_vipsthumbnail(path: Path, format: str) -> bytes:
    target = path.with_suffix(".thumb.jpg" if format == "jpeg" else ".thumb.png")
    options = f"[Q={QUALITY},optimize_coding]" if format == "jpeg" else ""
    subprocess.run(["vipsthumbnail", str(path), "-s", f"{WIDTH}x", "-o", f"{target}{options}"], check=True, timeout=60)
    return target.read_bytes()


def _encoded(image: Image.Image, format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **({"quality": QUALITY, "optimize": True} if format == "jpeg" else {}))
    return buffer.getvalue()


def _height(image: Image.Image) -> int:
    return round(image.height * WIDTH / image.width)


def _contenders() -> dict[str, Thumbnail]:
    found: dict[str, Thumbnail] = {}
    if pyvips:
        pyvips.cache_set_max(0)  # vips must read each file again
        found["pyvips"] = with_pyvips
    if shutil.which("vipsthumbnail"):
        found["vipsthumbnail, a process per file"] = with_vipsthumbnail
    return found | {
        "Pillow, draft to twice the size": pillow_double,
        "Pillow, draft to the size": pillow_draft,
        "Pillow, plain": pillow_plain,
    }


class Alone:
    """The contenders on one core, by processor time and by wall time."""

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self._files, self._ours, self._others = files, Ours(folder), _contenders()
        self._by_cpu, self._by_wall_time = (
            {
                name: Compared(f"thumbnails, {how}", "a second", name, at_least if name == "pyvips" else None)
                for name in self._others
            }
            for how, at_least in (("by processor time", _LIKE_VIPS), ("by wall time", None))
        )

    @property
    def results(self) -> list[Compared]:
        return [*self._by_cpu.values(), *self._by_wall_time.values()]

    def round(self) -> None:
        ours = self._rates(self._ours.thumbnail)
        for name, thumbnail in self._others.items():
            theirs = self._rates(thumbnail)
            self._by_cpu[name].add(ours[0], theirs[0])
            self._by_wall_time[name].add(ours[1], theirs[1])
            say(f"  ours: {ours[0]:.1f}; {name}: {theirs[0]:.1f} a second of processor time")

    def likeness(self) -> list[list[str]]:
        """Return the similarity of each contender's images to a full decode with Lanczos: lowest and median SSIM."""
        rows = [["thumbnails by", "SSIM, lowest", "median", "median as JPEG"]]
        best = [_opened(pillow_plain(path, "png")) for path in self._files]
        for name, thumbnail in {"ours": self._ours.thumbnail, **self._others}.items():
            values = [
                ssim(reference, _opened(thumbnail(path, "png")))
                for reference, path in zip(best, self._files, strict=True)
            ]
            coded = [
                ssim(reference, _opened(thumbnail(path, "jpeg")))
                for reference, path in zip(best, self._files, strict=True)
            ]
            rows.append(
                [name, f"{min(values):.4f}", f"{statistics.median(values):.4f}", f"{statistics.median(coded):.4f}"]
            )
        return rows

    def _rates(self, thumbnail: Thumbnail) -> tuple[float, float]:
        """Return thumbnails per second of processor time, and of wall time."""
        thumbnail(self._files[0], "jpeg")  # warm up: starts the decoder processes
        meter = Meter(self._ours.pids())
        began, used = time.monotonic(), meter.seconds()
        for path in (*self._files, *self._files):  # twice, because the kernel counts in hundredths of a second
            thumbnail(path, "jpeg")
        count = 2 * len(self._files)
        return count / (meter.seconds() - used), count / (time.monotonic() - began)


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def through_the_system(folder: Path, files: Sequence[Path], tasks: int, rounds: int) -> list[Compared]:
    """Upload the set, submit, start the workers; measure from the first claim to the last finish, by the database.

    The processor alone is measured beside it.
    """
    one = Compared("thumbnails through the system, 1 worker", "a second", "the processor alone", _OF_ALONE)
    two = Compared("thumbnails through the system, 2 workers", "a second")
    alone = Ours(folder)
    with Rig() as rig:
        for _ in range(rounds):
            for workers, compared in ((1, one), (2, two)):
                rate = _rate_of(rig, files, tasks, workers)
                compared.add(rate, _rate_alone(alone, files, tasks) if workers == 1 else None)
                say(f"  {workers} workers: {rate:.1f} a second")
    return [one, two]


def _rate_alone(ours: Ours, files: Sequence[Path], tasks: int) -> float:
    ours.thumbnail(files[0], "jpeg")
    began = time.monotonic()
    for number in range(tasks):
        ours.thumbnail(files[number % len(files)], "jpeg")
    return tasks / (time.monotonic() - began)


def _rate_of(rig: Rig, files: Sequence[Path], tasks: int, workers: int) -> float:
    with running(rig) as product:
        uris = [_upload(product, path) for path in files]
        payloads = [{"source": uris[number % len(uris)], "outputs": [_output("jpeg")]} for number in range(tasks)]
        with Client(product.port) as client:
            client.send(
                post("/submit", [{"task_type": "image", "payload": payload} for payload in payloads], product.key)
            )
        product.wait_settled()
        product.start_workers(workers)
        product.wait_drained()
        done, seconds = product.rows(_FIRST_TO_LAST)[0]
        if done != tasks:
            raise RuntimeError(f"{done} of {tasks} tasks were completed")
        return float(done / seconds)


_FIRST_TO_LAST = """SELECT count(*), extract(epoch FROM max(at) - (SELECT min(started_at) FROM tasks))::float8
FROM logs
WHERE event = 'completed'"""


def _upload(product: Product, path: Path) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=60)
    connection.request(
        "POST", "/files", path.read_bytes(), {"Authorization": f"Bearer {product.key}", "Content-Type": "image/jpeg"}
    )
    uri: str = json.loads(connection.getresponse().read())["uri"]
    connection.close()
    return uri


@contextmanager
def on_one_core() -> Iterator[None]:
    """Bind this process and its children to one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    os.environ["VIPS_CONCURRENCY"] = "1"
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", choices=("alone", "system"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=60, help="tasks of one round through the system")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    results: list[Compared] = []
    likeness: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="dtqs-bench-") as name:
        folder = Path(name)
        files = make_set(folder)
        average = sum(path.stat().st_size for path in files) / len(files) / 1e6
        say(f"{len(files)} files of 12 megapixels, {average:.1f} MB on average")
        if arguments.only != "system":
            with on_one_core():
                alone = Alone(folder, files)
                for number in range(1, arguments.rounds + 1):
                    say(f"round {number} of {arguments.rounds}")
                    alone.round()
                results += alone.results
                likeness = alone.likeness()
        if arguments.only != "alone":
            results += through_the_system(folder, files, arguments.tasks, max(1, arguments.rounds // 2))
    show("image", results, arguments.json)
    if likeness and not arguments.json:
        print("\nsimilarity to a full decode with Lanczos\n")
        print_columns(likeness)
    for name, found in (("pyvips", pyvips), ("vipsthumbnail", shutil.which("vipsthumbnail"))):
        if not found:
            say(f"not compared, because it is not installed: {name}")


if __name__ == "__main__":
    main()
