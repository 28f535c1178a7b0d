"""Output of a subverted ffmpeg or ffprobe: overlong lines and endless keys take no memory, and a title is no error."""

import tracemalloc
from collections.abc import Callable

import pytest

from dtqs.errors import PermanentError
from dtqs.processors.video.failures import failure, is_disk_full
from dtqs.processors.video.ffmpeg_output import EncodeProgress, LogTail, ProgressReader
from dtqs.processors.video.packets import PacketReader
from dtqs.processors.video.settings import VideoSettings


def test_progress_is_read_from_the_output_of_ffmpeg() -> None:
    seen: list[EncodeProgress] = []
    take = ProgressReader(seen.append).take
    block = b"frame=12\nfps=0.0\nstream_0_0_q=1.0\ntotal_size=48\nout_time_us=2500000\nspeed=2.5x\nprogress=continue\n"
    assert [take(block[:20]), take(block[20:]), take(block), take(b"")] == [False, True, False, False]
    assert seen == [EncodeProgress(2.5, 12, 48, 2.5)] * 2


@pytest.mark.parametrize(
    "sample", [b"x" * 65_536, b"".join(b"k%d=%s\n" % (number, b"v" * 50) for number in range(1000))]
)
@pytest.mark.parametrize("reader", [lambda: ProgressReader(None).take, lambda: PacketReader([0], [1], "mov").take])
def test_endless_lines_and_endless_keys_take_no_memory(
    reader: Callable[[], Callable[[bytes], bool]], sample: bytes
) -> None:
    take = reader()
    tracemalloc.start()
    try:
        for number in range(64):
            take(sample.replace(b"k", b"k%d" % number))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1 << 18


def test_invalid_numbers_are_ignored() -> None:
    reader = PacketReader([0], [1], "mov")
    reader.take(b"9" * 5000 + b",1,1,1,1,K\n0,nan,inf,1,9" + b"9" * 30 + b",K\n0,1.0,nan,1.0," + b"9" * 30 + b",K\n")
    track = reader.tracks[0]
    assert (list(track.times), list(track.positions), track.end_seconds) == ([1.0], [-1], 2.0)


def test_a_files_title_is_not_read_as_an_error() -> None:
    log = LogTail()
    log.take(b"Input #0\n  Metadata:\n    title           : No space left on device" + b"x" * 3000)
    log.take(b"No space left on device, Codec (evil) not on whitelist\n")
    assert not is_disk_full(log.lines)
    assert type(failure("ffmpeg", 1, log.lines, 0.0, VideoSettings().bounds())) is PermanentError
    log.take(b"av_interleaved_write_frame(): No space left on device\n")
    assert is_disk_full(log.lines)
