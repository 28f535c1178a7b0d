"""Videos with several video tracks: each output uses the length and limits of its own track."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from dtqs.errors import PermanentError
from dtqs.processors.video import VideoProcessor
from dtqs.processors.video.payload import VideoPayload
from dtqs.processors.video.settings import VideoSettings
from dtqs.processors.video.studio import Studio
from tests.support.films import Run, ffmpeg
from tests.support.fix_processors import Attempt

FAST = {"speed": "ultrafast", "crf": 40}
SHORT, LONG = {"video_track": 0}, {"video_track": 1}
TRACKS = "testsrc2=s=128x72:d=1:r=5[out0];testsrc2=s=64x36:d=4:r=5[out1]"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a second of 128 × 72 pixels beside four of 64 × 36, without sound.

    The default is the first in Matroska, the second in MP4.
    """
    folder = tmp_path_factory.mktemp("two")
    outputs: list[str | Path] = []
    for name, marks in (("two.mkv", ("default", "0")), ("two.mp4", ("0", "default"))):
        marked = [word for number, mark in enumerate(marks) for word in (f"-disposition:v:{number}", mark)]
        outputs += ["-map", "0", "-c:v", "libx264", "-preset", "ultrafast", *marked, folder / name]
    ffmpeg("-f", "lavfi", "-i", TRACKS, *outputs)
    ffmpeg("-i", folder / "two.mkv", "-map", "0", "-c", "copy", "-f", "matroska", "-live", "1", folder / "live.mkv")
    return folder


@pytest.fixture
def sources(tmp_path: Path, made: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "sources"))


def test_lengths_follow_the_track_of_the_output(transcode: Run, sources: Path) -> None:
    source = sources / "two.mkv"
    kinds: tuple[dict[str, Any], ...] = ({}, SHORT, LONG | {"start_seconds": 3})
    still, sheet = LONG | {"format": "png", "at_seconds": 3.5}, SHORT | {"format": "sprite", "interval_seconds": 1}
    *films, (picture, _), (listing, _), _ = transcode(source, *(kind | FAST for kind in kinds), still, sheet)
    assert [output["duration_seconds"] for output, _ in films] == pytest.approx([1, 1, 1], abs=0.05)
    assert (picture["width"], listing["tiles"]) == (64, 1)
    for output in ({"format": "png", "at_seconds": 3.5}, {"start_seconds": 3, **FAST}):
        with pytest.raises(PermanentError, match=r"but the video ends at 1\.0"):
            transcode(source, {**SHORT, **output})
    films = transcode(sources / "two.mp4", FAST, SHORT | FAST)
    assert [output["duration_seconds"] for output, _ in films] == pytest.approx([4, 1], abs=0.05)


def test_every_video_track_of_an_output_is_checked(
    transcode: Run, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = sources / "two.mp4"
    with pytest.raises(PermanentError, match="lasts 4 s; allowed are 2"):
        transcode(source, LONG | FAST, max_duration_seconds=2)
    assert transcode(source, LONG | FAST, max_pixels=64 * 36)[0][0]["width"] == 64, (
        "a large track that nobody takes harms nobody"
    )
    assert transcode(source, SHORT | FAST, max_duration_seconds=2)[0][0]["width"] == 128
    monkeypatch.setattr(Studio, "source", lambda *_: pytest.fail("it was read"))
    for output in ({**FAST}, {"format": "png"}, {"format": "gif"}, {"format": "hls"}, {"format": "sprite"}):
        with pytest.raises(
            PermanentError, match="the source's video track 0 has 128 × 72 pixels; allowed are 2304 in all"
        ):
            transcode(source, {**LONG, "format": "png", "width": 16}, SHORT | output, max_pixels=64 * 36)


def test_a_track_longer_than_its_index_states_is_too_long(transcode: Run, sources: Path) -> None:
    with pytest.raises(PermanentError, match="lasts 4 s; allowed are 2"):
        transcode(sources / "live.mkv", SHORT | FAST, LONG | FAST | {"end_seconds": 3}, max_duration_seconds=2)


def test_sound_is_chosen_by_its_language_and_an_unreadable_codec_is_reported_with_its_track(
    transcode: Run, sources: Path
) -> None:
    """English, German, and French in a codec that is not read."""
    tones = ("-f", "lavfi", "-i", "sine=440:d=0.4", "-f", "lavfi", "-i", "testsrc2=s=64x36:d=0.4:r=5")
    ways: list[str] = []
    for number, (language, channels, codec) in enumerate(
        (("eng", "1", "aac"), ("ger", "2", "aac"), ("fre", "1", "tta"))
    ):
        ways += ["-map", "0", f"-c:a:{number}", codec, f"-ac:a:{number}", channels]
        ways += [f"-metadata:s:a:{number}", f"language={language}"]
    ffmpeg(*tones, *ways, "-map", "1", "-c:v", "libx264", "-preset", "ultrafast", sources / "three.mkv")
    german, sound = transcode(
        sources / "three.mkv", {"audio_language": "de", **FAST}, {"format": "mp3", "audio_language": "en"}
    )
    assert (german[0]["audio_channels"], sound[0]["audio_channels"]) == (2, 1)
    with pytest.raises(PermanentError, match="the source's audio track 2 has the codec tta, which is not supported"):
        transcode(sources / "three.mkv", {"format": "mp3", "audio_language": "fr"})
    with pytest.raises(PermanentError, match="language nl: track 0 is eng, track 1 is ger, track 2 is fre"):
        transcode(sources / "three.mkv", {"audio_language": "nl", **FAST})


def test_bytes_are_shared_among_the_kept_tracks(transcode: Run, sources: Path) -> None:
    """Take one or four seconds of noise and six of sound: each output fits and uses most of its limit."""
    graph = "testsrc2=s=128x96:r=25:d=4,noise=alls=40:allf=t,split[a][out1];[a]trim=end=1[out0]"
    tracks = ("-f", "lavfi", "-i", graph, "-f", "lavfi", "-i", "anoisesrc=d=6")
    kept = ("-map", "0", "-map", "1", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
    ffmpeg(*tracks, *kept, sources / "noise.mkv")
    limits = (6_000, 20_000, 40_000)
    asked = (SHORT | {"mute": True}, LONG | {"mute": True}, LONG)
    kinds = (kind | {"max_bytes": limit, "speed": "ultrafast"} for kind, limit in zip(asked, limits, strict=True))
    made = transcode(sources / "noise.mkv", *kinds)
    sizes = [path.stat().st_size for _, path in made]
    assert [limit / 2 < size <= limit for size, limit in zip(sizes, limits, strict=True)] == [True] * 3, sizes
    assert [output["duration_seconds"] for output, _ in made] == pytest.approx([1, 4, 6], abs=0.1)
    assert ["audio_codec" in output for output, _ in made] == [False, False, True]


def test_the_cover_of_a_sound_is_checked(attempt: Attempt, sources: Path) -> None:
    cover = (
        "-f",
        "lavfi",
        "-i",
        "color=red:s=64x36:d=1:r=1",
        "-map",
        "0",
        "-map",
        "1",
        "-c:v",
        "mjpeg",
        "-frames:v",
        "1",
        "-disposition:v",
        "attached_pic",
    )
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=1:r=48000", *cover, sources / "song.mp3")
    processor, context = VideoProcessor(VideoSettings(max_pixels=2000)), attempt.context()
    with pytest.raises(PermanentError, match="64 × 36 pixels; allowed are 2000 in all"):
        processor.run(VideoPayload.model_validate({"source": f"file:{sources}/song.mp3"}), context)
    context.close()


def test_a_track_without_a_readable_size_is_refused_by_name(transcode: Run, sources: Path) -> None:
    """Cut a transport stream after its only key frame, and beside another track."""
    tracks = ("-f", "lavfi", "-i", "testsrc2=s=64x36:r=25:d=4", "-f", "lavfi", "-i", "sine=440:d=4")
    kept = ("-map", "0:v", "-map", "1:a", "-c:v", "libx264", "-preset", "ultrafast", "-g", "250", "-sc_threshold", "0")
    ffmpeg(*tracks, *kept, sources / "whole.ts")
    data = (sources / "whole.ts").read_bytes()
    (sources / "cut.ts").write_bytes(data[len(data) // 2 // 188 * 188 :])
    for output in (FAST, {"format": "png"}, {"format": "hls"}, {"format": "gif"}, {"format": "sprite"}):
        with pytest.raises(
            PermanentError, match="the source's video track 0 has no readable frame size: it has no key"
        ):
            transcode(sources / "cut.ts", output)
    ((made, _),) = transcode(sources / "cut.ts", {"format": "mp3"})
    assert made["duration_seconds"] == pytest.approx(2, abs=0.3)


def test_dolby_vision_without_a_layer_for_other_players_is_refused(transcode: Run, sources: Path) -> None:
    source = sources / "film.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x36:r=5:d=1", "-c:v", "libx265", "-preset", "ultrafast", source)
    plain = source.read_bytes()
    for profile, layer in ((8, 1), (5, 0)):
        # version, profile, level, presence of parts, and the kind of the layer that other players show
        flags = (profile << 9 | 1 << 3 | 0b101).to_bytes(2, "big")
        source.write_bytes(
            with_box(plain, b"dvvC" if profile > 7 else b"dvcC", b"\1\0" + flags + bytes([layer << 4]) + bytes(19))
        )
        if layer:
            assert transcode(source, FAST)[0][0]["width"] == 64
            continue
        with pytest.raises(PermanentError, match="the source's video track 0 is Dolby Vision of a kind that other"):
            transcode(source, FAST)


def with_box(data: bytes, kind: bytes, content: bytes) -> bytes:
    """Return an mp4, whose index is its last part, with a further box in the description of its first track."""
    box = (8 + len(content)).to_bytes(4, "big") + kind + content
    at = 0
    whole = bytearray(data)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hev1"):
        at = whole.index(name, at or whole.rindex(b"moov"))
        size = int.from_bytes(whole[at - 4 : at], "big")
        whole[at - 4 : at] = (size + len(box)).to_bytes(4, "big")
    end = at - 4 + size
    return bytes(whole[:end] + box + whole[end:])
