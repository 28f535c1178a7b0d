"""Real videos as sources; every output is opened again and measured."""

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dtqs.errors import PermanentError
from dtqs.processors.video import VideoProcessor
from dtqs.processors.video.payload import VideoPayload
from dtqs.processors.video.settings import VideoSettings
from tests.support.films import QUARTERS, Run, facts, ffmpeg, film, near, opened, picture_at, quarters
from tests.support.fix_processors import Attempt


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "clip.mp4")


@pytest.fixture
def source(clip: Path, sources: Path) -> Path:
    return Path(shutil.copy(clip, sources / "source.mp4"))


FAST = {"speed": "ultrafast"}
CODECS = [
    ({"format": "mp4", **FAST}, "video/mp4", "h264", "aac"),
    ({"format": "mp4", "video_codec": "hevc", **FAST}, "video/mp4", "hevc", "aac"),
    ({"format": "mp4", "video_codec": "av1", "audio_codec": "opus", **FAST}, "video/mp4", "av1", "opus"),
    ({"format": "mp4", "mute": True, **FAST}, "video/mp4", "h264", None),
    ({"format": "webm", **FAST}, "video/webm", "vp9", "opus"),
    ({"format": "aac"}, "audio/mp4", None, "aac"),
    ({"format": "mp3"}, "audio/mpeg", None, "mp3"),
    ({"format": "ogg"}, "audio/ogg", None, "opus"),
]


def test_every_format_has_the_requested_contents_and_the_result_describes_them(transcode: Run, source: Path) -> None:
    made = transcode(source, *(asked for asked, *_ in CODECS))
    for (output, path), (asked, media_type, video, audio) in zip(made, CODECS, strict=True):
        stored, seen = path.read_bytes(), facts(path)
        assert (output["media_type"], output.get("video_codec"), output.get("audio_codec")) == (
            media_type,
            video,
            audio,
        ), asked
        assert (seen.get("video", {}).get("codec_name"), seen.get("audio", {}).get("codec_name")) == (video, audio)
        assert (output["size_bytes"], output["sha256"]) == (len(stored), hashlib.sha256(stored).hexdigest())
        assert abs(float(seen["duration"]) - 2) < 0.15
        assert abs(output["duration_seconds"] - 2) < 0.15
        assert output["bit_rate"] == int(seen["bit_rate"])
        if video:
            assert (output["width"], output["height"], output["fps"]) == (96, 64, 25.0)
            assert quarters(picture_at(path, 1)) == list(QUARTERS)
    # the index stands before the data, so that playing can begin at once
    assert made[0][1].read_bytes().index(b"moov") < made[0][1].read_bytes().index(b"mdat")
    # the tag by which players of one maker know it
    assert facts(made[1][1])["video"]["codec_tag_string"] == "hvc1"


def test_a_part_is_cut_exactly_to_the_frame(transcode: Run, sources: Path) -> None:
    """The film turns from black to white after a second, between key pictures."""
    turning = sources / "turning.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=black:s=64x48:r=25:d=1", "-f", "lavfi", "-i", "color=white:s=64x48:r=25:d=1",
           "-filter_complex", "[0][1]concat", "-g", "100", turning)  # fmt: skip
    ((output, path),) = transcode(turning, {"start_seconds": 0.6, "end_seconds": 1.6, **FAST})
    assert output["duration_seconds"] == 1.0
    assert near(picture_at(path, 0.3), (0.5, 0.5), "black")
    assert near(picture_at(path, 0.5), (0.5, 0.5), "white")
    with pytest.raises(PermanentError, match=r"start_seconds is 5, but the video ends at 2\.0"):
        transcode(turning, {"start_seconds": 5})


@pytest.mark.parametrize("name", ["film.ts", "film.mpg", "film.mkv"])
def test_a_part_is_exact_without_an_index_of_key_frames(transcode: Run, sources: Path, name: str) -> None:
    """Show red for 4 s, then blue, with a key frame only at both beginnings."""
    red, blue = (
        ("-f", "lavfi", "-i", "color=red:s=96x64:r=25:d=4"),
        ("-f", "lavfi", "-i", "color=blue:s=96x64:r=25:d=2"),
    )
    graph = "[0][1]concat=n=2[v]"
    ffmpeg(
        *red,
        *blue,
        "-f",
        "lavfi",
        "-i",
        "sine=440:d=6",
        "-filter_complex",
        graph,
        "-map",
        "[v]",
        "-map",
        "2:a",
        "-g",
        "100",
        sources / name,
    )
    part = {"start_seconds": 3, "end_seconds": 5}
    (film_made, film_path), (_, still), (_, poster), (sound_made, _) = transcode(
        sources / name, part | FAST, {"format": "png", "at_seconds": 3}, {"format": "poster"}, part | {"format": "mp3"}
    )
    assert [
        near(picture_at(film_path, seconds), (0.5, 0.5), colour)
        for seconds, colour in ((0, "red"), (0.8, "red"), (1.2, "blue"))
    ] == [True] * 3
    assert [near(opened(path), (0.5, 0.5), "red") for path in (still, poster)] == [True, True]
    assert [made["duration_seconds"] for made in (film_made, sound_made)] == pytest.approx([2, 2], abs=0.15)


def test_a_video_is_turned_as_its_camera_was_held(transcode: Run, clip: Path, sources: Path) -> None:
    turned = sources / "turned.mp4"
    ffmpeg("-i", clip, "-c", "copy", "-metadata:s:v:0", "rotate=90", turned)
    ((output, path),) = transcode(turned, {"short_side": 48, **FAST})
    assert (output["width"], output["height"]) == (48, 72)
    assert quarters(picture_at(path, 1, "-noautorotate")) == ["lime", "yellow", "red", "blue"]
    assert "side_data_list" not in facts(path)["video"], "a player would turn it again"


def test_pixels_that_are_not_square_become_so(transcode: Run, clip: Path, sources: Path) -> None:
    squeezed = sources / "squeezed.mkv"
    ffmpeg("-i", clip, "-vf", "scale=48:64,setsar=2/1", squeezed)
    ((output, path),) = transcode(squeezed, FAST)
    assert (output["width"], output["height"]) == (96, 64)
    assert facts(path)["video"]["sample_aspect_ratio"] == "1:1"


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mpeg2video"])
def test_a_video_with_as_many_pixels_as_allowed_is_taken_even_if_its_decoder_needs_more(
    transcode: Run, sources: Path, codec: str
) -> None:
    path = film(sources / "film.mkv", "-c:v", codec, size=(324, 180), seconds=0.2)
    ((made, _),) = transcode(path, FAST, max_pixels=324 * 180)
    assert (made["width"], made["height"]) == (324, 180)


def test_a_high_dynamic_range_becomes_a_standard_one(transcode: Run, sources: Path) -> None:
    marks = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    options = ("-c:v", "libx265", "-x265-params", f"log-level=error:{marks}", "-pix_fmt", "yuv420p10le")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=1", *options, sources / "hdr.mp4")
    assert facts(sources / "hdr.mp4")["video"]["color_transfer"] == "smpte2084"
    ((_, path),) = transcode(sources / "hdr.mp4", FAST)
    seen = facts(path)["video"]
    assert (seen["color_transfer"], seen["pix_fmt"]) == ("bt709", "yuv420p")


def test_the_picture_is_cropped_scaled_padded_and_thinned_out(transcode: Run, source: Path) -> None:
    made = transcode(
        source,
        {"crop": {"x": 48, "y": 0, "width": 48, "height": 32}, **FAST},
        {"width": 64, "height": 64, "fit": "pad", "background": "#ff00ff", **FAST},
        {"width": 32, "height": 32, "fit": "cover", "fps": 5, **FAST},
        {"width": 200, "enlarge": True, "deinterlace": True, **FAST},
    )
    assert [(output["width"], output["height"]) for output, _ in made] == [(48, 32), (64, 64), (32, 32), (200, 134)]
    cropped, padded, covered, enlarged = (picture_at(path, 1) for _, path in made)
    assert quarters(cropped) == ["lime"] * 4
    assert near(padded, (0.5, 0.05), "magenta")
    assert near(padded, (0.25, 0.4), "red")
    assert quarters(covered) == quarters(enlarged) == list(QUARTERS)
    assert (made[2][0]["fps"], facts(made[2][1])["video"]["nb_frames"]) == (5.0, "10")


def test_a_watermark_has_the_requested_place(transcode: Run, source: Path, sources: Path) -> None:
    Image.new("RGBA", (40, 20), "#ffffff").save(sources / "mark.png")
    ((_, path),) = transcode(
        source,
        {
            "watermark": {
                "source": f"file:{sources}/mark.png",
                "position": "top-left",
                "width_fraction": 0.25,
                "margin": 0,
            },
            **FAST,
        },
    )
    seen = picture_at(path, 1.5)
    assert near(seen, (0.1, 0.1), "white")
    assert near(seen, (0.1, 0.3), "red")
    assert near(seen, (0.4, 0.1), "red")
    (sources / "mark.png").write_bytes(b"%!PS")
    with pytest.raises(PermanentError, match="the watermark cannot be read as an image"):
        transcode(source, {"watermark": {"source": f"file:{sources}/mark.png"}, **FAST})


def test_a_watermark_fits_into_the_video(transcode: Run, source: Path, sources: Path) -> None:
    """Check one that is higher than the video, one of a single column, and margins without room."""
    high = Image.new("RGB", (20, 200), "white")
    high.paste("black", (0, 100, 20, 200))
    high.save(sources / "high.png")
    Image.new("L", (1, 60_000_000 // 40), 255).save(sources / "column.png")
    Image.new("L", (2, 1), 255).save(sources / "wide.png")
    marks = {"high": (1, 0), "column": (1, 0), "wide": (0.25, 500)}
    made = transcode(
        source,
        *(
            {
                "watermark": {"source": f"file:{sources}/{name}.png", "width_fraction": fraction, "margin": margin},
                **FAST,
            }
            for name, (fraction, margin) in marks.items()
        ),
    )
    on_high, on_column, on_wide = (picture_at(path, 1.5).convert("RGB") for _, path in made)
    assert near(on_high, (0.97, 0.1), "white")
    assert near(on_high, (0.97, 0.4), "white")
    assert near(on_high, (0.97, 0.9), "black")
    assert near(on_high, (0.85, 0.1), "lime")
    assert not near(on_column, (0.995, 0.5), "yellow")
    assert near(on_column, (0.9, 0.9), "yellow")
    assert near(on_wide, (0.5, 0.5), "white")
    assert near(on_wide, (0.25, 0.25), "red")


def test_a_source_is_fetched_once_for_all_outputs_and_passes(
    transcode: Run, attempt: Attempt, source: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    opening = attempt.space.open_input

    def noting(uri: str) -> Any:
        fetched.append(Path(uri).name)
        return opening(uri)

    monkeypatch.setattr(attempt.space, "open_input", noting)
    Image.new("RGBA", (40, 20), "#ffffff").save(sources / "mark.png")
    (sources / "text.srt").write_text(SRT)
    mark = {"source": f"file:{sources}/mark.png", "position": "top-left", "width_fraction": 0.25, "margin": 0}
    text = {"source": f"file:{sources}/text.srt"}
    two_passes = {"video_bit_rate": 100_000, "two_pass": True, "watermark": mark, "subtitles": text, **FAST}
    made = transcode(
        source,
        two_passes,
        {"width": 48, "watermark": mark, "subtitles": text, **FAST},
        {"watermark": {**mark, "opacity": 0.01}, **FAST},
    )
    assert sorted(fetched) == ["mark.png", "source.mp4", "text.srt"]
    assert [near(picture_at(path, 0.5), (0.1, 0.1), "white") for _, path in made] == [True, True, False]


SRT = "1\n00:00:01,000 --> 00:00:02,000\n████████████\n"


def test_subtitles_are_burned_in_or_carried_at_the_times_of_the_whole_video(
    transcode: Run, source: Path, sources: Path
) -> None:
    (sources / "text.srt").write_text(SRT, encoding="utf-8-sig")
    text = {"source": f"file:{sources}/text.srt", "language": "deu"}
    burned, mp4, webm = transcode(
        source,
        {"subtitles": text, "start_seconds": 0.5, **FAST},
        {"subtitles": text | {"mode": "carry"}, "start_seconds": 0.5, **FAST},
        {"format": "webm", "subtitles": text | {"mode": "carry"}, **FAST},
    )

    def has_text(seconds: float) -> bool:
        picture = picture_at(burned[1], seconds)
        return any(near(picture, (x / 96, 0.93), "white", 60) for x in range(20, 76))

    assert [has_text(seconds) for seconds in (0.2, 0.7)] == [False, True]
    assert burned[0]["duration_seconds"] == pytest.approx(1.5, abs=0.1)
    for made, codec in ((mp4, "mov_text"), (webm, "webvtt")):
        seen = facts(made[1])["subtitle"]
        assert (seen["codec_name"], seen["tags"]["language"].lower()) == (codec, "deu")
    assert b"00:00:00,500 --> 00:00:01,5" in ffmpeg("-i", mp4[1], "-f", "srt", "-")


def test_a_videos_own_subtitles_can_be_taken(transcode: Run, clip: Path, sources: Path) -> None:
    (sources / "text.srt").write_text(SRT, encoding="utf-8")
    ffmpeg("-i", clip, "-i", sources / "text.srt", "-c", "copy", "-c:s", "srt", sources / "own.mkv")
    ((_, path),) = transcode(sources / "own.mkv", {"subtitles": {"mode": "carry", "language": "pt-BR"}, **FAST})
    seen = facts(path)["subtitle"]
    assert (seen["codec_name"], seen["tags"]["language"]) == ("mov_text", "por")
    with pytest.raises(PermanentError, match="no subtitle track 1, counted from 0: it has only track 0"):
        transcode(sources / "own.mkv", {"subtitles": {"track": 1}, **FAST})


def test_a_file_fits_into_the_requested_bytes(transcode: Run, sources: Path) -> None:
    noisy = sources / "noisy.mp4"
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=128x96:r=25:d=3",
        "-f",
        "lavfi",
        "-i",
        "anoisesrc=d=3",
        "-vf",
        "noise=alls=40:allf=t",
        "-b:v",
        "2M",
        noisy,
    )
    made = transcode(
        noisy,
        {"max_bytes": 40_000, **FAST},
        {"format": "webm", "max_bytes": 50_000, **FAST},
        {"format": "mp3", "max_bytes": 20_000},
    )
    assert [
        output["size_bytes"] <= limit for (output, _), limit in zip(made, (40_000, 50_000, 20_000), strict=True)
    ] == [True] * 3
    # two passes use most of the allowed size
    assert made[0][0]["size_bytes"] > 28_000
    with pytest.raises(PermanentError, match="does not fit into 5000 bytes"):
        transcode(noisy, {"max_bytes": 5_000})


def test_a_bit_rate_is_kept_in_two_passes(transcode: Run, sources: Path) -> None:
    noisy = sources / "noisy.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=128x96:r=25:d=4", "-vf", "noise=alls=40:allf=t", "-b:v", "3M", noisy)
    asked = [{"video_codec": codec, "video_bit_rate": 150_000, "two_pass": True, **FAST} for codec in ("h264", "hevc")]
    for output, _ in transcode(noisy, *asked):
        assert 100_000 < output["video_bit_rate"] < 190_000


def test_images_are_taken_from_the_video(transcode: Run, source: Path) -> None:
    made = transcode(
        source,
        {"format": "poster", "quality": 95},
        {"format": "png", "at_seconds": 2, "width": 48},
        {"format": "gif", "fps": 5, "width": 48},
        {"format": "webp", "fps": 5, "loop": False, "end_seconds": 1},
    )
    pictures = [opened(path) for _, path in made]
    assert [(picture.format, picture.size) for picture in pictures] == [
        ("JPEG", (96, 64)),
        ("PNG", (48, 32)),
        ("GIF", (48, 32)),
        ("WEBP", (96, 64)),
    ]
    assert [output["media_type"] for output, _ in made] == ["image/jpeg", "image/png", "image/gif", "image/webp"]
    assert all(quarters(picture) == list(QUARTERS) for picture in pictures)
    assert [output.get("duration_seconds") for output, _ in made] == [None, None, 2.0, None]
    assert (pictures[2].info["loop"], made[2][0]["fps"]) == (0, 5.0)


def test_a_long_preview_needs_little_memory(transcode: Run, sources: Path) -> None:
    """Its frames would need 1.1 GB if ffmpeg held them."""
    path = film(sources / "film.mp4", "-preset", "ultrafast", seconds=6, size=(1280, 720), sound=False)
    ((made, path),) = transcode(path, {"format": "gif", "fps": 50}, max_memory_bytes=1 << 30, threads=1)
    assert made["duration_seconds"] == 6.0
    assert quarters(opened(path)) == list(QUARTERS)


def test_a_preview_plays_once_or_repeats(transcode: Run, sources: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2", sources / "moving.mp4")
    made = transcode(
        sources / "moving.mp4",
        {"format": "webp", "fps": 5, "loop": False, "end_seconds": 1},
        {"format": "webp", "fps": 4},
        {"format": "gif", "loop": False},
    )
    once, ever, gif = (opened(path) for _, path in made)
    assert [
        (getattr(picture, "n_frames", 1), output["duration_seconds"])
        for picture, (output, _) in zip((once, ever), made, strict=False)
    ] == [
        (5, 1.0),
        (8, 2.0),
    ]
    assert (once.info["loop"], ever.info["loop"], "loop" in gif.info) == (1, 0, False)


def test_a_sprite_tells_the_time_of_each_tile(transcode: Run, sources: Path) -> None:
    """Show red in the first second, lime in the second, blue in the third."""
    colours = QUARTERS[:3]
    inputs = [word for colour in colours for word in ("-f", "lavfi", "-i", f"color={colour}:s=64x48:r=25:d=1")]
    ffmpeg(*inputs, "-filter_complex", "[0][1][2]concat=n=3", sources / "three.mp4")
    index, *sheets = transcode(
        sources / "three.mp4",
        {"format": "sprite", "interval_seconds": 0.5, "columns": 2, "rows": 2, "width": 32, "quality": 95},
    )
    assert (index[0]["name"], index[0]["media_type"], index[0]["tiles"]) == ("o0", "text/vtt", 6)
    assert [(sheet["name"], sheet["part_of"], sheet["width"], sheet["height"]) for sheet, _ in sheets] == [
        ("o0/1.jpg", "o0", 64, 48),
        ("o0/2.jpg", "o0", 64, 48),
    ]
    cues = re.findall(r"(\S+) --> (\S+)\n(\S+)\?name=\S+#xywh=(\d+),(\d+),32,24", index[1].read_text())
    assert [cue[0] for cue in cues] == [f"00:00:0{number / 2:.3f}" for number in range(6)]
    pictures = {sheet["uri"].removeprefix("upload:"): opened(path) for sheet, path in sheets}
    for number, (_, _, sheet_id, x, y) in enumerate(cues):
        tile = pictures[sheet_id].crop((int(x), int(y), int(x) + 32, int(y) + 24))
        assert near(tile, (0.5, 0.5), colours[number // 2], 60), number


def test_a_sheet_has_no_more_pixels_than_a_picture_may_have(transcode: Run, source: Path) -> None:
    asked = {"format": "sprite", "interval_seconds": 0.1, "columns": 4, "rows": 4, "width": 32}
    (index, _), *sheets = transcode(source, asked, max_pixels=128 * 64)
    assert index["tiles"] == 20
    assert [(sheet["width"], sheet["height"]) for sheet, _ in sheets] == [(128, 44)] * 3
    _, *sheets = transcode(source, {**asked, "width": 96, "end_seconds": 0.5}, max_pixels=128 * 64)
    assert [(sheet["width"], sheet["height"]) for sheet, _ in sheets] == [(96, 64)] * 5


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ({"video_codec": "av1", "width": 80}, "av1 needs 64 pixels or more each way"),
        (
            {"video_codec": "av1", "format": "hls", "crop": {"x": 0, "y": 0, "width": 70, "height": 40}},
            "av1 needs 64 pixels or more each way",
        ),
        (
            {"video_codec": "hevc", "crop": {"x": 0, "y": 0, "width": 70, "height": 14}},
            "hevc needs 16 pixels or more each way",
        ),
    ],
)
def test_a_computed_side_too_short_for_the_encoder_is_refused(
    transcode: Run, source: Path, output: dict[str, Any], words: str
) -> None:
    with pytest.raises(PermanentError, match=words):
        transcode(source, output)


def test_a_small_av1_is_made_where_libaom_is_the_encoder(
    transcode: Run, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VideoProcessor, "_known_encoders", lambda processor, programs: frozenset({"libaom-av1"}))
    small = film(sources / "small.mp4", seconds=0.2, size=(48, 32), sound=False)
    ((made, _),) = transcode(small, {"video_codec": "av1", **FAST})
    assert (made["width"], made["height"], made["video_codec"]) == (48, 32, "av1")


def test_progress_is_reported_and_a_presets_video_is_made(attempt: Attempt, source: Path) -> None:
    payload = VideoPayload.model_validate({"source": f"file:{source}"})
    context = attempt.context()
    result: dict[str, Any] = VideoProcessor(VideoSettings()).run(payload, context)
    context.close()
    assert [(output["name"], output["media_type"]) for output in result["outputs"]] == [
        ("web", "video/mp4"),
        ("poster", "image/jpeg"),
    ]
    assert result["source"] == {
        "media_type": "video/mp4", "format": "mov", "size_bytes": source.stat().st_size, "duration_seconds": 2.0,
        "rotation": 0,
        "bit_rate": int(facts(source)["bit_rate"]), "width": 96, "height": 64, "video_codec": "h264", "fps": 25.0,
        "video_bit_rate": int(facts(source)["video"]["bit_rate"]), "audio_codec": "aac", "audio_channels": 1,
        "audio_sample_rate": 44100,
        "audio_bit_rate": int(facts(source)["audio"]["bit_rate"]),
    }  # fmt: skip
    assert attempt.reports.fractions == sorted(attempt.reports.fractions)


@pytest.mark.parametrize(
    ("made_with", "seen"),
    [(("-c:v", "mpeg4"), "avi"), (("-c:v", "mpeg2video"), "ts"), (("-c:v", "flv1"), "flv"), ((), "mkv")],
)
def test_videos_in_other_containers_are_read(
    transcode: Run, sources: Path, made_with: tuple[str, ...], seen: str
) -> None:
    odd = film(sources / f"odd.{seen}", *made_with)
    ((output, path),) = transcode(odd, {"width": 48, **FAST})
    assert quarters(picture_at(path, 1)) == list(QUARTERS)
    assert abs(output["duration_seconds"] - 2) < 0.2
