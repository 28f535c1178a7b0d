"""The payload of the task type `video`: allowed and refused fields, presets, and limits by settings."""

from typing import Any

import pytest
from pydantic import ValidationError

from dtqs.processors.faults import payload_problems
from dtqs.processors.video import VideoProcessor, rules
from dtqs.processors.video.payload import VideoOutput, VideoPayload
from dtqs.processors.video.presets import BUILT_IN, resolve
from dtqs.processors.video.settings import VideoSettings

UPLOAD = "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"


def problems(*outputs: dict[str, Any], **settings: Any) -> list[tuple[str, str]]:
    payload = VideoPayload.model_validate(
        {"source": UPLOAD, "outputs": [{"name": f"o{number}", **output} for number, output in enumerate(outputs)]}
    )
    return [
        (problem.field.removeprefix("payload."), problem.message)
        for problem in VideoProcessor(VideoSettings(**settings)).problems(payload)
    ]


def test_without_outputs_a_video_for_the_web_and_a_poster_are_made() -> None:
    payload = VideoPayload.model_validate({"source": UPLOAD})
    assert [(output.name, output.preset) for output in payload.outputs] == [("web", "web-720p"), ("poster", "poster")]
    assert VideoProcessor(VideoSettings()).problems(payload) == []


@pytest.mark.parametrize(
    "output",
    [
        *({"name": name} for name in ("", "..", "a/b", "-y", "a\n", "ä", "x" * 101)),
        *({"name": "a", "width": width} for width in (0, 1, 16385, 1.5, "10", True)),
        *({"name": "a", "crf": crf} for crf in (-1, 64, "23")),
        *({"name": "a", "start_seconds": seconds} for seconds in (-1, float("inf"), float("nan"))),
        *({"name": "a", "format": format} for format in ("mkv", "MP4", "concat", "tee")),
        *({"name": "a", "background": colour} for colour in ("white", "#fff", "black,drawtext=textfile=/etc/passwd")),
        {"name": "a", "watermark": {"source": "https:"}},
        {"name": "a", "subtitles": {"mode": "burn", "language": "en\nX"}},
        {"name": "a", "subtitles": {"title": 'a"b'}},
        {"name": "a", "renditions": []},
        {"name": "a", "vstats_file": "/tmp/x"},
        {"format": "mp4"},
        None,
    ],
)
def test_a_wrong_output_is_refused(output: Any) -> None:
    with pytest.raises(ValidationError):
        VideoPayload.model_validate({"source": UPLOAD, "outputs": [output]})


def test_every_wrong_field_is_reported_at_once() -> None:
    wrong = {
        "source": "ftp:x",
        "outputs": [
            {"name": "a", "crf": 99, "crop": {"x": -1, "y": 0, "width": 10, "height": 10}},
            {"name": "b", "colour": 1},
        ],
    }
    with pytest.raises(ValidationError) as error:
        VideoPayload.model_validate(wrong)
    found = {problem.field for problem in payload_problems(error.value, VideoPayload)}
    assert found == {
        "payload.source",
        "payload.outputs[0].crf",
        "payload.outputs[0].crop.x",
        "payload.outputs[1].colour",
    }


def stream(*renditions: dict[str, Any]) -> dict[str, Any]:
    return {"format": "hls", "renditions": [{"short_side": 100, **rendition} for rendition in renditions]}


@pytest.mark.parametrize("outputs", [[], None, {}, [{"name": f"o{n}"} for n in range(101)]])
def test_a_wrong_list_of_outputs_is_refused(outputs: Any) -> None:
    with pytest.raises(ValidationError):
        VideoPayload.model_validate({"source": UPLOAD, "outputs": outputs})


@pytest.mark.parametrize(
    ("output", "field"),
    [
        ({"format": "mp3", "width": 100}, "width"),
        ({"format": "mp4", "quality": 80}, "quality"),
        ({"format": "webm", "faststart": True}, "faststart"),
        ({"format": "hls", "max_bytes": 10_000}, "max_bytes"),
        ({"format": "webm", "video_codec": "h264"}, "video_codec"),
        ({"format": "gif", "fps": 60}, "fps"),
        ({"video_codec": "hevc", "short_side": 14}, "short_side"),
        ({"format": "webp", "fps": 100}, "fps"),
        ({"video_codec": "hevc", "width": 14}, "width"),
        ({"format": "hls", "video_codec": "hevc", "renditions": [{"short_side": 14}]}, "renditions[0].short_side"),
        ({"format": "webp", "height": 16384}, "height"),
        ({"audio_codec": "mp3", "audio_sample_rate": 12000}, "audio_sample_rate"),
        ({"format": "opus", "audio_bit_rate": 520_000}, "audio_bit_rate"),
        ({"format": "webm", "audio_bit_rate": 260_000, "audio_channels": 1}, "audio_bit_rate"),
        ({"format": "hls", "audio_codec": "opus"}, "audio_codec"),
        ({"crf": 55}, "crf"),
        ({"format": "hls", "renditions": [{"short_side": 100, "crf": 60}]}, "renditions[0].crf"),
        (stream({"crf": 20, "video_bit_rate": 100_000}), "renditions[0].crf"),
        (stream({"max_bit_rate": 99_999, "video_bit_rate": 100_000}), "renditions[0].max_bit_rate"),
        (stream({}, {"short_side": 200}, {"short_side": 101}), "renditions[2].short_side"),
        ({"subtitles": {"source": UPLOAD, "track": 1}}, "subtitles.track"),
        ({"crf": 20, "video_bit_rate": 100_000}, "crf"),
        ({"max_bytes": 10_000, "video_bit_rate": 100_000}, "video_bit_rate"),
        ({"two_pass": True}, "two_pass"),
        ({"short_side": 100, "width": 100}, "width"),
        ({"fit": "pad", "width": 100}, "fit"),
        ({"format": "mp3", "background": "#ffffff"}, "background"),
        ({"mute": True, "loudness_lufs": -16}, "loudness_lufs"),
        ({"start_seconds": 2, "end_seconds": 2}, "end_seconds"),
        ({"format": "gif", "subtitles": {"mode": "carry"}}, "subtitles.mode"),
        ({"format": "mp3", "audio_channels": 6}, "audio_channels"),
        ({"format": "opus", "audio_sample_rate": 44100}, "audio_sample_rate"),
        ({"preset": "web-720"}, "preset"),
        ({"preset": "audio-podcast", "crf": 20}, "crf"),
    ],
)
def test_a_contradiction_is_reported_at_its_field(output: dict[str, Any], field: str) -> None:
    assert [where for where, _ in problems(output)] == [f"outputs[0].{field}"]


def test_messages_name_the_allowed_values() -> None:
    assert problems({"preset": "web-720"})[0][1].startswith("no such preset; did you mean web-720p?; known: ")
    assert problems({"format": "hls", "video_codec": "vp9"}) == [
        ("outputs[0].video_codec", "hls does not hold vp9; allowed: h264, hevc, av1")
    ]
    assert problems({"format": "gif", "fps": 50.0}, {"format": "mp4", "fps": 240.0}) == []
    assert problems({"format": "gif", "fps": 51.0})[0][1] == "gif allows at most 50: browsers slow down a faster one"


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_preset_is_valid_unchanged(name: str) -> None:
    assert problems({"preset": name}) == []


def test_an_output_overrides_its_preset() -> None:
    def whole(**fields: Any) -> VideoOutput:
        return resolve(VideoOutput.model_validate({"name": "a", "preset": "web-720p", **fields}), BUILT_IN)

    assert (whole().short_side, whole().crf, whole().format) == (720, 23, "mp4")
    assert (whole(width=100).short_side, whole(width=100).width, whole(width=100).crf) == (None, 100, 23)
    assert (whole(video_bit_rate=500_000).crf, whole(video_bit_rate=500_000).max_bit_rate) == (None, None)
    assert whole(short_side=None).short_side is None


def test_settings_add_presets_and_limits() -> None:
    text = '{"mine": {"format": "webm",\n  "crf": 40}, "web-720p": {"format": "mp4", "crf": 30}}'
    assert problems({"preset": "mine"}, {"preset": "web-720p"}, presets=text) == []
    assert [where for where, _ in problems({}, {}, max_outputs=1)] == ["outputs"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"a": {"crf": 99}}', '{"a": {"name": "b"}}', '{"a": {"vf": "movie=/etc/passwd"}}']
)
def test_invalid_presets_are_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValidationError):
        VideoSettings(presets=text)


def test_all_faults_of_presets_are_reported_in_words() -> None:
    with pytest.raises(ValidationError) as caught:
        VideoSettings(presets='{"a": {"backgroud": "#fff", "background": "white"}, "b": {"crf": 99}}')
    text = str(caught.value)
    for words in (
        "a.backgroud: no such field; did you mean background?",
        "a.background: does not have the allowed form; colour of bars",
        "b.crf: should be",
    ):
        assert words in text


def test_the_sources_are_the_video_and_its_overlays() -> None:
    mark, text = "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d43", "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d44"
    outputs = [
        {"name": "a", "watermark": {"source": mark}},
        {"name": "b", "watermark": {"source": mark}, "subtitles": {"source": text}},
    ]
    payload = VideoPayload.model_validate({"source": UPLOAD, "outputs": outputs})
    assert VideoProcessor(VideoSettings()).sources(payload) == (UPLOAD, mark, text)


def test_each_field_applies_to_an_existing_format() -> None:
    known = {*rules.VIDEOS, *rules.SOUNDS, *rules.STILLS, *rules.MOVING, "sprite"}
    assert {format for formats in rules.ONLY.values() for format in formats} <= known
    assert set(rules.ONLY) <= set(VideoOutput.model_fields)
