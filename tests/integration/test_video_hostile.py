"""Hostile and oversized videos: only their own bytes are read, no host is called, and each fails with a message."""

import random
import shutil
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dtqs.errors import PermanentError
from dtqs.processors.video.container import Container
from dtqs.processors.video.settings import VideoSettings
from dtqs.processors.video.studio import Programs
from tests.support.films import Run, ffmpeg, film, near, picture_at
from tests.support.fix_processors import Attempt

SECRET = "root:x:0:0:this is nobody's to see"
FAST = {"speed": "ultrafast"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "clip.mp4", "-movflags", "+faststart")


class Listener:
    """A server on loopback that must not be called."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/secret"

    def was_called(self) -> bool:
        try:
            self._socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    one = Listener()
    yield one
    one.close()


def attacks(secret: Path, url: str) -> dict[str, str]:
    places = (f"file://{secret}", str(secret), url)
    return {
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
        + "".join(f"#EXTINF:1.0,\n{place}\n" for place in places)
        + "#EXT-X-ENDLIST\n",
        "master": "#EXTM3U\n" + "".join(f"#EXT-X-STREAM-INF:BANDWIDTH=1\n{place}\n" for place in places),
        "concat": "ffconcat version 1.0\n" + "".join(f"file '{place}'\n" for place in places),
        "dash": f"<?xml version='1.0'?><MPD><Period><BaseURL>{url}</BaseURL></Period></MPD>",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }


@pytest.mark.parametrize("name", ["hls", "master", "concat", "dash", "sdp"])
def test_a_playlist_named_like_a_video_reads_no_file_and_calls_no_host(
    transcode: Run, sources: Path, tmp_path: Path, listener: Listener, name: str
) -> None:
    secret = film(tmp_path / "secret.mp4") if name == "hls" else tmp_path / "secret.mp4"
    attack = sources / "film.mp4"
    attack.write_text(attacks(secret, listener.url)[name], encoding="utf-8")
    with pytest.raises(PermanentError, match="not a supported video") as error:
        transcode(attack, {})
    assert str(secret) not in str(error.value)
    # the same with a fixed demuxer: it opens no other file
    with attack.open("rb") as file:
        for demuxer in ("mov", "mpegts", "hls", "concat"):
            with pytest.raises(PermanentError):
                Programs(VideoSettings(), tmp_path).probe(file, Container(demuxer, "video/mp4"))
    assert not listener.was_called()


def test_subtitles_that_are_a_playlist_read_nothing(
    transcode: Run, clip: Path, sources: Path, tmp_path: Path, listener: Listener
) -> None:
    shutil.copy(clip, sources / "film.mp4")
    for text in attacks(tmp_path / "secret", listener.url).values():
        (sources / "text.srt").write_text(text, encoding="utf-8")
        with pytest.raises(PermanentError, match="format of the subtitles is not supported"):
            transcode(sources / "film.mp4", {"subtitles": {"source": f"file:{sources}/text.srt"}})
    assert not listener.was_called()


def test_a_videos_own_oversized_subtitles_are_not_read_into_the_worker(
    transcode: Run, clip: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sources / "text.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\n" + "text " * 400 + "\n", encoding="utf-8")
    ffmpeg("-i", clip, "-i", sources / "text.srt", "-c", "copy", "-c:s", "srt", sources / "film.mkv")
    assert transcode(sources / "film.mkv", {"subtitles": {"mode": "carry"}, **FAST})
    monkeypatch.setattr("dtqs.processors.video.storing._TEXT_BYTES", 2000)
    with pytest.raises(PermanentError, match="the subtitles are longer"):
        transcode(sources / "film.mkv", {"subtitles": {"mode": "carry"}, **FAST})


def test_subtitles_that_name_fonts_and_files_are_only_text(
    transcode: Run, clip: Path, sources: Path, listener: Listener
) -> None:
    shutil.copy(clip, sources / "film.mp4")
    (sources / "text.ass").write_text(
        "[Script Info]\nScriptType: v4.00+\n[V4+ Styles]\n"
        "Format: Name, Fontname, Fontsize, PrimaryColour\nStyle: Default,/etc/passwd,20,&H00FFFFFF\n[Fonts]\n"
        "fontname: x.ttf\n!!!!!!!!\n[Events]\n"
        "Format: Layer, Start, End, Style, Text\n"
        f"Dialogue: 0,0:00:00.00,0:00:02.00,Default,{{\\fn{listener.url}}}text\n"
        f"Picture: 0,0:00:00.00,0:00:02.00,Default,{listener.url}\n",
        encoding="utf-8",
    )
    ((output, _),) = transcode(sources / "film.mp4", {"subtitles": {"source": f"file:{sources}/text.ass"}, **FAST})
    assert output["video_codec"] == "h264"
    assert not listener.was_called()


def _atoms(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 0
    while at + 8 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        yield data[at + 4 : at + 8], at, size
        at += size


def _referring(data: bytes, path: str) -> bytes:
    """Rewrite a mov so that its tracks' data is said to be in another file, as an alias record does."""
    made = b""
    for name, at, size in _atoms(data):
        body = data[at + 8 : at + size]
        if name in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
            body = _referring(body, path)
        elif name == b"dref":
            text = f"{'/' if len(path) % 2 else ''}{path}".encode()
            # volume and file name, levels and the rest of the head are empty; then the absolute path, and the end
            record = (
                bytes(10 + 28 + 12 + 64 + 16 + 4 + 16)
                + struct.pack(">HH", 2, len(text))
                + text
                + struct.pack(">hH", -1, 0)
            )
            body = bytes(4) + struct.pack(">I", 1) + struct.pack(">I", 12 + len(record)) + b"alis" + bytes(4) + record
        made += struct.pack(">I", 8 + len(body)) + name + body
    return made


def test_a_reference_to_data_in_another_file_is_ignored(transcode: Run, sources: Path, tmp_path: Path) -> None:
    for colour, path in (("blue", sources / "film.mov"), ("red", tmp_path / "secret.mov")):
        ffmpeg("-f", "lavfi", "-i", f"color={colour}:s=32x32:r=5:d=1", "-c:v", "rawvideo", "-pix_fmt", "rgb24", path)
    attack = sources / "film.mov"
    attack.write_bytes(_referring(attack.read_bytes(), str(tmp_path / "secret.mov")))
    assert near(picture_at(attack, 0, "-enable_drefs", "1", "-use_absolute_path", "1"), (0.5, 0.5), "red"), (
        "the prepared attack has no effect"
    )
    with pytest.raises(PermanentError, match="the source is cut short or broken"):
        transcode(attack, FAST)


def test_a_truncated_video_is_a_failure_and_leaves_no_file(
    transcode: Run, attempt: Attempt, clip: Path, sources: Path
) -> None:
    data = clip.read_bytes()
    (sources / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    for output in ({"format": "mp4", **FAST}, {"format": "mp3"}, {"format": "hls"}):
        with pytest.raises(PermanentError, match=r"cut short or broken|missing|failed"):
            transcode(sources / "cut.mp4", output)
    space = attempt.space.path_of("018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42").parents[2]
    assert [path for path in space.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_a_video_that_ends_before_its_index_is_called_incomplete(
    transcode: Run, clip: Path, sources: Path, name: str
) -> None:
    path = sources / name
    ffmpeg("-i", clip, "-c", "copy", path)  # an mp4 whose index stands at its end
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(PermanentError, match="the video is incomplete: its file is cut short, or was never finished"):
        transcode(path, FAST)


@pytest.mark.parametrize(
    ("settings", "output", "words"),
    [
        ({"max_duration_seconds": 1}, {}, "lasts 2 s; allowed are 1"),
        ({"max_pixels": 6000}, {}, "96 × 64 pixels; allowed are 6000 in all"),
        ({"max_streams": 1}, {}, "stream"),
        ({"max_source_bytes": 1000}, {}, "bytes; allowed are 1000"),
        ({"max_pixels": 7000}, {"width": 200, "enlarge": True}, "would have 200 × 134 pixels"),
        ({"max_output_bytes": 1000}, FAST, "larger than 1000 bytes, the limit max_output_bytes"),
        ({"max_memory_bytes": 1 << 30}, {"width": 6000, "enlarge": True}, "of memory, the limit max_memory_bytes"),
        ({"ffmpeg": "no-such-ffmpeg"}, {}, "no-such-ffmpeg is not installed"),
    ],
)
def test_a_video_over_a_limit_is_refused_in_plain_words(
    transcode: Run, clip: Path, sources: Path, settings: dict[str, Any], output: dict[str, Any], words: str
) -> None:
    shutil.copy(clip, sources / "film.mp4")
    with pytest.raises(PermanentError, match=words):
        transcode(sources / "film.mp4", output, **settings)


def test_a_video_over_the_limit_of_processor_time_is_stopped(transcode: Run, sources: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=640x480:r=25:d=8", "-preset", "ultrafast", sources / "film.mp4")
    with pytest.raises(PermanentError, match="more than 1 s of processor time"):
        transcode(sources / "film.mp4", {"speed": "veryslow"}, max_cpu_seconds=1)


def test_a_video_without_any_frame_is_refused(transcode: Run, clip: Path, sources: Path) -> None:
    ffmpeg("-i", clip, "-vn", "-c", "copy", sources / "sound.m4a")
    ffmpeg("-i", clip, "-an", "-c", "copy", sources / "mute.mp4")
    shutil.copy(clip, sources / "film.mp4")
    for source, output, words in (
        ("sound.m4a", {}, "no video track, only audio"),
        ("mute.mp4", {"format": "mp3"}, "has no audio track"),
        ("mute.mp4", {"audio_track": 1}, "the source has no audio track 1, counted from 0: it has none"),
        ("film.mp4", {"audio_track": 1}, "the source has no audio track 1, counted from 0: it has only track 0"),
        ("film.mp4", {"subtitles": {"track": 2}}, "the source has no subtitle track 2, counted from 0: it has none"),
        (
            "mute.mp4",
            {"crop": {"x": 90, "y": 0, "width": 50, "height": 50}},
            "outside of the frame, which has 96 × 64 pixels",
        ),
        ("mute.mp4", {"format": "png", "at_seconds": 9}, "the video ends at 2"),
    ):
        with pytest.raises(PermanentError, match=words):
            transcode(sources / source, output)


def test_damaged_videos_end_in_an_output_or_a_message(transcode: Run, clip: Path, sources: Path) -> None:
    dice = random.Random(7)
    whole = clip.read_bytes()
    for number in range(6):
        data = bytearray(whole)
        for _ in range(1 + 4 * number):
            data[dice.randrange(8, len(data))] = dice.randrange(256)
        (sources / "damaged.mp4").write_bytes(data)
        with suppress(PermanentError):
            transcode(sources / "damaged.mp4", {"format": "poster"})
