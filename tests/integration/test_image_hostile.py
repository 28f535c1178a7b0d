"""Hostile images: the process that decodes them may die, but the worker lives, reports why, and does the next task."""

import os
import random
import signal
import struct
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from dtqs.errors import DtqsError, InputRefused, PermanentError, TransientError
from dtqs.processors.image import link
from dtqs.processors.image.payload import ImagePayload
from dtqs.processors.image.processor import ImageProcessor
from dtqs.processors.image.settings import ImageSettings
from tests.support.fix_images import Run, processor, quarters, saved
from tests.support.fix_processors import Attempt
from tests.support.helpers import eventually
from tests.support.trial import alive

DATA = Path(__file__).parents[1] / "data" / "images"
JPEG = saved(quarters(), "jpeg")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _bomb(width: int, height: int) -> bytes:
    """Return a PNG header that announces this size, without a pixel behind it."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + _chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty, not an image"),
        (
            b"<!DOCTYPE html><title>x</title>",
            r"the file is a web page \(HTML\), not an image that can be read: allowed are JPEG, PNG",
        ),
        (b"%PDF-1.7\n", "the file is a PDF document, not an image"),
        (b"PK\3\4" + b"\0" * 50, "the file is a ZIP archive"),
        (b"#EXTM3U\n", "the file is plain text"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "the file is an SVG drawing"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "the file is a PostScript file"),
        (saved(quarters(), "ppm"), "the file is a PPM image"),
        (JPEG[: len(JPEG) // 2], "the JPEG image is broken: .*truncated"),
        (JPEG[:20], "JPEG image"),
        (b"\xff\xd8\xff" + b"\0" * 100, "the file begins like a JPEG image"),
        (saved(quarters(), "webp")[:60], "WEBP image"),
        (saved(quarters(), "gif")[:30], "GIF image"),
        (saved(quarters(), "tiff")[:8], "TIFF image"),
        (saved(quarters(), "avif")[:200], "AVIF image"),
        (_bomb(60000, 60000), "the image has 60000 × 60000 pixels; allowed are 50000000"),
        (_bomb(7072, 7071), "the image has 7072 × 7071 pixels"),
        (_bomb(1000, 1000), "the PNG image is broken"),
        (_bomb(0, 0), "PNG image"),
    ],
)
def test_a_file_that_is_no_complete_image_fails_permanently_with_a_message(run: Run, data: bytes, reason: str) -> None:
    with pytest.raises(PermanentError, match=reason) as caught:
        run(data)
    assert "/" not in str(caught.value).replace("plain text", "")


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.iterdir() if path.suffix != ".md"))
def test_files_that_once_crashed_or_stalled_decoders_fail_or_are_decoded(run: Run, name: str) -> None:
    pids = set(processor().kept_pids())
    with suppress(PermanentError):
        run((DATA / name).read_bytes(), {"width": 50}, {"format": "tiff", "keep_metadata": True, "keep_profile": True})
    run(JPEG, {"width": 50})
    assert set(processor().kept_pids()) == pids or not pids


def test_garbage_behind_a_valid_beginning_raises_no_other_error(run: Run) -> None:
    dice = random.Random(7)
    for format in ("jpeg", "png", "webp", "gif", "tiff", "avif", "bmp", "ico"):
        whole = saved(quarters((64, 32)), format)
        for step in range(40):
            at = 4 + step * (len(whole) - 8) // 40
            data = whole[:at] + dice.randbytes(2) + whole[at + 2 :]
            with suppress(PermanentError):
                run(data, {"width": 20})


def test_a_file_over_the_limit_is_not_read(run: Run) -> None:
    with pytest.raises(PermanentError, match=f"the file has {len(JPEG)} bytes; allowed are 100"):
        run(JPEG, max_source_bytes=100)


def test_an_output_over_the_limit_is_refused_before_the_decode(run: Run) -> None:
    truncated = JPEG[: len(JPEG) // 2]
    with pytest.raises(PermanentError, match="output o0 would have 600 × 300 pixels; allowed are 500 each way"):
        run(truncated, {"height": 300, "enlarge": True}, max_side_pixels=500)
    with pytest.raises(PermanentError, match=r"payload.outputs\[0\].width: at most 500 pixels are allowed"):
        run(truncated, {"width": 600, "enlarge": True}, max_side_pixels=500)
    with pytest.raises(PermanentError, match="output o0 would have 8000 × 8000 pixels"):
        run(truncated, {"width": 8000, "height": 8000, "fit": "stretch", "enlarge": True})
    with pytest.raises(PermanentError, match="output o0 would have 8000 × 8000 pixels"):
        run(truncated, {"width": 8000, "height": 8000, "fit": "pad"})


def test_outputs_over_the_limit_in_bytes_are_refused(run: Run) -> None:
    grain = saved(Image.frombytes("L", (30, 30), random.Random(5).randbytes(900)), "png")
    run(grain, {"format": "png"}, max_output_bytes=1000)
    with pytest.raises(PermanentError, match="the outputs exceed the allowed 1000 bytes, beginning with o1"):
        run(grain, {"format": "png"}, {"format": "png", "flip": "both"}, max_output_bytes=1000)


def test_a_missing_source_is_refused(attempt: Attempt, source: Callable[[bytes], str]) -> None:
    payload = ImagePayload.model_validate({"source": source(b"") + ".missing"})
    with pytest.raises(InputRefused, match="no such file"):
        processor().run(payload, attempt.context())


# --- limits of the process, and its death


@pytest.fixture(scope="module")
def noise() -> bytes:
    """Return a PNG that takes a second to write as AVIF."""
    return saved(Image.frombytes("RGB", (1500, 1000), random.Random(3).randbytes(4_500_000)), "png", compress_level=0)


def test_an_image_that_needs_too_much_memory_fails_permanently_and_the_process_lives(run: Run) -> None:
    large = saved(Image.new("RGB", (7000, 7000)), "png")
    settings = {"max_memory_bytes": 256 << 20}
    with pytest.raises(
        PermanentError, match=r"the image needs more memory than the allowed 268435456 bytes \(max_memory_bytes\)"
    ):
        run(large, {"rotate": 10, "format": "png"}, **settings)
    run(JPEG, {"width": 50}, **settings)


def test_an_image_that_takes_too_long_fails_permanently(run: Run, noise: bytes) -> None:
    settings = {"max_cpu_seconds": 1}
    run(JPEG, {"width": 50}, **settings)
    (pid,) = processor(**settings).kept_pids()
    with pytest.raises(
        PermanentError, match=r"the image takes more than the allowed 1 s of processor time \(max_cpu_seconds\)"
    ):
        run(
            noise,
            *({"format": "avif", "quality": 100 - number, "subsampling": "4:4:4"} for number in range(9)),
            **settings,
        )
    assert not alive([pid])
    run(JPEG, {"width": 50}, **settings)


@pytest.mark.parametrize(
    ("number", "wanted", "reason"),
    [
        (signal.SIGSEGV, PermanentError, r"the image crashed the process that decodes it \(SIGSEGV\)"),
        (
            signal.SIGKILL,
            TransientError,
            r"the process that decoded the image was killed from outside \(SIGKILL\), "
            r"most likely because the machine ran out of memory",
        ),
        (signal.SIGTERM, TransientError, r"the process that decoded the image was killed from outside \(SIGTERM\)"),
    ],
)
def test_the_death_of_the_process_ends_its_attempt_and_is_permanent_if_the_image_caused_it(
    attempt: Attempt, source: Callable[[bytes], str], noise: bytes, number: int, wanted: type[DtqsError], reason: str
) -> None:
    image, context = ImageProcessor(ImageSettings()), attempt.context()
    small = ImagePayload.model_validate(
        {"source": source(noise), "outputs": [{"name": "a", "width": 40, "format": "jpeg"}]}
    )
    image.run(small, context)
    (pid,) = image.kept_pids()
    threading.Timer(0.3, os.kill, (pid, number)).start()
    outputs = [{"name": f"o{quality}", "format": "avif", "quality": quality} for quality in (100, 99, 98, 97)]
    with pytest.raises(wanted, match=reason):
        image.run(ImagePayload.model_validate({"source": small.source, "outputs": outputs}), context)
    assert image.kept_pids() == ()
    image.run(small, context)
    assert list(image.kept_pids()) != [pid]


def test_a_process_that_dies_between_two_tasks_is_replaced(attempt: Attempt, source: Callable[[bytes], str]) -> None:
    image = ImageProcessor(ImageSettings())
    payload = ImagePayload.model_validate({"source": source(JPEG)})
    image.run(payload, attempt.context())
    (pid,) = image.kept_pids()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive([pid]), 5, "the process is gone")
    assert len(image.run(payload, attempt.context())["outputs"]) == 3


def test_an_interrupt_ends_the_process_at_once(attempt: Attempt, source: Callable[[bytes], str], noise: bytes) -> None:
    image = ImageProcessor(ImageSettings())
    small = ImagePayload.model_validate({"source": source(noise), "outputs": [{"name": "a", "width": 40}]})
    image.run(small, attempt.context())
    (pid,) = image.kept_pids()
    outputs = [{"name": f"o{quality}", "format": "avif", "quality": quality} for quality in (100, 99, 98, 97)]
    large = ImagePayload.model_validate({"source": small.source, "outputs": outputs})
    before = signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            image.run(large, attempt.context())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 3
    assert not alive([pid])
    image.run(small, attempt.context())


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_process_inherits_nothing_from_its_worker(
    attempt: Attempt, source: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DTQS_POSTGRESQL_DSN", "postgresql://u:sesame@h/d")
    image = ImageProcessor(ImageSettings())
    with open(os.devnull, "rb") as secret:
        os.set_inheritable(secret.fileno(), True)
        image.run(ImagePayload.model_validate({"source": source(JPEG)}), attempt.context())
        (pid,) = image.kept_pids()
        assert b"sesame" not in Path(f"/proc/{pid}/environ").read_bytes()
        files = [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()]
    assert sorted({name.partition(":")[0] for name in files}) == ["/dev/null", "socket"]
    limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
    assert f"Max address space         {2 << 30}" in limits
    assert os.getpgid(pid) == pid


def test_rarely_used_libraries_take_no_memory_in_other_tasks(attempt: Attempt, source: Callable[[bytes], str]) -> None:
    image = ImageProcessor(ImageSettings())
    seldom = ("numpy", "pi_heif", "pylibjxl")
    for data, mapped in ((JPEG, set()), ((DATA.parent / "pictures" / "p3.jxl").read_bytes(), {"numpy", "pylibjxl"})):
        image.run(ImagePayload.model_validate({"source": source(data)}), attempt.context())
        (pid,) = image.kept_pids()
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
        assert {name for name in seldom if name in maps} == mapped
        assert maps.count("openblas") == 0 or os.listdir(f"/proc/{pid}/task") == [str(pid)]


def test_a_process_that_cannot_start_is_worth_a_retry(
    attempt: Attempt, source: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link.sys, "executable", "/bin/false")  # type: ignore[attr-defined]
    with pytest.raises(TransientError, match="the process that decodes images did not start"):
        ImageProcessor(ImageSettings()).run(ImagePayload.model_validate({"source": source(JPEG)}), attempt.context())
